//! Static addresses, routes and rules, pipes and mail.

use std::path::PathBuf;
use std::time::Duration;

use keepalived_conf::{Command, Fifo, GlobalDefs, Origin};
use vrrp_proto::AddressFamily;

use crate::command::Credentials;
use crate::convert::{Context, Problem};
use crate::convert::{route, router, rule};
use crate::fixed::FixedAddress;
#[cfg(feature = "mail")]
use crate::notify::MailSettings;
use crate::plan::{FifoPlan, FifoSubject};

pub(super) fn convert(context: &mut Context<'_>) {
    fixed(context);
    context.conversion.plan.network_namespace = context.configuration.net_namespace.clone();
    let Some(global) = context.global() else { return };
    start_delay(context, global);
    scheduling(context, global);
    for (subject, fifo, reader) in [
        (
            FifoSubject::Everything,
            &global.notify_fifo,
            &global.notify_fifo_script,
        ),
        (
            FifoSubject::Routers,
            &global.vrrp_notify_fifo,
            &global.vrrp_notify_fifo_script,
        ),
        (
            FifoSubject::Servers,
            &global.lvs_notify_fifo,
            &global.lvs_notify_fifo_script,
        ),
    ] {
        if let Some(fifo) = fifo {
            pipe(context, subject, fifo, reader.as_ref());
        }
    }
    context.conversion.plan.states_on_reload = global.fifo_write_vrrp_states_on_reload;
    #[cfg(feature = "mail")]
    mail(context);
}

/// Both delays count from different moments; the later end holds.
fn start_delay(context: &mut Context<'_>, global: &GlobalDefs) {
    let after_start = global.vrrp_startup_delay.unwrap_or_default().as_duration();
    let after_boot = global.vrrp_delay_after_boot.unwrap_or_default().as_duration();
    let left = after_boot.saturating_sub(uptime());
    context.conversion.plan.start_delay = after_start.max(left);
}

fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let part = u32::try_from(now.tv_nsec).unwrap_or(0);
    u64::try_from(now.tv_sec).map_or(Duration::ZERO, |seconds| Duration::new(seconds, part))
}

fn scheduling(context: &mut Context<'_>, global: &GlobalDefs) {
    let scheduling = &mut context.conversion.plan.scheduling;
    // keepalived raises itself to the second when it was late; here it is there before.
    let raised = global
        .max_auto_priority
        .and_then(|priority| u8::try_from(priority).ok());
    let raised = raised.filter(|priority| *priority > 0);
    scheduling.realtime_priority = global.vrrp_rt_priority.or(raised);
    scheduling.niceness = global.vrrp_priority;
    scheduling.longest_run = global
        .vrrp_rlimit_rttime
        .map(|micros| Duration::from_micros(micros.into()));
    let words = global.vrrp_cpu_affinity.as_ref();
    for word in words.into_iter().flat_map(|raw| &raw.0) {
        match word.parse() {
            Ok(processor) => scheduling.processors.push(processor),
            Err(_) => context.conversion.warnings.push(Problem {
                span: None,
                message: format!("`{word}` in vrrp_cpu_affinity is no processor's number: it is left out"),
            }),
        }
    }
}

/// Static addresses, routes and rules.
fn fixed(context: &mut Context<'_>) {
    let configuration = context.configuration;
    let default = context
        .global()
        .and_then(|global| global.default_interface.as_deref())
        .unwrap_or(DEFAULT_INTERFACE);
    for address in &configuration.static_ipaddress {
        if let Some(built) = router::virtual_address(context, address, false) {
            context.conversion.plan.fixed_addresses.push(FixedAddress {
                interface: address.device.as_deref().unwrap_or(default).to_owned(),
                address: built,
            });
        }
    }
    for entry in &configuration.static_routes {
        if let Some(built) = route::route(context, entry, false) {
            context.conversion.plan.fixed_routes.push(built);
        }
    }
    for entry in &configuration.static_rules {
        if let Some(built) = rule::rule(context, entry, AddressFamily::Ipv4) {
            context.conversion.plan.fixed_rules.push(built);
        }
    }
}

fn pipe(context: &mut Context<'_>, subject: FifoSubject, fifo: &Fifo, reader: Option<&Command>) {
    let mut plan = FifoPlan::new(PathBuf::from(&fifo.path));
    plan.subject = subject;
    plan.reader = reader.and_then(|command| context.command(command, None));
    if let Some(owner) = &fifo.owner {
        match Credentials::look_up(&owner.name, owner.group.as_deref()) {
            Ok(credentials) => plan.owner = Some(credentials),
            Err(error) => {
                context.error(
                    Origin(None),
                    format!("the owner `{}` of {}: {error}", owner.name, fifo.path),
                );
            }
        }
    }
    context.conversion.plan.fifos.push(plan);
}

#[cfg(feature = "mail")]
fn mail(context: &mut Context<'_>) {
    let Some(global) = context.global() else { return };
    let Some(server) = &global.smtp_server else { return };
    if global.notification_email.is_empty() {
        return;
    }
    let host = context.environment.host_name();
    context.conversion.plan.mail = Some(MailSettings {
        server: server.host.clone(),
        port: server.port.unwrap_or(25),
        timeout: global
            .smtp_connect_timeout
            .map_or(Duration::from_secs(30), |seconds| seconds.as_duration()),
        hello: global.smtp_helo_name.clone(),
        from: global
            .notification_email_from
            .clone()
            .unwrap_or_else(|| format!("keepalived@{host}")),
        to: global.notification_email.iter().cloned().collect(),
        router_id: global.router_id.clone().unwrap_or(host),
        faults: !global.no_email_faults,
    });
}

/// keepalived's, for what names no interface.
const DEFAULT_INTERFACE: &str = "eth0";

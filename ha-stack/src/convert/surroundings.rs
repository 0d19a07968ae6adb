//! Static addresses, routes and rules, pipes and mail.

use std::path::PathBuf;
use std::time::Duration;

use keepalived_conf::{Command, Fifo, GlobalDefs, Origin, Raw};
use vrrp_proto::AddressFamily;

use crate::command::Credentials;
use crate::convert::{Context, Problem};
use crate::convert::{route, router, rule};
use crate::fixed::FixedAddress;
#[cfg(feature = "mail")]
use crate::notify::MailSettings;
use crate::plan::{FifoPlan, FifoSubject, Scheduling};

pub(super) fn convert(context: &mut Context<'_>) {
    fixed(context);
    let configuration = context.configuration;
    context.conversion.plan.network_namespace = configuration.net_namespace.clone();
    context.conversion.plan.ipvs_namespace = configuration.net_namespace_ipvs.clone();
    let Some(global) = context.global() else { return };
    start_delay(context, global);
    scheduling(context, global);
    #[cfg(feature = "balance")]
    check_scheduling(context, global);
    around(context, global);
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
    // keepalived raises itself to the second when it was late; here it is there before.
    let raised = global
        .max_auto_priority
        .and_then(|priority| u8::try_from(priority.0).ok());
    let raised = raised.filter(|priority| *priority > 0);
    let scheduling = Scheduling {
        name: thread_name(global, global.vrrp_process_name.as_ref(), "keepalived_vrrp"),
        realtime_priority: global.vrrp_rt_priority.max(raised),
        processors: processors(context, "vrrp_cpu_affinity", global.vrrp_cpu_affinity.as_ref()),
        niceness: global.vrrp_priority,
        // There is one bound for the whole process.
        longest_run: global
            .vrrp_rlimit_rttime
            .max(global.checker_rlimit_rttime)
            .map(|micros| Duration::from_micros(micros.into())),
        late: global
            .min_auto_priority_delay
            .map(|micros| Duration::from_micros(micros.into())),
    };
    context.conversion.plan.scheduling = scheduling;
}

#[cfg(feature = "balance")]
fn check_scheduling(context: &mut Context<'_>, global: &GlobalDefs) {
    let scheduling = Scheduling {
        name: thread_name(global, global.checker_process_name.as_ref(), "keepalived_ipvs"),
        realtime_priority: global.checker_rt_priority,
        processors: processors(
            context,
            "checker_cpu_affinity",
            global.checker_cpu_affinity.as_ref(),
        ),
        niceness: global.checker_priority,
        ..Scheduling::default()
    };
    context.conversion.plan.check_scheduling = scheduling;
}

/// As keepalived's process is called, where it is asked to be.
fn thread_name(global: &GlobalDefs, own: Option<&String>, usual: &str) -> Option<String> {
    own.cloned()
        .or_else(|| global.process_names.then(|| usual.to_owned()))
}

fn processors(context: &mut Context<'_>, keyword: &str, words: Option<&Raw>) -> Vec<usize> {
    let mut processors = Vec::new();
    for word in words.into_iter().flat_map(|raw| &raw.0) {
        match word.parse() {
            Ok(processor) => processors.push(processor),
            Err(_) => context.conversion.warnings.push(Problem {
                span: None,
                message: format!("`{word}` in {keyword} is no processor's number: it is left out"),
            }),
        }
    }
    processors
}

/// What comes before and after everything else, and the mode of what is written meanwhile.
fn around(context: &mut Context<'_>, global: &GlobalDefs) {
    let limit =
        |seconds: Option<u32>| seconds.map_or(SCRIPT_LIMIT, |seconds| Duration::from_secs(seconds.into()));
    let startup = global.startup_script.as_ref();
    let startup = startup.and_then(|command| context.command(command, None));
    let shutdown = global.shutdown_script.as_ref();
    let shutdown = shutdown.and_then(|command| context.command(command, None));
    let plan = &mut context.conversion.plan;
    plan.startup = startup.map(|command| (command, limit(global.startup_script_timeout)));
    plan.shutdown = shutdown.map(|command| (command, limit(global.shutdown_script_timeout)));
    if let Some(text) = &global.umask {
        plan.file_mask = file_mask(text);
        if plan.file_mask.is_none() {
            context.conversion.warnings.push(Problem {
                span: None,
                message: format!("`umask {text}` is neither a number nor bits: it is left out"),
            });
        }
    }
}

/// `022`, `0x12`, `18` or `IWGRP|IWOTH`.
fn file_mask(text: &str) -> Option<u32> {
    let number = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => u32::from_str_radix(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => u32::from_str_radix(digits, 8),
        _ => text.parse(),
    };
    if let Ok(mask) = number {
        return (mask <= 0o777).then_some(mask);
    }
    let mut mask = 0;
    for word in text.split('|') {
        let word = word.trim();
        let bit = match word.get(..2)? {
            "IR" => 4,
            "IW" => 2,
            "IX" => 1,
            _ => return None,
        };
        mask |= bit
            << match word.get(2..)? {
                "USR" => 6,
                "GRP" => 3,
                "OTH" => 0,
                _ => return None,
            };
    }
    Some(mask)
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

/// keepalived's, for its first and its last script.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10);

/// keepalived's, for what names no interface.
const DEFAULT_INTERFACE: &str = "eth0";

#[cfg(test)]
mod tests {
    use super::file_mask;

    #[test]
    fn a_mask_is_a_number_or_bits() {
        for (text, mask) in [
            ("022", Some(0o22)),
            ("0x12", Some(0o22)),
            ("18", Some(0o22)),
            ("0", Some(0)),
            ("IWGRP|IWOTH", Some(0o22)),
            ("IRUSR", Some(0o400)),
            ("IXGRP | IXOTH", Some(0o11)),
            ("01000", None),
            ("IWALL", None),
            ("I\u{e9}x", None),
            ("", None),
        ] {
            assert_eq!(file_mask(text), mask, "{text}");
        }
    }
}

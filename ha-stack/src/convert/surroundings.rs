//! Static addresses and routes, pipes and mail.

use std::path::PathBuf;

use keepalived_conf::{Command, Fifo, Origin};

use crate::command::Credentials;
use crate::convert::Context;
use crate::convert::{route, router};
use crate::fixed::FixedAddress;
#[cfg(feature = "mail")]
use crate::notify::MailSettings;
use crate::plan::FifoPlan;

pub(super) fn convert(context: &mut Context<'_>) {
    fixed(context);
    let Some(global) = context.global() else { return };
    for (fifo, reader) in [
        (&global.notify_fifo, &global.notify_fifo_script),
        (&global.vrrp_notify_fifo, &global.vrrp_notify_fifo_script),
    ] {
        if let Some(fifo) = fifo {
            pipe(context, fifo, reader.as_ref());
        }
    }
    #[cfg(feature = "mail")]
    mail(context);
}

/// Static addresses and routes.
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
}

fn pipe(context: &mut Context<'_>, fifo: &Fifo, reader: Option<&Command>) {
    let mut plan = FifoPlan::new(PathBuf::from(&fifo.path));
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
    use std::time::Duration;

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

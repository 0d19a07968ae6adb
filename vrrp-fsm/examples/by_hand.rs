//! One virtual router, driven by hand: it hears nobody and takes over, hears somebody stronger and yields, hears that one
//! leave and takes over again.

use vrrp_fsm::{Heard, Input, Instant, Parameters, VirtualRouter};
use vrrp_proto::{AdverInterval, Priority, Vrid};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vrid = Vrid::new(51).ok_or("a vrid is 1 to 255")?;
    let parameters = Parameters::builder(vrid, ["10.0.0.100".parse()?]).build()?;
    let mut router = VirtualRouter::new(parameters, Some("10.0.0.1".parse()?));
    let peer = "10.0.0.2".parse()?;
    let heard = |now, priority| {
        let heard = Heard::new(now, peer, Priority::new(priority), AdverInterval::DEFAULT);
        Input::Advertisement(heard)
    };

    give(&mut router, Instant::ZERO, Input::Startup { held: false });
    sleep_and_time_out(&mut router);
    sleep_and_time_out(&mut router);
    give(
        &mut router,
        Instant::from_millis(5_000),
        heard(Instant::from_millis(5_000), 150),
    );
    give(
        &mut router,
        Instant::from_millis(6_000),
        heard(Instant::from_millis(6_000), 0),
    );
    sleep_and_time_out(&mut router);
    give(&mut router, Instant::from_millis(7_000), Input::Shutdown);
    Ok(())
}

/// What a driver does after each input: everything that the router puts out, in that order.
fn give(router: &mut VirtualRouter, now: Instant, input: Input) {
    println!("{now} {input:?}");
    router.handle_input(now, input);
    while let Some(output) = router.poll_output() {
        println!("    {output:?}");
    }
    println!("    now {} because: {}", router.state(), router.reason());
}

/// A real driver sleeps here.
fn sleep_and_time_out(router: &mut VirtualRouter) {
    if let Some(due) = router.poll_timeout() {
        give(router, due, Input::Timeout);
    }
}

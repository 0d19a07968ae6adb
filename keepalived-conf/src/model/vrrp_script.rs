//! `vrrp_script`.

use crate::command::Command;
use crate::keyword::{FLAG, SCRIPT, VITAL, YES, count, int, secs, text};
use crate::macros::block;
use crate::model::track::{User, Weight};
use crate::value::Seconds;

block! {
    /// A check that is run again and again, and on whose result virtual routers act.
    VrrpScript(name: String) = "vrrp_script" {
        /// The command. Status 0 is success, anything else or a signal is failure.
        script: Option<Command> = ["script"], SCRIPT, "required", VITAL;
        /// From the start of one run to the start of the next. Fractions since keepalived 2.3.
        interval: Option<Seconds> = ["interval"], secs(1, 4_294_000), "1 s", YES;
        /// After so long the run is ended and counts as a failure.
        timeout: Option<Seconds> = ["timeout"], secs(1, 4_294_000), "the interval", YES;
        /// What it adds to the priority: positive while it succeeds, negative while it fails. Zero: failure is a fault.
        weight: Option<Weight> = ["weight"], int(-253, 253), "0", VITAL;
        /// So many successes in a row make it good.
        rise: Option<u32> = ["rise"], count(1, 2_147_483_647, "runs"), "1", YES;
        /// So many failures in a row make it bad.
        fall: Option<u32> = ["fall"], count(1, 2_147_483_647, "runs"), "1", YES;
        /// As whom it is run.
        user: Option<User> = ["user"], text("user [group]"), "`script_user`", VITAL;
        /// Bad until it has succeeded `rise` times.
        init_fail: bool = ["init_fail"], FLAG, "off", VITAL;
    }
}

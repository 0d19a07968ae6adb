//! `vrrp_sync_group`, and groups that follow static objects.

use crate::command::Command;
use crate::field::List;
use crate::keyword::{BOOL, FLAG, SCRIPT, VITAL, YES, list, no};
use crate::macros::block;
use crate::model::bfd::BFD;
use crate::model::track::{TrackBfd, TrackFile, TrackInterface, TrackProcess, TrackScript};

block! {
    /// Virtual routers that are active and backup together.
    SyncGroup(name: String) = "vrrp_sync_group" {
        /// The names of its members.
        group: List<String> = ["group"], list("virtual router names"), "required", VITAL;
        /// Interfaces tracked by every member.
        track_interface: List<TrackInterface> = ["track_interface"], list("interface [weight N] [reverse]"), "none", VITAL;
        /// Scripts tracked by every member.
        track_script: List<TrackScript> = ["track_script"], list("script [weight N] [reverse|noreverse]"), "none", VITAL;
        /// Files tracked by every member.
        track_file: List<TrackFile> = ["track_file"], list("file [weight N] [reverse|noreverse]"), "none", VITAL;
        /// Processes tracked by every member.
        track_process: List<TrackProcess> = ["track_process"], list("process [weight N] [reverse|noreverse]"), "none", VITAL;
        /// BFD sessions tracked by every member.
        track_bfd: List<TrackBfd> = ["track_bfd"], list("session [weight N] [reverse|noreverse]"), "none", BFD;
        /// Run when the group becomes active.
        notify_master: Option<Command> = ["notify_master"], SCRIPT, "none", YES;
        /// Run when the group becomes backup.
        notify_backup: Option<Command> = ["notify_backup"], SCRIPT, "none", YES;
        /// Run when the group is at fault.
        notify_fault: Option<Command> = ["notify_fault"], SCRIPT, "none", YES;
        /// Run when the daemon stops.
        notify_stop: Option<Command> = ["notify_stop"], SCRIPT, "none", YES;
        /// Run at each change, with `GROUP`, the name, the state and 0 appended.
        notify: Option<Command> = ["notify"], SCRIPT, "none", YES;
        /// Mails at each change.
        smtp_alert: Option<bool> = ["smtp_alert"], BOOL, "`smtp_alert_vrrp`", YES;
        /// Writes priorities to the FIFOs too.
        notify_priority_changes: Option<bool> = ["notify_priority_changes"], BOOL, "`vrrp_notify_priority_changes`", YES;
        /// Old word for what groups now always do.
        global_tracking: bool = ["global_tracking"], FLAG, "off", no("it is an old word without an effect; groups track what their members track");
        /// Keeps the weights of what the members track.
        sync_group_tracking_weight: bool = ["sync_group_tracking_weight"], FLAG, "weights of the members count as 0", VITAL;
    }
}

block! {
    /// Virtual routers that follow static addresses, routes and rules.
    TrackGroup(name: String) = "track_group" {
        /// The names of its members.
        group: List<String> = ["group"], list("virtual router names"), "required", YES;
    }
}

//! What is tracked, and how it weighs.

use std::num::NonZeroU32;
use std::time::Duration;

use keepalived_conf::{
    List, ParameterMatch, SyncGroup, TrackFile, TrackInterface, TrackProcess, TrackScript, Weight,
};

use crate::convert::Context;
use crate::plan::{TrackPlan, TrackedObject};
use crate::track::{ArgumentMatch, InitialValue, ProcessPattern, ScriptCheck, TrackedFile, TrackedProcess};

/// An object that can be tracked, with the weight its own block gives it.
pub(super) struct Object {
    object: TrackedObject,
    weight: Weight,
}

/// Puts scripts, files and processes into the plan. Returns those that can be tracked: a script that cannot be run is
/// tracked by nobody.
pub(super) fn objects(context: &mut Context<'_>) -> Vec<Object> {
    let configuration = context.configuration;
    let mut objects = Vec::new();
    for script in &configuration.vrrp_script {
        let Some(line) = &script.script else { continue };
        let Some(command) = context.command(line, script.user.as_ref()) else {
            continue;
        };
        let interval = script
            .interval
            .map_or(DEFAULT_INTERVAL, |seconds| seconds.as_duration());
        let count = |number: Option<u32>| number.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        context.conversion.plan.scripts.push(ScriptCheck {
            name: script.name.clone(),
            command,
            interval,
            timeout: script.timeout.map_or(interval, |seconds| seconds.as_duration()),
            rise: count(script.rise),
            fall: count(script.fall),
            init_fail: script.init_fail,
        });
        objects.push(Object {
            object: TrackedObject::Script(script.name.clone()),
            weight: script.weight.unwrap_or(NO_WEIGHT),
        });
    }
    for file in &configuration.track_file {
        let Some(path) = &file.file else { continue };
        context.conversion.plan.files.push(TrackedFile {
            name: file.name.clone(),
            path: path.into(),
            initial: file.init_file.map(|initial| InitialValue {
                value: initial.value.unwrap_or(0),
                overwrite: initial.overwrite,
            }),
        });
        objects.push(Object {
            object: TrackedObject::File(file.name.clone()),
            weight: file.weight.unwrap_or(FILE_WEIGHT),
        });
    }
    for process in &configuration.vrrp_track_process {
        let Some(pattern) = &process.process else { continue };
        let seconds = |own: Option<keepalived_conf::Seconds>| {
            own.or(process.delay)
                .map_or(Duration::ZERO, |seconds| seconds.as_duration())
        };
        let arguments = match process.param_match {
            // Without the keyword arguments that are given have to be the same, and none given are not looked at.
            None if pattern.arguments.is_empty() => ArgumentMatch::Initial,
            None => ArgumentMatch::Exact,
            Some(ParameterMatch::Initial) => ArgumentMatch::Partial,
            Some(ParameterMatch::Partial) => ArgumentMatch::Initial,
        };
        let words = std::iter::once(pattern.command.clone()).chain(pattern.arguments.iter().cloned());
        let by_command =
            process.full_command || process.param_match.is_some() || !pattern.arguments.is_empty();
        let least = process.quorum.map_or(1, |number| number as usize);
        let most = process.quorum_max.map_or(usize::MAX, |number| number as usize);
        context.conversion.plan.processes.push(TrackedProcess {
            name: process.name.clone(),
            pattern: match by_command {
                true => ProcessPattern::Command {
                    words: words.collect(),
                    arguments,
                },
                false => ProcessPattern::Name(pattern.command.clone()),
            },
            quorum: least..=most,
            up_delay: seconds(process.fork_delay),
            down_delay: seconds(process.terminate_delay),
        });
        objects.push(Object {
            object: TrackedObject::Process(process.name.clone()),
            weight: process.weight.unwrap_or(NO_WEIGHT),
        });
    }
    objects
}

/// The lists of one virtual router or sync group.
pub(super) struct Lists<'a> {
    pub(super) interfaces: &'a List<TrackInterface>,
    pub(super) scripts: &'a List<TrackScript>,
    pub(super) files: &'a List<TrackFile>,
    pub(super) processes: &'a List<TrackProcess>,
}

/// What a virtual router or group tracks by itself.
pub(super) fn tracks(lists: &Lists<'_>, objects: &[Object], own_interface: Option<&str>) -> Vec<TrackPlan> {
    let mut tracks: Vec<TrackPlan> = Vec::new();
    let mut add = |object: TrackedObject, weight: Weight| {
        // Of an object that is listed twice keepalived, too, takes the first.
        if !tracks.iter().any(|track| track.object == object) {
            tracks.push(TrackPlan {
                object,
                weight: i16::try_from(weight.value).unwrap_or(0),
                reverse: weight.reverse,
            });
        }
    };
    for entry in lists.interfaces {
        // Its own interface a virtual router tracks in any case.
        if own_interface != Some(entry.name.as_str()) {
            let weight = Weight {
                value: entry.weight.unwrap_or(0).into(),
                reverse: entry.reverse,
            };
            add(TrackedObject::Interface(entry.name.clone()), weight);
        }
    }
    let mut add_known = |object: TrackedObject, weight: Option<i16>, reverse: bool, noreverse: bool| {
        if let Some(known) = objects.iter().find(|known| known.object == object) {
            let weight = Weight {
                value: weight.map_or(known.weight.value, i64::from),
                reverse: (known.weight.reverse || reverse) && !noreverse,
            };
            add(object, weight);
        }
    };
    for entry in lists.scripts {
        let object = TrackedObject::Script(entry.name.clone());
        add_known(object, entry.weight, entry.reverse, entry.noreverse);
    }
    for entry in lists.files {
        let object = TrackedObject::File(entry.name.clone());
        add_known(object, entry.weight, entry.reverse, entry.noreverse);
    }
    for entry in lists.processes {
        let object = TrackedObject::Process(entry.name.clone());
        add_known(object, entry.weight, entry.reverse, entry.noreverse);
    }
    tracks
}

/// What a member of a sync group tracks: its own objects and the group's, with keepalived's rules for weights.
pub(super) fn in_group(
    own: Vec<TrackPlan>,
    of_group: Vec<TrackPlan>,
    group: &SyncGroup,
    owner_in_group: bool,
) -> Vec<TrackPlan> {
    let mut tracks = own;
    for track in of_group {
        match tracks.iter_mut().find(|known| known.object == track.object) {
            // The group's weight holds, unless the member's own entry has none.
            Some(known) if known.weight != 0 => *known = track,
            Some(_) => {}
            None => tracks.push(track),
        }
    }
    if !group.sync_group_tracking_weight {
        tracks.retain_mut(|track| match &track.object {
            TrackedObject::Interface(_) => {
                track.weight = 0;
                true
            }
            TrackedObject::Script(_) => track.weight == 0,
            TrackedObject::File(_) => {
                let kept = track.weight == 0 || i64::from(track.weight) == FILE_WEIGHT.value;
                track.weight = 0;
                kept
            }
            // keepalived leaves these as they are.
            TrackedObject::Process(_) | TrackedObject::Peer | TrackedObject::Start => true,
        });
    }
    if owner_in_group {
        for track in &mut tracks {
            track.weight = 0;
        }
    }
    tracks
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

const NO_WEIGHT: Weight = Weight {
    value: 0,
    reverse: false,
};

const FILE_WEIGHT: Weight = Weight {
    value: 1,
    reverse: false,
};

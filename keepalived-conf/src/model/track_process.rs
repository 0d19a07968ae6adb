//! `vrrp_track_process`.

use crate::field::Value;
use crate::keyword::{FLAG, Keyword, Range, VITAL, YES, count, int, secs, text};
use crate::lexer::Words;
use crate::macros::{block, words};
use crate::model::track::Weight;
use crate::reader::Reader;
use crate::value::{Seconds, next};

block! {
    /// Processes that are counted, and on whose number virtual routers act.
    TrackedProcess(name: String) = "vrrp_track_process" {
        /// The command name, and the arguments it must have been started with.
        process: Option<ProcessPattern> = ["process"], text("command [arguments]"), "required", VITAL;
        /// How the arguments are compared.
        param_match: Option<ParameterMatch> = ["param_match"], Range::OneOf(ParameterMatch::WORDS), "all must be equal", YES;
        /// What it adds to the priority: positive while enough run, negative while not. Zero: not enough is a fault.
        weight: Option<Weight> = ["weight"], int(-254, 254), "0", VITAL;
        /// At least so many must run.
        quorum: Option<u32> = ["quorum"], count(1, 65_535, "processes"), "1", VITAL;
        /// At most so many may run.
        quorum_max: Option<u32> = ["quorum_max"], count(0, 65_535, "processes"), "no bound", VITAL;
        /// A new process counts only after so long.
        fork_delay: Option<Seconds> = ["fork_delay"], secs(0, 3_600_000), "0 s", YES;
        /// A process that has ended still counts for so long.
        terminate_delay: Option<Seconds> = ["terminate_delay"], secs(0, 3_600_000), "0 s", YES;
        /// Both delays.
        delay: Option<Seconds> = ["delay"], secs(0, 3_600_000), "0 s", YES;
        /// Compares the whole command line instead of the command name.
        full_command: bool = ["full_command"], FLAG, "off", YES;
    }
}

/// A command and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct ProcessPattern {
    /// The command name.
    pub command: String,
    /// Its arguments; none means that they are not looked at, unless `param_match` is given.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub arguments: Vec<String>,
}

impl Value for ProcessPattern {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let command = next(words, keyword, reader)?.text.to_string();
        let arguments = std::iter::from_fn(|| words.take())
            .map(|word| word.text.to_string())
            .collect();
        Some(Self { command, arguments })
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.command.clone());
        line.extend(self.arguments.iter().cloned());
    }
}

crate::macros::settings!(ProcessPattern);

words! {
    /// How the arguments of a process are compared.
    ParameterMatch {
        /// The last argument may be longer than the one configured.
        Initial = ["initial"],
        /// There may be more arguments than those configured.
        Partial = ["partial"],
    }
}

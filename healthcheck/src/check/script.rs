//! A program of one's own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// A program that is run for every attempt, as keepalived's `MISC_CHECK` does: exit status 0 is a pass. At the deadline
/// its whole process group gets SIGTERM, and two seconds later SIGKILL.
///
/// It proves what the program proves. Its input and output are `/dev/null`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    pub(crate) plan: Arc<ScriptPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScriptPlan {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) user: Option<(u32, u32)>,
    pub(crate) dynamic: bool,
}

impl Script {
    /// This program, without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let plan = ScriptPlan {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            user: None,
            dynamic: false,
        };
        Self { plan: Arc::new(plan) }
    }

    /// With one more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        Arc::make_mut(&mut self.plan).arguments.push(argument.into());
        self
    }

    /// With one more variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        Arc::make_mut(&mut self.plan)
            .environment
            .push((name.into(), value.into()));
        self
    }

    /// As this user and group (by number).
    #[must_use]
    pub fn user(mut self, user: u32, group: u32) -> Self {
        Arc::make_mut(&mut self.plan).user = Some((user, group));
        self
    }

    /// An exit status from 2 to 255 is a pass too, and sets the weight to the status less two (keepalived's
    /// `misc_dynamic`).
    #[must_use]
    pub fn dynamic(mut self, on: bool) -> Self {
        Arc::make_mut(&mut self.plan).dynamic = on;
        self
    }
}

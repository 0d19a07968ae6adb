//! From keepalived's configuration to a [`Plan`].
//!
//! What keepalived-conf resolves (defaults, contradictions) is taken as resolved; here names become users, programs and
//! parameters of the election. Whatever cannot be carried out is said, never silently left out.

#[cfg(feature = "balance")]
mod check;
mod command;
mod names;
mod route;
mod router;
mod rule;
#[cfg(feature = "balance")]
mod server;
mod signing;
mod surroundings;
mod track;

use std::path::PathBuf;

use keepalived_conf::{Configuration, Environment, Origin, Span};

use crate::plan::Plan;

/// What a conversion may be told beside the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConvertOptions {
    /// The shell that runs commands which are shell syntax and not a program. Without it they are left out, as keepalived
    /// leaves them out.
    pub script_shell: Option<PathBuf>,
    /// Whether there is something that carries `lb_kind FNAT`: the embedded proxy does, the kernel's IPVS does not. `None`
    /// while that is not known, which is a warning where the word stands.
    pub full_nat: Option<bool>,
}

/// A configuration as a plan, and what stands in its way.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Conversion {
    /// The plan; to be run only if there are no errors.
    pub plan: Plan,
    /// What makes it impossible, or would change who is elected.
    pub errors: Vec<Problem>,
    /// What is not done, and what that means.
    pub warnings: Vec<Problem>,
}

/// One thing about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where in the text.
    pub span: Option<Span>,
    /// What, in one line.
    pub message: String,
}

impl Conversion {
    /// Converts `configuration`, which should have been found free of errors. `environment` says which programs there
    /// are.
    pub fn of(
        configuration: &Configuration,
        environment: &dyn Environment,
        options: &ConvertOptions,
    ) -> Self {
        let mut conversion = Self::default();
        let mut context = Context {
            configuration,
            environment,
            options,
            conversion: &mut conversion,
            preference: FIRST_PREFERENCE,
            #[cfg(feature = "balance")]
            policy: None,
        };
        surroundings::convert(&mut context);
        let runnable = track::objects(&mut context);
        router::convert(&mut context, &runnable);
        #[cfg(feature = "balance")]
        server::convert(&mut context);
        conversion
    }
}

/// What every part of the conversion looks at, and where it puts what it finds.
struct Context<'a> {
    configuration: &'a Configuration,
    environment: &'a dyn Environment,
    options: &'a ConvertOptions,
    conversion: &'a mut Conversion,
    /// What the next rule without a preference gets.
    preference: u32,
    /// When the last check is made.
    #[cfg(feature = "balance")]
    policy: Option<std::sync::Arc<healthcheck::Policy>>,
}

impl Context<'_> {
    fn next_preference(&mut self) -> u32 {
        let next = self.preference;
        self.preference = next.saturating_sub(1);
        next
    }

    fn error(&mut self, origin: Origin, message: impl Into<String>) {
        self.conversion.errors.push(Problem {
            span: origin.0,
            message: message.into(),
        });
    }

    fn warning(&mut self, origin: Origin, message: impl Into<String>) {
        self.conversion.warnings.push(Problem {
            span: origin.0,
            message: message.into(),
        });
    }
}

/// keepalived counts down from here.
const FIRST_PREFERENCE: u32 = 16_384;

#[cfg(test)]
mod tests;

//! What a reader may be told beside the text.

use crate::limits::Limits;

/// What a reader may be told beside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// With what `@id` lines are compared (keepalived's `-i`); `None` for the host's name up to its first dot.
    pub config_id: Option<String>,
    /// What `${_INSTANCE}` stands for; `None` for what `@id` lines are compared with, as with keepalived.
    pub instance: Option<String>,
    /// The start of `${_RANDOM}`.
    pub random_seed: u64,
    /// Scripts that are text for a shell are going to be run by one: their diagnostics say so.
    pub shell_scripts: bool,
    /// How much the text may ask for.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config_id: None,
            instance: None,
            random_seed: 0x9e37_79b9_7f4a_7c15,
            shell_scripts: false,
            limits: Limits::default(),
        }
    }
}

//! What can fail besides the text itself, which has [diagnostics](crate::Diagnostic).

use thiserror::Error;

/// Why an operation of this crate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has errors; the report says which.
    #[error("the configuration has {errors} errors and {warnings} warnings")]
    Rejected {
        /// How many errors.
        errors: usize,
        /// How many warnings beside them.
        warnings: usize,
    },
    /// A value cannot be written in keepalived's language: a quotation mark or control character in a plain word, or a
    /// line of more than 1,023 bytes.
    #[error("{values} values cannot be written in keepalived's language")]
    Unprintable {
        /// How many values.
        values: usize,
    },
}

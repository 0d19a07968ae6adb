//! ipvsadm's language: the lines of `ipvsadm -S`, which are its own options.

mod parse;
mod write;

pub use parse::{ParseError, ParseErrorKind, parse_rules};
pub use write::{write_request, write_rules};

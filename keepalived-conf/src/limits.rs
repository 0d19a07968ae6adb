//! How much a configuration may ask for.

/// Bounds on what one configuration may make the parser do. Reaching one is an error with its place, never a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file. Default 16 MiB.
    pub file_bytes: u64,
    /// Files in all, the main one included. Default 4,096.
    pub files: usize,
    /// How deep one file may include another. Default 32.
    pub include_depth: usize,
    /// Lines after all definitions and sequences are written out. Default 2,000,000: keepalived's manual shows a
    /// sequence that makes 65,024 virtual routers.
    pub lines: usize,
    /// Bytes of those lines. Default 128 MiB.
    pub bytes: usize,
    /// How deep blocks may stand in each other. Default 32; the language needs 5.
    pub block_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 16 << 20,
            files: 4_096,
            include_depth: 32,
            lines: 2_000_000,
            bytes: 128 << 20,
            block_depth: 32,
        }
    }
}

/// keepalived's own limit on a line of a file, in bytes; a longer one is reported and ignored.
pub(crate) const LINE_BYTES: usize = 1_023;
/// A line with its definitions written out. keepalived has no such limit, and hangs.
pub(crate) const EXPANDED_LINE_BYTES: usize = 64 << 10;
/// Substitutions in one line; keepalived 2.2.7 loops for ever on `$A=$A`.
pub(crate) const SUBSTITUTIONS: usize = 1_000;
/// Values that the sequences around a line have given; each line has them all.
pub(crate) const BINDINGS: usize = 256;

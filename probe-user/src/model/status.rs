//! Exit statuses, as `--help` lists them.

/// All is well.
pub const OK: u8 = 0;
/// Something failed on the way, or a demo did not add up.
pub const FAILED: u8 = 1;
/// The arguments make no sense here.
pub const USAGE: u8 = 2;
/// This kernel cannot.
pub const KERNEL: u8 = 3;
/// A capability is missing.
pub const PRIVILEGE: u8 = 4;

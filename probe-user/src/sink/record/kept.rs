//! How much of a recording, or of a file of lines, is kept, as the command line has it.

use clap::Args;

use super::{Age, Options, Size, Turn};

/// How much is kept.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Recording")]
pub struct Kept {
    /// Begin a new part of the recording, or a new --output file, when one is this large or this old, such as 64M or 24h
    #[arg(long, value_name = "SIZE|AGE")]
    pub rotate: Option<Turn>,

    /// Keep no more than this, such as 1G: the oldest parts or files are deleted
    #[arg(long, value_name = "SIZE")]
    pub keep: Option<Size>,

    /// Delete parts or files that ended longer ago than this, such as 7d
    #[arg(long = "keep-for", value_name = "AGE")]
    pub keep_for: Option<Age>,
}

impl Kept {
    /// Whether anything is asked for.
    pub const fn is_asked(&self) -> bool {
        self.rotate.is_some() || self.keep.is_some() || self.keep_for.is_some()
    }

    pub(in crate::sink) const fn options(&self) -> Options {
        Options {
            rotate: self.rotate,
            keep: self.keep,
            keep_for: self.keep_for,
        }
    }
}

//! The kernel side's debug lines on standard error, for debug builds only: one
//! costs more than the rest of a hook, and their ring drops silently.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

pub(crate) type Lines = EbpfLogger<StandardError>;

pub(crate) struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("kernel side: {}", record.args());
    }

    fn flush(&self) {}
}

/// Starts reading the lines.
pub(crate) fn begin(ebpf: &mut Ebpf) -> Result<Lines, String> {
    EbpfLogger::init_with_logger(ebpf, StandardError).map_err(|error| error.to_string())
}

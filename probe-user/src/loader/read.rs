//! Readings of the kernel side that fail, in sentences. What could not be read is not zero: whoever asks is told.

use std::{error::Error, io};

use aya::{maps::MapError, util::nr_cpus};

use super::answer::in_short;

/// What was read, and why it was not.
#[derive(Debug, thiserror::Error)]
#[error("{what} could not be read: {why}")]
pub struct ReadError {
    what: String,
    why: String,
}

impl ReadError {
    pub(super) fn of_map(name: &str) -> impl Fn(MapError) -> Self {
        let what = format!("the kernel side's map {name}");
        move |error| Self::new(what.clone(), &error)
    }

    /// Programs that may still write to a map could not be waited for.
    pub(super) fn of_grace(why: String) -> Self {
        let what = "a full map of the kernel side".into();
        let why = format!("the programs that write to it could not be waited for: {why}");
        Self { what, why }
    }

    pub(super) fn new(what: String, error: &(dyn Error + 'static)) -> Self {
        let advice = advice(error);
        let why = format!("{}{advice}", in_short(error));
        Self { what, why }
    }
}

/// How many processors there may be: without it no map that has a value for each can be read. Asked for before anything else is
/// opened, and known to this thread from then on.
pub(super) fn learn_cpus() -> Result<(), ReadError> {
    let known = nr_cpus().map(drop);
    known.map_err(|(path, error)| {
        let mut error = ReadError::new(path.into(), &error);
        error.why += "; the exact counts are one for each processor, and cannot be read without it: is sysfs mounted at /sys?";
        error
    })
}

/// What to try.
fn advice(error: &(dyn Error + 'static)) -> &'static str {
    let mut cause = Some(error);
    while let Some(this) = cause {
        let io = this.downcast_ref::<io::Error>();
        match io.and_then(io::Error::raw_os_error) {
            Some(libc::EMFILE) => return "; let whydrop open more files (`ulimit -n 1024`)",
            Some(libc::ENFILE) => {
                return "; let this host open more files (`sysctl fs.file-max`)";
            }
            _ => cause = this.source(),
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_was_met_is_named() {
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let error = ReadError::new("the map".into(), &error).to_string();
        assert!(
            error.starts_with("the map could not be read: Too many open files"),
            "{error}"
        );
        assert!(error.ends_with("(`ulimit -n 1024`)"), "{error}");
        let error = io::Error::from_raw_os_error(libc::EIO);
        let error = ReadError::new("the map".into(), &error).to_string();
        assert!(error.ends_with("(os error 5)"), "{error}");
    }
}

//! How large the stack of the first thread may grow. Who started whydrop may have limited it to less than an answer needs, and the
//! kernel asks for the limit each time that it grows (mm/vma.c:acct_stack_growth, 5.10 to 7.2: mm/mmap.c before 6.11).
//!
//! In: nothing. Out: a limit that is large enough, as far as it may be raised; for commands that are started the one of before.

use std::{io, sync::OnceLock, thread::Builder};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What there is by default, and more than is needed.
const ENOUGH: u64 = 8 << 20;

/// The limit of before, where it was raised.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// To be called first of all.
pub fn widen() {
    let before = getrlimit(Resource::Stack);
    let Some(wanted) = widened(&before) else {
        return;
    };
    let most = Rlimit {
        current: before.maximum,
        ..before
    };
    // Only who has CAP_SYS_RESOURCE may have more than the hard limit. What is not given may still be enough.
    if setrlimit(Resource::Stack, wanted).is_ok() || setrlimit(Resource::Stack, most).is_ok() {
        let _ = BEFORE.set(before);
    }
}

/// Runs this where the stack is large enough: on this thread, or on another one that waits for nothing but this where the hard
/// limit leaves too little.
///
/// # Errors
/// There is too little, and no thread can be made.
pub fn with_enough<T: Send>(what: impl FnOnce() -> T + Send) -> io::Result<T> {
    if widened(&getrlimit(Resource::Stack)).is_none() {
        return Ok(what());
    }
    std::thread::scope(|scope| {
        let thread = Builder::new().stack_size(ENOUGH as usize);
        let running = thread.spawn_scoped(scope, what)?;
        match running.join() {
            Ok(done) => Ok(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether the limit was raised.
pub fn is_widened() -> bool {
    BEFORE.get().is_some()
}

/// Gives a command that is started the limit of before; async-signal-safe.
///
/// # Errors
/// The kernel refuses it.
pub fn restore() -> io::Result<()> {
    match BEFORE.get() {
        Some(before) => Ok(setrlimit(Resource::Stack, *before)?),
        None => Ok(()),
    }
}

/// `None` where there is enough.
fn widened(limit: &Rlimit) -> Option<Rlimit> {
    let is_less = |limit: Option<u64>| limit.is_some_and(|bytes| bytes < ENOUGH);
    let enough = |limit: Option<u64>| limit.map(|bytes| bytes.max(ENOUGH));
    is_less(limit.current).then(|| Rlimit {
        current: Some(ENOUGH),
        maximum: enough(limit.maximum),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_and_never_lowered() {
        let of = |current, maximum| {
            let limit = Rlimit { current, maximum };
            widened(&limit).map(|limit| (limit.current, limit.maximum))
        };
        let small = Some(64 << 10);
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some(ENOUGH), None), None);
        assert_eq!(of(small, None), Some((Some(ENOUGH), None)));
        assert_eq!(of(small, small), Some((Some(ENOUGH), Some(ENOUGH))));
        assert_eq!(
            of(small, Some(ENOUGH * 2)),
            Some((Some(ENOUGH), Some(ENOUGH * 2)))
        );
    }
}

//! aya's loader without the kernel's BTF. `EbpfLoader::new` parses all of it, which would be the peak of memory, for relocations
//! that this object does not have, and there is no way to ask it not to (aya 0.14). So it is made on a thread that sees no
//! /sys. Where no thread may be made, or it may not do that, everything works as well, with more memory.

use std::thread;

use aya::EbpfLoader;
use rustix::{process::chroot, thread::UnshareFlags};

/// A folder in which there is nothing by aya's path.
const WITHOUT_SYS: &str = "/proc/self/fdinfo";

pub(super) fn loader() -> EbpfLoader<'static> {
    let without_sys = || {
        // The root of this thread alone, which ends here: where the first fails, the second must not be tried.
        // SAFETY: this thread has a root and a working directory of its own afterwards, and no other thread relies on it for them.
        let is_alone = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }.is_ok();
        if is_alone {
            let _ = chroot(WITHOUT_SYS);
        }
        EbpfLoader::new()
    };
    let made = thread::Builder::new().spawn(without_sys);
    made.ok()
        .and_then(|made| made.join().ok())
        .unwrap_or_default()
}

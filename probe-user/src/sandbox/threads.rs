//! Capabilities are a thread's own, so each thread has to give its own away: in the handler of a signal, as a C library
//! changes the user of a process (nptl(7)).

use std::{
    fs, io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::host::status::mask;

/// How long threads may take. One that hangs in the kernel gives up its capabilities when it comes back.
const PATIENCE: Duration = Duration::from_secs(1);

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// _LINUX_CAPABILITY_VERSION_3 of include/uapi/linux/capability.h: 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

/// For the handler: what is kept.
static KEEP: AtomicU64 = AtomicU64::new(u64::MAX);

#[repr(C)]
struct Header {
    version: u32,
    /// 0: the calling thread.
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Of the calling thread: nothing but these stays in any set, and no exec gives one again.
pub(super) fn reduce(keep: u64) -> io::Result<()> {
    give_up(keep)
        .then_some(())
        .ok_or_else(io::Error::last_os_error)
}

/// It makes system calls alone, since a signal may have come at any instruction.
fn give_up(keep: u64) -> bool {
    // SAFETY: these take numbers, and change the calling thread.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        for capability in (0..u64::BITS).filter(|bit| keep >> bit & 1 == 0) {
            // Who may not (no CAP_SETPCAP) is found by the look afterwards; numbers that the kernel does not have are refused.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
    }
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut halves = [Half::default(); 2];
    // SAFETY: the kernel writes two halves for this version.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) } != 0 {
        return false;
    }
    for (half, keep) in halves.iter_mut().zip([keep as u32, (keep >> 32) as u32]) {
        half.effective &= keep;
        half.permitted &= keep;
        // And with it the ambient set (security/commoncap.c:cap_capset).
        half.inheritable = 0;
    }
    // SAFETY: the kernel reads two halves for this version.
    unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) == 0 }
}

extern "C" fn on_signal(_: libc::c_int) {
    // SAFETY: the address of this thread's own number is always good.
    unsafe {
        let number = libc::__errno_location();
        let before = *number;
        // Whether it went is looked up afterwards.
        give_up(KEEP.load(Ordering::Acquire));
        *number = before;
    }
}

/// Of all threads; an error is a sentence. The handler stays: a thread that comes back later still has to find it.
pub(super) fn reduce_all(keep: u64) -> Result<(), String> {
    let said = |error: io::Error| format!("capabilities stay: {error}");
    KEEP.store(keep, Ordering::Release);
    reduce(keep).map_err(said)?;
    let signal = libc::SIGRTMIN() + 3;
    // SAFETY: `action` is plain data, whose mask is empty; the handler makes system calls alone.
    let is_set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut()) == 0
    };
    if !is_set {
        return Err(said(io::Error::last_os_error()));
    }
    let deadline = Instant::now() + PATIENCE;
    // Who is made by a thread that has given up its own has none either, so this ends.
    let mut asked = Vec::new();
    loop {
        let left = having_more(keep).map_err(said)?;
        if left.is_empty() || Instant::now() > deadline {
            return Ok(());
        }
        for thread in left {
            // Each once: who gets the same answer again would be asked in vain.
            if !asked.contains(&thread) {
                // SAFETY: it takes numbers; a thread that has ended is no error.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
                asked.push(thread);
            }
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

/// Threads that have not had their turn: by what they may do, not by what an exec might give.
fn having_more(keep: u64) -> io::Result<Vec<i32>> {
    let mut left = Vec::new();
    each(|thread, status| {
        let has_more = |set| mask(status, set).is_none_or(|held| held & !keep != 0);
        if has_more("CapPrm") || number(status, "NoNewPrivs") != Some(1) {
            left.push(thread);
        }
    })?;
    Ok(left)
}

/// What any thread still has or may, by /proc; an error is a sentence.
pub(super) fn unconfined(keep: u64) -> Result<(), String> {
    let mut lacks: Vec<String> = Vec::new();
    let read = each(|thread, status| {
        for (set, kept) in [
            ("CapPrm", keep),
            ("CapEff", keep),
            ("CapInh", 0),
            ("CapAmb", 0),
            ("CapBnd", keep),
        ] {
            let held = mask(status, set);
            if held.is_none_or(|held| held & !kept != 0) {
                lacks.push(format!("{set} of thread {thread} has more than it needs"));
            }
        }
        if number(status, "NoNewPrivs") != Some(1) {
            lacks.push(format!("thread {thread} has no NoNewPrivs"));
        }
        if number(status, "Seccomp") != Some(2) {
            lacks.push(format!("thread {thread} has no filter"));
        }
    });
    let read = read.map_err(|error| format!("what is in force is not known: {error}"));
    match (read, lacks.into_iter().next()) {
        (Err(why), _) | (Ok(()), Some(why)) => Err(why),
        (Ok(()), None) => Ok(()),
    }
}

fn number(status: &[u8], name: &str) -> Option<u64> {
    // One digit is the same number in either system.
    mask(status, name)
}

/// Calls it with the number of each thread, and what /proc says of it.
fn each(mut f: impl FnMut(i32, &[u8])) -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match fs::read(entry.path().join("status")) {
            Ok(status) => f(thread, &status),
            // It has ended.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

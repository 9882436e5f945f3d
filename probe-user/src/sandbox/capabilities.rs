//! Which capabilities something still needs, found by trying where kernels differ. docs/privileges.md says what is lost
//! without each.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::threads;
use crate::host::{status::mask, threads::spawn};

/// Bit numbers of include/uapi/linux/capability.h.
const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const NET_ADMIN: u32 = 12;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const SYS_NICE: u32 = 23;
const SYSLOG: u32 = 34;
const BPF: u32 = 39;

/// Those that may be kept, by name.
const NAMES: [(u32, &str); 8] = [
    (DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"),
    (NET_ADMIN, "CAP_NET_ADMIN"),
    (SYS_PTRACE, "CAP_SYS_PTRACE"),
    (SYS_ADMIN, "CAP_SYS_ADMIN"),
    (SYS_NICE, "CAP_SYS_NICE"),
    (SYSLOG, "CAP_SYSLOG"),
    (BPF, "CAP_BPF"),
];

/// What is needed while a watch goes on.
const ALWAYS: u64 =
    1 << DAC_READ_SEARCH | 1 << NET_ADMIN | 1 << SYS_PTRACE | 1 << SYS_ADMIN | 1 << SYSLOG;

/// What depends on the watch.
pub(super) struct Needs<'a> {
    /// Whether threads take turns with kprobes, for which they change their priority.
    pub is_nice: bool,
    /// Files and folders in which files are made later.
    pub written: &'a [Option<&'a Path>],
}

/// What is to be kept, as a mask.
pub(super) fn needed(needs: &Needs<'_>) -> io::Result<u64> {
    let keep = ALWAYS | u64::from(needs.is_nice) << SYS_NICE;
    let written: Vec<PathBuf> = needs.written.iter().flatten().map(PathBuf::from).collect();
    // On a thread that ends with it, so that nobody else is without them if it is not enough.
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let try_it = move || {
        let more = threads::reduce(keep).map(|()| lacking(&written));
        drop(tell.send(more));
    };
    spawn("to try capabilities", try_it).map_err(io::Error::other)?;
    let more = told.recv().map_err(io::Error::other)??;
    Ok(keep | more)
}

/// What the calling thread would need on top.
fn lacking(written: &[PathBuf]) -> u64 {
    let mut more = 0;
    if !reads_maps() {
        more |= 1 << BPF;
    }
    if !written.iter().all(|path| is_written(path)) {
        more |= 1 << DAC_OVERRIDE;
    }
    more
}

/// Whether maps are read by their descriptors alone. Before 5.19 every command of bpf(2) needs CAP_BPF where
/// `unprivileged_bpf_disabled` is not 0 (kernel/bpf/syscall.c:__sys_bpf): then not even a bad descriptor is looked at.
fn reads_maps() -> bool {
    const MAP_GET_NEXT_KEY: libc::c_long = 4;
    // `union bpf_attr`: `map_fd`, then pointers that are looked at later.
    let mut attr = [0_u64; 4];
    attr[0] = u64::from(u32::MAX);
    let size = size_of_val(&attr);
    // SAFETY: the kernel reads as many bytes of `attr` as it is told to, and fails at its descriptor, which is -1.
    let asked = unsafe { libc::syscall(libc::SYS_bpf, MAP_GET_NEXT_KEY, attr.as_ptr(), size) };
    asked != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::EPERM)
}

/// Whether a file can be made there, and that one be opened again; the folder may have to be made first.
fn is_written(path: &Path) -> bool {
    let may = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    let mut above = path.ancestors().map(|part| match part.as_os_str() {
        empty if empty.is_empty() => Path::new("."),
        _ => part,
    });
    let there = above.find(|part| part.exists());
    there.is_some_and(|there| may(there) && (there.is_dir() || above.next().is_none_or(may)))
}

/// Those that this thread has.
pub(super) fn held() -> u64 {
    let status = fs::read("/proc/thread-self/status").ok();
    // Nothing is said to be gone of which that is not known.
    status
        .and_then(|status| mask(&status, "CapPrm"))
        .unwrap_or(u64::MAX)
}

/// The names of those in the mask that may be kept; others only by their number.
pub(super) fn names(mask: u64) -> Vec<String> {
    let name = |bit: u32| match NAMES.iter().find(|(number, _)| *number == bit) {
        Some((_, name)) => (*name).to_owned(),
        None => bit.to_string(),
    };
    (0..u64::BITS)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(name)
        .collect()
}

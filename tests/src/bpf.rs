//! Which BPF programs a process holds, and whether they are still in the
//! kernel: the proof that nothing stays attached.

use std::collections::BTreeSet;
use std::io::Error;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};

use crate::deadline::{soon, wait_until};

const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;

/// The ids of all programs that the process has open, by themselves or
/// through a link.
pub fn programs_of(pid: u32) -> Result<BTreeSet<u32>> {
    let directory = format!("/proc/{pid}/fdinfo");
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).with_context(|| format!("read {directory}"))? {
        // A descriptor may be closed between the two reads.
        let info = std::fs::read_to_string(entry?.path()).unwrap_or_default();
        let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"));
        ids.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
    }
    Ok(ids)
}

/// Returns when the kernel has none of these programs any more: it frees them after a grace period.
pub fn wait_gone(programs: &BTreeSet<u32>) -> Result<()> {
    wait_until("the end of every program", soon(), || {
        for id in programs {
            if exists(*id)? {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// Whether the kernel still has a program of this id.
fn exists(id: u32) -> Result<bool> {
    #[repr(C)]
    struct ById {
        id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let attributes = ById {
        id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the attributes are alive for the call, and their size is given.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_GET_FD_BY_ID,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if fd >= 0 {
        // SAFETY: a new descriptor that nobody else knows of.
        drop(unsafe { OwnedFd::from_raw_fd(fd as i32) });
        return Ok(true);
    }
    match Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        error => bail!("look up BPF program {id}: {error}"),
    }
}

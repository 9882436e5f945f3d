//! What the BPF programs of a process cost, as the kernel counts it
//! (kernel/bpf/syscall.c:bpf_prog_get_info_by_fd, 5.8 to 7.2).

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{bpf, process};

const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_ENABLE_STATS: libc::c_int = 32;

/// The kernel counts time for as long as this lives, for everybody's programs.
pub struct Counting(#[allow(dead_code)] OwnedFd);

pub fn count() -> Result<Counting> {
    // BPF_STATS_RUN_TIME is 0.
    let fd = bpf_fd(BPF_ENABLE_STATS, &0_u32).context("count the time of BPF programs")?;
    Ok(Counting(fd))
}

/// Runs, and the time they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub runs: u64,
    pub ns: u64,
}

impl Cost {
    pub fn since(self, before: Self) -> Self {
        Self {
            runs: self.runs - before.runs,
            ns: self.ns - before.ns,
        }
    }
}

/// By name, of which the kernel keeps 15 bytes: what has one name is added up.
pub type Costs = BTreeMap<String, Cost>;

pub fn costs_of(pid: u32) -> Result<Costs> {
    let mut costs = Costs::new();
    for id in bpf::programs_of(pid)? {
        let info = info_of(id)?;
        let cost = costs.entry(info.name()).or_default();
        cost.runs += info.run_cnt;
        cost.ns += info.run_time_ns;
    }
    Ok(costs)
}

/// CPU time of a process and of the BPF programs that it holds, which is known while they are counted.
pub fn cpu(pid: u32) -> Result<(Duration, Duration)> {
    let ns = costs_of(pid)?.values().map(|cost| cost.ns).sum();
    Ok((process::cpu(pid)?, Duration::from_nanos(ns)))
}

/// `struct bpf_prog_info` (include/uapi/linux/bpf.h) as far as it is of use here.
#[repr(C)]
struct Info {
    to_name: [u64; 8],
    name: [u8; 16],
    to_run_time: [u64; 14],
    run_time_ns: u64,
    run_cnt: u64,
}

impl Info {
    fn name(&self) -> String {
        let name = CStr::from_bytes_until_nul(&self.name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

fn info_of(id: u32) -> Result<Info> {
    #[repr(C)]
    struct ByFd {
        fd: u32,
        len: u32,
        info: u64,
    }
    let program = bpf_fd(BPF_PROG_GET_FD_BY_ID, &[id, 0, 0])
        .with_context(|| format!("open BPF program {id}"))?;
    let mut info = Info {
        to_name: [0; 8],
        name: [0; 16],
        to_run_time: [0; 14],
        run_time_ns: 0,
        run_cnt: 0,
    };
    let by_fd = ByFd {
        fd: program.as_raw_fd() as u32,
        len: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    if bpf(BPF_OBJ_GET_INFO_BY_FD, &by_fd) < 0 {
        return Err(Error::last_os_error()).with_context(|| format!("ask for BPF program {id}"));
    }
    Ok(info)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> i64 {
    // SAFETY: the attributes are alive for the call, their size is given, and what they point to is theirs.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attributes,
            size_of::<T>(),
        )
    }
}

fn bpf_fd<T>(command: libc::c_int, attributes: &T) -> Result<OwnedFd> {
    match bpf(command, attributes) {
        fd if fd < 0 => Err(Error::last_os_error().into()),
        // SAFETY: a new descriptor that nobody else knows of.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
    }
}

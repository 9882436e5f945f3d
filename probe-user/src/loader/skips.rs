//! How often the kernel skipped a program since it was already running on that CPU
//! (`recursion_misses`, kernel/bpf/syscall.c:bpf_prog_show_fdinfo, since 5.12;
//! earlier kernels never skip these, and before 6.12 kprobes are skipped in silence).

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use aya::{Ebpf, programs::ProgramFd};

use super::{
    names::{COPY, KINDS},
    read::ReadError,
};
use crate::model::counted::Skipped;

/// Programs that end a measurement, which the next packet ends when they do not: nothing is lost with them.
const ENDS: [&str; 2] = ["raw_consume_skb", "raw_kfree_skb"];

/// The programs in the kernel, which stay readable when they are detached.
pub(super) struct Skips {
    programs: Vec<(String, OwnedFd)>,
}

impl Skips {
    pub(super) fn of(ebpf: &Ebpf) -> Result<Self, ReadError> {
        let mut programs = Vec::new();
        for (name, program) in ebpf.programs() {
            // Not every one is loaded here.
            if let Ok(fd) = program.fd()
                && !ENDS.contains(&name)
            {
                let fd = fd.as_fd().try_clone_to_owned();
                programs.push((name.to_owned(), fd.map_err(unread(name))?));
            }
        }
        Ok(Self { programs })
    }

    pub(super) fn read(&self) -> Result<Skipped, ReadError> {
        let mut skipped = Skipped::new();
        for (name, fd) in &self.programs {
            if name.ends_with(COPY) {
                continue;
            }
            let mut runs = misses(fd).map_err(unread(name))?;
            let copy = format!("{name}{COPY}");
            if let Some((copy, fd)) = self.programs.iter().find(|(name, _)| *name == copy) {
                // What both of two copies missed is lost: no more than the fewer of them.
                runs = runs.min(misses(fd).map_err(unread(copy))?);
            }
            if runs > 0 {
                *skipped.entry(hook_of(name).to_owned()).or_default() += runs;
            }
        }
        Ok(skipped)
    }
}

fn unread(program: &str) -> impl Fn(io::Error) -> ReadError {
    move |error| {
        let what = format!("how often the kernel skipped {program}");
        ReadError::new(what, &error)
    }
}

/// The function or tracepoint of a program, from its name.
fn hook_of(program: &str) -> &str {
    KINDS
        .iter()
        .find_map(|kind| program.strip_prefix(kind))
        .unwrap_or(program)
}

/// Whether this kernel counts how often it skips a program; where it does not, it never skips one.
pub(super) fn are_counted(program: &ProgramFd) -> io::Result<bool> {
    Ok(fdinfo(program.as_fd())?.contains("recursion_misses:"))
}

fn misses(program: &OwnedFd) -> io::Result<u64> {
    misses_in(&fdinfo(program.as_fd())?)
}

fn fdinfo(program: BorrowedFd<'_>) -> io::Result<String> {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))
}

fn misses_in(fdinfo: &str) -> io::Result<u64> {
    let mut lines = fdinfo.lines();
    let Some(count) = lines.find_map(|line| line.strip_prefix("recursion_misses:")) else {
        return Ok(0);
    };
    let wrong = |_| io::Error::other(format!("`{}` is not a count", count.trim()));
    count.trim().parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_of_a_program() {
        let text =
            "pos:\t0\nprog_type:\t26\nrun_cnt:\t7\nrecursion_misses:\t11\nverified_insns:\t90\n";
        assert_eq!(misses_in(text).ok(), Some(11));
        let before_5_12 = misses_in("pos:\t0\nprog_type:\t26\n");
        assert_eq!(before_5_12.ok(), Some(0));
        assert!(misses_in("recursion_misses:\t\n").is_err());
    }

    #[test]
    fn hooks_of_programs() {
        assert_eq!(hook_of("fexit_tcp_check_req"), "tcp_check_req");
        assert_eq!(hook_of("typed_tcp_send_reset"), "tcp_send_reset");
        assert_eq!(hook_of("listener_ingress"), "listener_ingress");
    }
}

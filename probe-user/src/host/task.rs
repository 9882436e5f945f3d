//! What a process and its threads are doing: from a pid to states, times and descriptors at one instant.
//!
//! In: a pid. Out: a [`Process`] as /proc shows it now. What may not be read, or is not there on this kernel, is `None`.
//! It never stops or slows the process it looks at.

use std::fs::File;
use std::mem::MaybeUninit;

use rustix::fs::{CWD, readlinkat_raw};

use super::call::Call;
use super::clock::mono_ns;
use super::procfs::{bracketed, for_each_entry, for_each_pid, number, open_dir, read_small};
use super::sample::sample;
use crate::model::process::{Process, Thread, accepts, waits_for_epoll};

/// Looks at more threads of a process cost more than they tell: of more, some are looked at, the same ones each time.
const THREADS_AT_MOST: usize = 256;

/// `None` when there is no such process any more.
pub fn look(pid: u32) -> Option<Process> {
    let mut text = Vec::with_capacity(1024);
    let tasks = open_dir(CWD, format!("/proc/{pid}/task")).ok()?;
    let mut tids = Vec::new();
    for_each_pid(&tasks, |_, tid| tids.push(tid)).ok()?;
    let has_more = tids.len() > THREADS_AT_MOST;
    sample(&mut tids, THREADS_AT_MOST, |tid| *tid);
    let threads: Vec<Thread> = tids
        .into_iter()
        .filter_map(|tid| thread(pid, &tasks, tid, &mut text))
        .collect();
    let comm = threads
        .iter()
        .find(|thread| thread.tid == pid)
        .or(threads.first())?
        .comm
        .clone();
    Some(Process {
        pid,
        comm,
        taken_ns: mono_ns(),
        threads,
        has_more,
        fds: fds(pid, &mut text),
    })
}

fn thread(
    pid: u32,
    tasks: &impl std::os::fd::AsFd,
    tid: u32,
    text: &mut Vec<u8>,
) -> Option<Thread> {
    read_small(tasks, format!("{tid}/stat"), text).ok()?;
    let (comm, state) = name_and_state(text)?;
    let times = read_small(tasks, format!("{tid}/schedstat"), text)
        .ok()
        .and_then(|()| two_numbers(text));
    let call = read_small(tasks, format!("{tid}/syscall"), text)
        .ok()
        .map(|()| Call::of(text))
        .unwrap_or_default();
    let polled = call.polled(|| File::open(format!("/proc/{pid}/mem")).ok());
    let fd = match polled.as_deref() {
        Some([only]) => Some(*only),
        _ => call.fd,
    };
    let is_of_others = |call: &str| accepts(call) || waits_for_epoll(call);
    let socket = match &call.name {
        Some(name) if !is_of_others(name) => fd.and_then(|fd| socket(pid, fd)),
        _ => None,
    };
    let wchan = read_small(tasks, format!("{tid}/wchan"), text)
        .ok()
        .map(|()| String::from_utf8_lossy(text).trim().to_owned())
        .filter(|name| !name.is_empty() && name != "0");
    Some(Thread {
        tid,
        comm,
        state,
        ran_ns: times.map(|(ran, _)| ran),
        waited_ns: times.map(|(_, waited)| waited),
        syscall: call.name,
        waits_for_lock: call.waits_for_lock,
        wchan,
        fd,
        socket,
        polled,
        futex: call.futex,
    })
}

/// The inode number of the socket that a descriptor leads to.
pub(super) fn socket(pid: u32, fd: u32) -> Option<u32> {
    let mut link = [MaybeUninit::uninit(); 64];
    let (link, _) = readlinkat_raw(CWD, format!("/proc/{pid}/fd/{fd}"), &mut link).ok()?;
    bracketed(link, b"socket")
}

/// `1 (comm) S …`, where comm may hold anything, brackets too.
fn name_and_state(stat: &[u8]) -> Option<(String, char)> {
    let open = stat.iter().position(|b| *b == b'(')?;
    let close = stat.iter().rposition(|b| *b == b')')?;
    let comm = stat.get(open + 1..close)?;
    let state = stat.get(close + 2)?;
    Some((
        String::from_utf8_lossy(comm).into_owned(),
        char::from(*state),
    ))
}

fn two_numbers(text: &[u8]) -> Option<(u64, u64)> {
    let mut words = text.split(u8::is_ascii_whitespace);
    Some((number(words.next()?)?, number(words.next()?)?))
}

fn fds(pid: u32, text: &mut Vec<u8>) -> Option<(u64, u64)> {
    let directory = open_dir(CWD, format!("/proc/{pid}/fd")).ok()?;
    let mut open = 0;
    for_each_entry(directory, |_, _, _| open += 1).ok()?;
    read_small(CWD, format!("/proc/{pid}/limits"), text).ok()?;
    let line = text
        .split(|b| *b == b'\n')
        .find_map(|line| line.strip_prefix(b"Max open files"))?;
    let soft = line
        .split(u8::is_ascii_whitespace)
        .find(|word| !word.is_empty())?;
    Some((open, number(soft).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thread() {
        let stat = b"7 (a (b) c) S 1 7 7 0";
        assert_eq!(name_and_state(stat), Some(("a (b) c".into(), 'S')));
        assert_eq!(name_and_state(b"7 (a"), None);
        assert_eq!(name_and_state(b")("), None);
        assert_eq!(name_and_state(b"7 (a)"), None);
        assert_eq!(two_numbers(b"12 34 5\n"), Some((12, 34)));
        assert_eq!(two_numbers(b"12"), None);
    }

    #[test]
    fn of_this_process() {
        let this = look(std::process::id()).expect("this process");
        assert!(!this.threads.is_empty());
        let (open, limit) = this.fds.expect("its descriptors");
        assert!(open > 0 && open <= limit, "{open} of {limit}");
        let me = this.threads.iter().find(|thread| thread.state == 'R');
        assert!(me.is_some(), "the thread that looks is running");
    }
}

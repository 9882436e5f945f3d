//! Where ways into network namespaces are found: processes, names, mounts, open files.
//!
//! In: /proc, /run/netns, /var/run/docker/netns. Out: calls of a function with a number and the way in.
//! It opens no namespace: a `stat` or a `readlink` tells the number and holds nothing.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Statx, readlinkat_raw, statat};

use super::as_inum;
use crate::host::mountinfo::mounts;
use crate::host::procfs::{
    bracketed, for_each_entry, for_each_pid, in_memory, names, open_dir, open_proc, read_small,
};

/// Where `ip netns` keeps its names.
pub(super) const NAMES_DIR: &str = "/run/netns";
/// Where Docker keeps its sandboxes; they have files there, but no names of ours.
const DOCKER_DIR: &str = "/var/run/docker/netns";

/// The namespace a path leads to now; `None` when it is no namespace (a name whose mount has gone is a plain file).
pub(super) fn inum_of_path(path: impl rustix::path::Arg) -> Option<u32> {
    inum_if_nsfs(CWD, path)
}

/// As [`inum_of_path`], of what is open already, be it as O_PATH.
pub(super) fn inum_of_any_fd(file: BorrowedFd<'_>) -> Option<u32> {
    inum_if_nsfs(file, c"")
}

/// Nobody is asked for it but what the kernel has in memory: a path of another's may lead to a file system that answers when its
/// owner likes, or never (FUSE, NFS).
fn inum_if_nsfs(at: BorrowedFd<'_>, path: impl rustix::path::Arg) -> Option<u32> {
    static NSFS: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    let device = |found: &Statx| (found.stx_dev_major, found.stx_dev_minor);
    let nsfs = NSFS.get_or_init(|| {
        let own = in_memory(CWD, c"/proc/self/ns/net");
        own.ok().map(|own| device(&own))
    });
    let found = in_memory(at, path).ok()?;
    (Some(device(&found)) == *nsfs).then(|| as_inum(found.stx_ino))
}

/// The namespace of each process, by ascending pid.
pub(super) fn processes(mut f: impl FnMut(u32, u32)) -> io::Result<()> {
    let proc = open_proc()?;
    let mut path = String::with_capacity(32);
    for_each_pid(&proc, |proc, pid| {
        if let Some(inum) = inum_at(proc, &mut path, pid) {
            f(inum, pid);
        }
    })
}

fn inum_at(dir: BorrowedFd<'_>, path: &mut String, pid: u32) -> Option<u32> {
    use std::fmt::Write;
    path.clear();
    write!(path, "{pid}/ns/net").ok()?;
    Some(as_inum(
        statat(dir, path.as_str(), AtFlags::empty()).ok()?.st_ino,
    ))
}

/// Each namespace with a file: the function gets the number, the path, and whether the file's name is a name for people.
pub(super) fn files(mut f: impl FnMut(u32, PathBuf, bool)) {
    for (dir, named) in [(NAMES_DIR, true), (DOCKER_DIR, false)] {
        for name in names(dir) {
            let path = Path::new(dir).join(name.to_string_lossy().as_ref());
            if let Some(inum) = inum_of_path(&path) {
                f(inum, path, named);
            }
        }
    }
    // Bind mounts elsewhere (podman, unshare --net=FILE) show their number as the mount's root.
    let mut text = Vec::new();
    if read_small(CWD, c"/proc/self/mountinfo", &mut text).is_ok() {
        for mount in mounts(&text).filter(|mount| mount.fs_type == b"nsfs") {
            if let Some(inum) = bracketed(&mount.root, b"net") {
                f(inum, mount.point().to_path_buf(), false);
            }
        }
    }
}

/// Each namespace this process holds open; cheap, as we have few files.
pub(super) fn own_files(mut f: impl FnMut(u32, PathBuf)) {
    if let Ok(dir) = open_dir(CWD, c"/proc/self/fd") {
        held_in(&dir, "/proc/self", &mut f);
    }
}

/// The last resort: every open file and every thread of every process. Costs a `readlink` per open file of the host.
pub(super) fn all_files_and_threads(mut f: impl FnMut(u32, PathBuf)) {
    let Ok(proc) = open_proc() else { return };
    let _ = for_each_pid(&proc, |proc, pid| {
        if let Ok(fds) = open_dir(proc, format!("{pid}/fd")) {
            held_in(&fds, &format!("/proc/{pid}"), &mut f);
        }
        of_threads(proc, pid, &mut f);
    });
}

/// The namespaces of a process's threads that are not the one of the process.
pub(in crate::host) fn of_threads(proc: BorrowedFd<'_>, pid: u32, mut f: impl FnMut(u32, PathBuf)) {
    let mut path = String::with_capacity(32);
    let Some(of_process) = inum_at(proc, &mut path, pid) else {
        return;
    };
    let Ok(tasks) = open_dir(proc, format!("{pid}/task")) else {
        return;
    };
    let _ = for_each_pid(&tasks, |tasks, tid| {
        if let Some(inum) = inum_at(tasks, &mut path, tid).filter(|inum| *inum != of_process) {
            f(
                inum,
                PathBuf::from(format!("/proc/{pid}/task/{tid}/ns/net")),
            );
        }
    });
}

/// The namespace that an open file of a process leads to, and the way.
pub(in crate::host) fn held_at(pid: u32, name: &CStr, link: &[u8]) -> Option<(u32, PathBuf)> {
    held(&format!("/proc/{pid}"), name, link)
}

fn held(process: &str, name: &CStr, link: &[u8]) -> Option<(u32, PathBuf)> {
    let inum = bracketed(link, b"net")?;
    Some((
        inum,
        PathBuf::from(format!("{process}/fd/{}", name.to_string_lossy())),
    ))
}

fn held_in(fds: impl AsFd, process: &str, f: &mut impl FnMut(u32, PathBuf)) {
    let fds = fds.as_fd();
    let _ = for_each_entry(fds, |name, _, _| {
        let mut link = [0u8; 32];
        let length = readlinkat_raw(fds, name, &mut link).unwrap_or(0);
        if let Some((inum, path)) = link
            .get(..length)
            .and_then(|link| held(process, name, link))
        {
            f(inum, path);
        }
    });
}

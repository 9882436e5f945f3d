//! One process and the sockets that it holds open.
//!
//! In: the process, and which sockets are wanted. Out: those that it holds, and what is told of it. It remembers nothing.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{readlinkat, readlinkat_raw};
use rustix::io::Errno;

use super::procfs::{bracketed, for_each_entry, open_dir, read_small};
use crate::model::owner::Owner;

/// A socket that is looked for, who holds it, and the descriptor relative to /proc.
pub(super) type Holder = (u32, Owner, String);

/// Adds the sockets of a process that are wanted, and tells of its other open files by name and link; `false` when it
/// lives and refuses to be looked at.
pub(super) fn look_at(
    proc: BorrowedFd<'_>,
    pid: u32,
    is_wanted: impl Fn(u32) -> bool,
    mut other: impl FnMut(&CStr, &[u8]),
    found: &mut Vec<Holder>,
) -> bool {
    let fds = match open_dir(proc, format!("{pid}/fd")) {
        Ok(fds) => fds,
        Err(error) => return has_ended(&error),
    };
    let first = found.len();
    let mut this = None;
    let mut refused = false;
    let walked = for_each_entry(&fds, |name, _, _| {
        let mut link = [0u8; LINK_BYTES];
        let link = match readlinkat_raw(fds.as_fd(), name, &mut link) {
            Ok(length) => link.get(..length).unwrap_or_default(),
            Err(errno) => {
                // A security module may show the descriptors and still not where they lead (seen on 6.18).
                refused |= matches!(errno, Errno::ACCESS | Errno::PERM);
                return;
            }
        };
        let Some(inode) = socket_of(link) else {
            return other(name, link);
        };
        // A process with two descriptors of the same socket owns it once.
        if !is_wanted(inode) || found[first..].iter().any(|(known, ..)| *known == inode) {
            return;
        }
        if this.is_none() {
            this = owner(proc, pid);
        }
        if let Some(owner) = &this {
            let link = format!("{pid}/fd/{}", name.to_string_lossy());
            found.push((inode, owner.clone(), link));
        }
    });
    !refused && walked.map_or_else(|error| has_ended(&error), |()| true)
}

/// A process that has ended holds nothing any more.
fn has_ended(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// What is told of a process; `None` when it has ended.
fn owner(proc: BorrowedFd<'_>, pid: u32) -> Option<Owner> {
    let mut comm = Vec::with_capacity(64);
    read_small(proc, format!("{pid}/comm"), &mut comm).ok()?;
    let exe = readlinkat(proc, format!("{pid}/exe"), Vec::new()).ok();
    Some(Owner {
        pid,
        comm: comm_text(&comm),
        exe: exe.map(|exe| exe.to_string_lossy().into()),
    })
}

pub(super) fn comm_text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw.strip_suffix(b"\n").unwrap_or(raw)).into_owned()
}

/// Longer than the link of any socket.
pub(super) const LINK_BYTES: usize = 32;

/// The socket that a descriptor leads to; `None` when it is something else.
pub(super) fn socket_of(link: &[u8]) -> Option<u32> {
    bracketed(link, b"socket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comm_loses_its_newline_only() {
        assert_eq!(comm_text(b"python3\n"), "python3");
        assert_eq!(comm_text(b"a\nb\n"), "a\nb");
        assert_eq!(comm_text(b"\xff\n"), "\u{fffd}");
        assert_eq!(comm_text(b""), "");
    }
    proptest! {
        #[test]
        fn a_name_of_any_bytes_is_text(name in proptest::collection::vec(any::<u8>(), 0..16)) {
            let text = comm_text(&[name.as_slice(), b"\n"].concat());
            prop_assert_eq!(text.as_str(), String::from_utf8_lossy(&name));
        }
    }
}

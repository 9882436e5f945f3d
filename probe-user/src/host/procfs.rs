//! Walking /proc cheaply: one buffer a directory, no string per entry.
//!
//! In: a directory. Out: its entries as they are in the buffer. It never follows links and treats a process that
//! ended meanwhile as an end of the list.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RawDir, Statx, StatxFlags, openat, statx,
};

/// Room for about 150 entries a system call.
const BUFFER_BYTES: usize = 8 * 1024;

pub(super) fn open_dir(at: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    Ok(openat(
        at,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

pub(super) fn open_proc() -> io::Result<OwnedFd> {
    open_dir(CWD, c"/proc")
}

/// Calls `f` with name, inode number and type of each entry, without `.` and `..`.
pub(super) fn for_each_entry(
    dir: impl AsFd,
    mut f: impl FnMut(&CStr, u64, FileType),
) -> io::Result<()> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER_BYTES];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            f(name, entry.ino(), entry.file_type());
        }
    }
    Ok(())
}

/// Calls `f` with the number of each process (or of each thread, in a `task` directory), in ascending order.
pub(super) fn for_each_pid(
    dir: impl AsFd,
    mut f: impl FnMut(BorrowedFd<'_>, u32),
) -> io::Result<()> {
    let dir = dir.as_fd();
    for_each_entry(dir, |name, _, _| {
        if let Some(pid) = number(name.to_bytes()) {
            f(dir, pid);
        }
    })
}

/// A plain decimal, as the kernel writes them: no sign, no blank, nothing around it.
pub(super) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The number in a link such as `socket:[123]` or `net:[4026531840]`.
pub(super) fn bracketed<T: std::str::FromStr>(link: &[u8], kind: &[u8]) -> Option<T> {
    number(
        link.strip_prefix(kind)?
            .strip_prefix(b":[")?
            .strip_suffix(b"]")?,
    )
}

/// Reads a whole small file of /proc relative to `at` into `buffer`, which is cleared first.
pub(super) fn read_small(
    at: impl AsFd,
    path: impl rustix::path::Arg,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.clear();
    let file = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::Read::read_to_end(&mut std::fs::File::from(file), buffer)?;
    Ok(())
}

/// What the kernel has in memory of a file, without asking its file system, which may be another's that never answers. With an
/// empty path, of `at` itself.
pub(super) fn in_memory(at: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<Statx> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    statx(at, path, flags, StatxFlags::INO)
}

/// The entries of a directory that is not in /proc, as owned names; empty when there is no such directory.
pub(super) fn names(path: &str) -> Vec<std::ffi::CString> {
    let Ok(dir) = open_dir(CWD, path) else {
        return Vec::new();
    };
    let Ok(entries) = Dir::new(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|e| e.file_name().to_owned())
        .filter(|n| n.as_c_str() != c"." && n.as_c_str() != c"..")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_links_are_read_strictly() {
        assert_eq!(bracketed::<u32>(b"socket:[123]", b"socket"), Some(123));
        assert_eq!(
            bracketed::<u32>(b"net:[4026531840]", b"net"),
            Some(4_026_531_840)
        );
        for odd in [
            "socket:[]",
            "socket:[12",
            "socket:[+1]",
            "socket:[-1]",
            "socket:[ 1]",
            "socket:[99999999999]",
            "pipe:[1]",
            "",
        ] {
            assert_eq!(bracketed::<u32>(odd.as_bytes(), b"socket"), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn odd_links_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = bracketed::<u32>(&bytes, b"net");
            let _ = number::<u64>(&bytes);
        }

        #[test]
        fn what_the_kernel_writes_is_read_back(inode: u32, kind in "[a-z_]{1,10}", at in any::<proptest::sample::Index>(), byte: u8) {
            let link = format!("{kind}:[{inode}]").into_bytes();
            prop_assert_eq!(bracketed(&link, kind.as_bytes()), Some(inode));
            prop_assert_eq!(bracketed::<u32>(&link, b"other-kind"), None);
            for cut in 0..link.len() {
                prop_assert_eq!(bracketed::<u32>(&link[..cut], kind.as_bytes()), None);
            }
            // A changed byte is another number or none.
            let mut changed = link.clone();
            let at = at.index(link.len());
            changed[at] = byte;
            let same = changed == link;
            prop_assert_eq!(bracketed(&changed, kind.as_bytes()) == Some(inode), same);
        }
    }
}

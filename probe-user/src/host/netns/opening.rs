//! Opening a path as a network namespace, and as nothing else.
//!
//! In: a path that anybody may have made, and may make something else of at any time. Out: a descriptor of a namespace, or
//! that it is none. It never opens anything else, and never waits for anybody.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use super::{NetnsError, inum_of_fd, scan};

/// `Ok(None)` when the path leads elsewhere by now; an error only when it leads there and may not be opened.
pub(super) fn open_checked(path: &Path, inum: u32) -> Result<Option<OwnedFd>, Errno> {
    let found = match open_namespace(path) {
        Ok(Some(found)) => found,
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => return Err(errno),
        Ok(None) | Err(_) => return Ok(None),
    };
    let is_it = inum_of_fd(found.as_fd()).is_ok_and(|number| number == inum);
    Ok(is_it.then_some(found))
}

/// Opens what the path leads to if it is a namespace, `None` if it is anything else. Whoever owns the path may make
/// another thing of it at any time, such as a FIFO, on which open(2) waits for a writer: so the path is resolved once,
/// to a descriptor that opens nothing (O_PATH), and what that stands for is looked at before it is opened.
fn open_namespace(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let found = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if scan::inum_of_any_fd(found.as_fd()).is_none() {
        return Ok(None);
    }
    let by_descriptor = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    open(by_descriptor, flags, Mode::empty()).map(Some)
}

pub(super) fn resolve_path(path: &Path) -> Result<u32, NetnsError> {
    let error = |errno: Errno| NetnsError::Path {
        path: path.to_owned(),
        source: errno.into(),
    };
    let not_a_netns = || NetnsError::NotANetns {
        path: path.to_owned(),
    };
    let found = open_namespace(path)
        .map_err(error)?
        .ok_or_else(not_a_netns)?;
    // SAFETY: NS_GET_NSTYPE takes no argument and answers with the CLONE_NEW* flag of the namespace behind an open descriptor.
    let kind = unsafe { libc::ioctl(found.as_raw_fd(), libc::NS_GET_NSTYPE) };
    if kind != libc::CLONE_NEWNET {
        return Err(not_a_netns());
    }
    inum_of_fd(found.as_fd()).map_err(|source| NetnsError::Path {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        path::PathBuf,
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc::channel,
        },
        thread,
        time::Duration,
    };

    use super::*;

    /// A path that its owner makes a FIFO and a namespace in turn, as fast as that goes.
    #[test]
    fn what_becomes_a_fifo_is_never_opened() {
        let folder = std::env::temp_dir().join(format!("whydrop-fifo-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let fifo = folder.join("fifo");
        let _ = fs::remove_file(&fifo);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .expect("a FIFO");
        let path = folder.join("link");
        let inum = crate::host::netns::current().expect("a namespace");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let targets = [Path::new("/proc/self/ns/net"), fifo.as_path()];
                for target in targets.into_iter().cycle() {
                    let next = folder.join("next");
                    let _ = fs::remove_file(&next);
                    symlink(target, &next).expect("a link");
                    fs::rename(&next, &path).expect("in its place");
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let (done, waits) = channel();
            let path = &path;
            scope.spawn(move || {
                let opened = (0..20_000)
                    .filter(|_| open_checked(path, inum).is_ok_and(|found| found.is_some()));
                let _ = done.send(opened.count());
            });
            let opened = waits.recv_timeout(Duration::from_secs(30));
            is_over.store(true, Ordering::Relaxed);
            // Whoever waits for a writer gets one, so that the test ends.
            let flags = OFlags::WRONLY | OFlags::NONBLOCK;
            while opened.is_err() && open(&fifo, flags, Mode::empty()).is_err() {}
            assert!(opened.is_ok_and(|opened| opened > 0), "{opened:?}");
        });
        let _ = fs::remove_dir_all(&folder);
    }

    /// A mount of FUSE whose server answers no question once it is mounted, until it is dropped.
    struct Silent {
        root: OwnedFd,
        _server: fs::File,
    }

    impl Silent {
        /// `None` where there is no FUSE, or it may not be mounted.
        fn new() -> Option<Self> {
            let folder = std::env::temp_dir().join(format!("whydrop-fuse-{}", std::process::id()));
            fs::create_dir_all(&folder).ok()?;
            let mut both_ways = fs::File::options();
            let server = both_ways.read(true).write(true).open("/dev/fuse").ok()?;
            let at = folder.clone();
            // In a mount namespace of its own, which ends with the thread.
            let mounted = thread::spawn(move || Self::mount(server, &at)).join();
            let _ = fs::remove_dir(&folder);
            mounted.ok()?
        }

        fn mount(mut server: fs::File, at: &Path) -> Option<Self> {
            use std::io::{Read, Write};

            // SAFETY: only the mounts are unshared; descriptors stay those of the whole process.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.ok()?;
            let apart = rustix::mount::MountPropagationFlags::REC
                | rustix::mount::MountPropagationFlags::PRIVATE;
            rustix::mount::mount_change("/", apart).ok()?;
            let options = format!(
                "fd={},rootmode=40000,user_id=0,group_id=0",
                server.as_raw_fd()
            );
            let options = std::ffi::CString::new(options).ok()?;
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("whydrop", at, "fuse", flags, options.as_c_str()).ok()?;
            // The first question (FUSE_INIT) is answered: version 7.31, and nothing beyond.
            let mut asked = [0; 8192];
            let length = server.read(&mut asked).ok()?;
            let unique = asked[..length].get(8..16)?;
            let version = [7_u32, 31].map(u32::to_ne_bytes).concat();
            let answer = [
                &80_u32.to_ne_bytes()[..],
                &[0; 4],
                unique,
                &version,
                &[0; 56],
            ]
            .concat();
            server.write_all(&answer).ok()?;
            let root = open(at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
            Some(Self {
                root,
                _server: server,
            })
        }
    }

    /// Whoever has a descriptor open decides what it leads to.
    #[test]
    fn a_file_system_that_never_answers_holds_nobody_up() {
        let Some(silent) = Silent::new() else {
            return;
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", silent.root.as_raw_fd()));
        let (done, waits) = channel();
        thread::spawn(move || {
            let is_found = scan::inum_of_path(&path).is_some()
                || open_checked(&path, 1).is_ok_and(|found| found.is_some());
            let _ = done.send(is_found);
        });
        let answered = waits.recv_timeout(Duration::from_secs(20));
        // Whoever waits for an answer gets an error when the server ends.
        drop(silent);
        assert_eq!(answered, Ok(false), "it waits for somebody's file system");
    }

    #[test]
    fn nothing_but_a_namespace_is_opened() {
        for path in [
            "/dev/tty",
            "/dev/null",
            "/etc/passwd",
            "/proc/self/fd",
            "/no/such",
        ] {
            let opened = open_namespace(Path::new(path));
            assert!(
                opened.is_ok_and(|found| found.is_none()) || path == "/no/such",
                "{path}"
            );
        }
        let own = open_namespace(Path::new("/proc/self/ns/net"));
        assert!(own.is_ok_and(|found| found.is_some()));
    }
}

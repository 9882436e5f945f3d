//! A controlling terminal that goes away.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use whydrop_tests::deadline::{ready, wait_until};
use whydrop_tests::process;

use super::{Folder, lines_of, wait_lines, watch_into};

/// The end that a terminal emulator has, and the other one.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = open("/dev/ptmx", flags, Mode::empty())?;
    let locked: libc::c_int = 0;
    // SAFETY: the first ioctl reads an integer on this stack; the second returns a new descriptor, which is nobody else's.
    let slave = unsafe {
        if libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) != 0 {
            return Err(Error::last_os_error().into());
        }
        let slave = libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags.bits());
        if slave < 0 {
            return Err(Error::last_os_error().into());
        }
        OwnedFd::from_raw_fd(slave)
    };
    Ok((master, slave))
}

/// While it is there, a hangup is for the file; when it is gone, it is the end, with a summary.
#[test]
fn a_hangup_ends_it_only_without_its_terminal() -> Result<()> {
    let folder = Folder::new("terminal")?;
    let path = folder.path("drops.jsonl");
    let (master, slave) = terminal()?;
    let mut command = watch_into(&path, &[])?;
    let its = slave.as_raw_fd();
    // SAFETY: both system calls are async-signal-safe; the descriptor is the test's, and open until the process runs.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() < 0 || libc::ioctl(its, libc::TIOCSCTTY, 0) != 0 {
                return Err(Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    drop(slave);
    wait_lines(&path, "start", 1)?;

    let moved = folder.path("moved");
    std::fs::rename(&path, &moved)?;
    process::signal(child.id(), Signal::HUP)?;
    wait_until("a new file", ready(), || Ok(path.exists()))?;

    // The kernel sends SIGHUP.
    drop(master);
    let mut status = None;
    wait_until("its end", ready(), || {
        status = child.try_wait()?;
        Ok(status.is_some())
    })?;
    let code = status.context("no status")?.code();
    ensure!(code == Some(0), "it ended with {code:?}");
    ensure!(lines_of(&path, "summary").len() == 1, "no summary");
    Ok(())
}

//! A process whose system calls the test lets fail when it wants to: seccomp hands each of them over
//! (kernel/seccomp.c:seccomp_do_user_notification, since 5.5 with "go on"), and the test answers.

use std::io::{Error, IoSliceMut, Result as IoResult};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use libc::{seccomp_data, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};

use crate::deadline::ready;

/// Which calls are handed over.
#[derive(Clone, Copy, Debug)]
pub enum Calls {
    /// bpf(2).
    Bpf,
    /// Those that make a thread; none of those that make a process.
    Threads,
}

/// What a system call was called with.
pub type Arguments = [u64; 6];

/// Its answers, until the last process that it supervises has ended.
pub struct Supervisor(Option<JoinHandle<Result<()>>>);

impl Supervisor {
    /// Has `decide` answer these calls of a command that is about to be started: with an errno, or with `None` to let one go on.
    pub fn of(
        command: &mut Command,
        calls: Calls,
        decide: impl FnMut(Arguments) -> Option<i32> + Send + 'static,
    ) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(ready()))?;
        let filter = filter(calls);
        let mut theirs = Some(theirs);
        // SAFETY: between fork and exec there are only system calls on values made before the fork and on this stack.
        unsafe {
            command.pre_exec(move || {
                let listener = install(&filter)?;
                let sent = theirs.take().map_or(Ok(()), |to| send(&to, listener));
                libc::close(listener);
                sent
            });
        }
        let supervise = move || answer(&receive(&ours)?, decide);
        Ok(Self(Some(std::thread::spawn(supervise))))
    }

    /// To be called when the process has ended.
    pub fn finish(mut self) -> Result<()> {
        let thread = self.0.take().context("it was finished before")?;
        match thread.join() {
            Ok(answered) => answered,
            Err(_) => bail!("the supervisor panicked"),
        }
    }
}

const fn statement(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

const fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = code as u16;
    sock_filter { code, jt, jf, k }
}

/// A classic BPF program: system calls of these kinds are handed over, all others go on.
fn filter(calls: Calls) -> Vec<sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // The lower half of the first argument, on a little-endian machine.
    let first = (offset_of!(seccomp_data, args)) as u32;
    let number = statement(LOAD, offset_of!(seccomp_data, nr) as u32);
    let allow = statement(RETURN, libc::SECCOMP_RET_ALLOW);
    let hand_over = statement(RETURN, libc::SECCOMP_RET_USER_NOTIF);
    match calls {
        Calls::Bpf => vec![
            number,
            jump(EQUAL, libc::SYS_bpf as u32, 0, 1),
            hand_over,
            allow,
        ],
        // A C library that finds no clone3 uses clone, whose flags can be seen.
        Calls::Threads => vec![
            number,
            jump(EQUAL, libc::SYS_clone3 as u32, 0, 1),
            statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
            jump(EQUAL, libc::SYS_clone as u32, 0, 3),
            statement(LOAD, first),
            jump(ANY_BIT, libc::CLONE_THREAD as u32, 0, 1),
            hand_over,
            allow,
        ],
    }
}

/// From here on the calls of this process and of its children are handed over.
fn install(filter: &[sock_filter]) -> IoResult<RawFd> {
    let program = sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads the program, which lives as long as the call.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(Error::last_os_error());
    }
    Ok(listener as RawFd)
}

/// Passes a descriptor on, without an allocation.
fn send(to: &UnixStream, fd: RawFd) -> IoResult<()> {
    let mut byte = 0_u8;
    let mut data = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // Aligned as a control message has to be.
    let mut control = [0_u64; 4];
    // SAFETY: a header of zeroes is valid, and everything it points to lives on this stack; the one control message that is
    // written fits into the buffer, which CMSG_FIRSTHDR checks.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        libc::sendmsg(to.as_raw_fd(), &raw const message, 0)
    };
    if sent < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

fn receive(from: &UnixStream) -> Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [IoSliceMut::new(&mut byte)];
    recvmsg(from, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)
        .context("no process to supervise was started")?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            return fds.next().context("no descriptor in the message");
        }
    }
    bail!("the process to supervise has passed nothing on")
}

/// Answers until nobody is left who asks.
fn answer(listener: &OwnedFd, mut decide: impl FnMut(Arguments) -> Option<i32>) -> Result<()> {
    loop {
        let mut asked = [PollFd::new(listener, PollFlags::IN)];
        poll(&mut asked, None)?;
        if !asked[0].revents().contains(PollFlags::IN) {
            return Ok(());
        }
        // SAFETY: all of these are numbers, and the kernel demands that they are zero.
        let mut question: seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one `seccomp_notif`, which lives on this stack.
        let received = unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut question,
            )
        };
        if received < 0 {
            let error = Error::last_os_error();
            // Who asked was killed meanwhile.
            ensure!(error.raw_os_error() == Some(libc::ENOENT), error);
            continue;
        }
        let errno = decide(question.data.args);
        let go_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let mut answer = seccomp_notif_resp {
            id: question.id,
            val: 0,
            error: -errno.unwrap_or(0),
            flags: if errno.is_none() { go_on } else { 0 },
        };
        // SAFETY: the kernel reads one `seccomp_notif_resp`, which lives on this stack. That who asked was killed meanwhile is
        // no matter.
        unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw mut answer,
            )
        };
    }
}

//! Tries to break out: in a process of its own, since what a process has given up it does not get back.

use std::{
    io,
    process::{Command, ExitStatus},
    sync::mpsc::channel,
};

use super::*;

const INSIDE: &str = "sandbox::tests::inside";

fn alone() -> io::Result<(ExitStatus, String)> {
    let test = std::env::current_exe()?;
    let arguments = [INSIDE, "--exact", "--ignored", "--nocapture"];
    let output = Command::new(test).args(arguments).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status, String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn nobody_breaks_out() {
    let (status, said) = alone().expect("this test, once more");
    assert!(status.success() && said.contains("1 passed"), "{said}");
}

fn answer(call: libc::c_long, arguments: [u64; 5]) -> Option<i32> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: every pointer is null or leads to `ATTR`, and each call fails at its descriptor, its flags or the filter.
    let answer = unsafe { libc::syscall(call, a, b, c, d, e) };
    (answer == -1)
        .then(|| io::Error::last_os_error().raw_os_error())
        .flatten()
}

#[test]
#[ignore = "it gives up what the other tests need; `nobody_breaks_out` runs it"]
fn inside() {
    // One that was there before, and looks when all is done.
    let (go, gone) = channel::<()>();
    let execs = || {
        Command::new("/bin/true")
            .status()
            .map_err(|error| error.kind())
    };
    let earlier = std::thread::spawn(move || {
        let _ = gone.recv();
        execs()
    });
    let sandbox = Mode::Best.begin(Confine::Yes, false, &[]);
    let sandbox = sandbox
        .expect("best is never an error")
        .expect("it is wanted");
    assert_eq!(sandbox.lacks, None);
    assert_eq!(sandbox.extent, Extent::All);
    let bad = -1_i32 as u64;
    let attr = [
        u64::from(u32::MAX),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let bpf = |command| answer(libc::SYS_bpf, [command, attr.as_ptr() as u64, 128, 0, 0]);
    // MAP_CREATE, PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_ATTACH, PROG_DETACH, MAP_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD,
    // LINK_CREATE, and one that no kernel has.
    for command in [0, 5, 6, 7, 8, 9, 14, 17, 18, 28, 999] {
        assert_eq!(bpf(command), Some(libc::EPERM), "bpf command {command}");
    }
    for (command, name) in [(1, "lookup"), (2, "update"), (3, "delete"), (4, "next")] {
        let answer = bpf(command);
        // Where this process had no CAP_BPF before, it still has none.
        assert!(
            matches!(answer, Some(libc::EBADF | libc::EINVAL)) || !is_root(),
            "{name}: {answer:?}"
        );
    }
    // The upper half of the number is not looked at by the kernel, nor by the filter.
    assert_eq!(bpf(1 << 32 | 5), Some(libc::EPERM));
    for (call, arguments, name) in [
        (libc::SYS_ptrace, [16, bad, 0, 0, 0], "ptrace"),
        (libc::SYS_execveat, [bad, 0, 0, 0, 0], "execveat"),
        (libc::SYS_mount, [0; 5], "mount"),
        (libc::SYS_init_module, [0; 5], "init_module"),
        (libc::SYS_finit_module, [bad, 0, 0, 0, 0], "finit_module"),
        (libc::SYS_kexec_load, [0; 5], "kexec_load"),
        (libc::SYS_perf_event_open, [0; 5], "perf_event_open"),
        (libc::SYS_unshare, [0; 5], "unshare"),
        (libc::SYS_setns, [bad, 0, 0, 0, 0], "setns of any kind"),
        (
            libc::SYS_setns,
            [bad, libc::CLONE_NEWNS as u64, 0, 0, 0],
            "setns of mounts",
        ),
        #[cfg(target_arch = "x86_64")]
        (0x4000_0000 | libc::SYS_bpf, [5, 0, 0, 0, 0], "bpf of x32"),
        #[cfg(target_arch = "x86_64")]
        (0x4000_0208, [0; 5], "execve of x32"),
    ] {
        assert_eq!(answer(call, arguments), Some(libc::EPERM), "{name}");
    }
    let network = libc::CLONE_NEWNET as u64;
    assert_eq!(
        answer(libc::SYS_setns, [bad, network, 0, 0, 0]),
        Some(libc::EBADF)
    );
    assert_eq!(execs().err(), Some(io::ErrorKind::PermissionDenied));
    drop(go);
    let earlier = earlier.join().expect("it only tries");
    assert_eq!(earlier.err(), Some(io::ErrorKind::PermissionDenied));
    // And once more is no more.
    let again = Mode::Strict.begin(Confine::Yes, false, &[]);
    assert_eq!(
        again.map(|it| it.map(|it| it.extent)),
        Ok(Some(Extent::All))
    );
}

fn is_root() -> bool {
    capabilities::held() != 0
}

#[test]
fn strict_takes_no_less() {
    let with = |mode: Mode, confine| mode.begin(confine, false, &[]);
    let why = with(Mode::Strict, Confine::Yes.unless(true));
    assert!(why.is_err_and(|why| why.contains("a command is started")));
    let off = with(Mode::Best, Confine::Starts).map(|it| it.map(|it| it.extent));
    assert_eq!(off, Ok(Some(Extent::Off)));
    assert_eq!(with(Mode::Strict, Confine::No), Ok(None));
}

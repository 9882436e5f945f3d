//! Boots one VM and follows its console until it is done, dead or stuck.
//!
//! Software emulation only: it is there on every machine, CI included, and times inside mean nothing anyway. A VM that
//! says nothing for three minutes, or takes longer than its deadline, is killed and reported.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, set_parent_process_death_signal};

const SILENCE: Duration = Duration::from_mins(3);
/// How long a processor stands still until the kernel says so; as long again until the VM is killed, should vm-init not
/// end it.
const STALL: Duration = Duration::from_mins(1);

/// How the VM ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// QEMU ended by itself: power-off, or a kernel panic.
    Exited,
    Silent,
    /// A processor stands still, and vm-init has not been able to end it.
    Stalled,
    Deadline,
}

/// What the VM is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// As fast as emulation gets.
    Fast,
    /// One processor: none runs into code that another one is patching, of which QEMU makes a fault of the kernel now and then.
    /// Whoever starts and ends whydrop often patches much.
    Single,
    /// One processor whose time is the number of its instructions: one takes a nanosecond, waiting takes none, and rdtsc
    /// tells the number (QEMU's softmmu/cpus.c:cpus_get_elapsed_ticks). The same work takes the same time again.
    Counting,
}

impl Machine {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Fast => &["-accel", "tcg,thread=multi", "-smp", "2", "-m", "1G"],
            Self::Single => &["-accel", "tcg", "-smp", "1", "-m", "1G"],
            // The peers and their compiler lie in memory.
            Self::Counting => &[
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
                "-smp",
                "1",
                "-m",
                "3G",
            ],
        }
    }

    /// The time stamp counter stands still while the processor waits, so nobody may take the time from it.
    const fn append(self) -> &'static str {
        match self {
            Self::Fast | Self::Single => "",
            Self::Counting => "tsc=reliable tsc_early_khz=1000000 ",
        }
    }
}

/// Where one VM comes from and where its console goes.
pub(super) struct Vm<'a> {
    pub machine: Machine,
    pub image: &'a Path,
    pub initramfs: &'a Path,
    /// Added to the kernel's command line.
    pub append: String,
    pub log: &'a Path,
    /// What the VM writes to its second serial port goes into this file.
    pub second: Option<&'a Path>,
    pub deadline: Duration,
}

impl Vm<'_> {
    /// Runs the VM and gives each complete line of its console to `line`.
    pub(super) fn run(&self, mut line: impl FnMut(&str)) -> Result<End> {
        let mut log = File::create(self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut qemu = self.spawn()?;
        let result = follow(
            &mut qemu,
            &mut log,
            Instant::now() + self.deadline,
            &mut line,
        );
        // After power-off this finds nothing to kill; in any other case the VM must not outlive us.
        let _ = qemu.kill();
        let _ = qemu.wait();
        result
    }

    /// Where QEMU's own complaints go: beside what the VM said.
    pub(super) fn complaints(log: &Path) -> PathBuf {
        log.with_extension("qemu.log")
    }

    fn spawn(&self) -> Result<Child> {
        // A panic, an oops, or a processor that stands still for a minute ends QEMU at once instead of leaving a dead VM
        // until its deadline; a panic prints the stack, which `quiet` would keep back. RCU is asked too: with each of its
        // warnings the soft lockup's watchdog begins to count again (kernel/watchdog.c:touch_softlockup_watchdog).
        let append = format!(
            "console=ttyS0 quiet panic=-1 oops=panic softlockup_panic=1 watchdog_thresh={} \
             rcupdate.rcu_cpu_stall_timeout={} {}{}",
            STALL.as_secs() / 2,
            STALL.as_secs(),
            self.machine.append(),
            self.append
        );
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args([
                "-M",
                "q35",
                "-cpu",
                // Emulated, a `rep` string instruction goes byte by byte: without these two the kernel copies by words,
                // and verifies programs in 70 % of the time (5.10, trampoline tier).
                "max,-erms,-fsrm",
            ])
            .args(self.machine.arguments())
            .args([
                "-nodefaults",
                "-display",
                "none",
                "-serial",
                "stdio",
                "-no-reboot",
            ])
            .arg("-kernel")
            .arg(self.image)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", &append])
            .args(
                self.second
                    .iter()
                    .flat_map(|file| ["-serial".to_owned(), format!("file:{}", file.display())]),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(Self::complaints(self.log))?);
        // SAFETY: the closure runs in the child between fork and exec, where only async-signal-safe calls are allowed;
        // prctl is one. std has no safe way to tie a child's life to its parent's.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        command
            .spawn()
            .context("cannot start qemu-system-x86_64; run `cargo xtask setup`")
    }
}

fn follow(
    qemu: &mut Child,
    log: &mut File,
    mut deadline: Instant,
    line: &mut impl FnMut(&str),
) -> Result<End> {
    let output = chunks(qemu.stdout.take().context("QEMU has no stdout")?);
    let mut partial = Vec::new();
    let mut too_late = End::Deadline;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(too_late);
        }
        match output.recv_timeout(left.min(SILENCE)) {
            Ok(chunk) => {
                let chunk: Vec<u8> = chunk.into_iter().filter(|&byte| byte != b'\r').collect();
                log.write_all(&chunk)?;
                partial.extend_from_slice(&chunk);
                while let Some(end) = partial.iter().position(|&byte| byte == b'\n') {
                    let complete: Vec<u8> = partial.drain(..=end).collect();
                    let complete = String::from_utf8_lossy(&complete[..end]);
                    line(&complete);
                    if is_stall(&complete) && too_late == End::Deadline {
                        deadline = deadline.min(Instant::now() + STALL);
                        too_late = End::Stalled;
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                line(&String::from_utf8_lossy(&partial));
                return Ok(End::Exited);
            }
            // The unfinished line is often the name of the test that hangs.
            Err(RecvTimeoutError::Timeout) => {
                line(&String::from_utf8_lossy(&partial));
                return Ok(if left < SILENCE {
                    too_late
                } else {
                    End::Silent
                });
            }
        }
    }
}

/// As vm-init knows it.
fn is_stall(line: &str) -> bool {
    line.contains("rcu: INFO: ") && line.contains(" stall")
}

/// Reads in a thread, because reading a pipe with a deadline needs someone to wait.
fn chunks(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(size @ 1..) = pipe.read(&mut buffer) {
            if sender.send(buffer[..size].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

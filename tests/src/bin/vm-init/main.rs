//! The first process of a test VM: prepares what a distribution's boot would, runs the scenarios, powers off.
//!
//! xtask puts it into the initramfs as `/init` and reads what it prints; every line meant for xtask begins with
//! `vm-init: `. It goes on after any failure that the tests can live with, and whatever happens it says so on the
//! console and switches the VM off: a silent PID 1 would only be found by its deadline.

mod answers;
mod keep;
mod stall;

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, WaitOptions, setrlimit};
use rustix::system::{RebootCommand, finit_module, reboot};
use rustix::termios::tcdrain;
use whydrop_tests::interface;

/// What a VM leaves out unless it is asked for by name: an emulated processor takes some ten seconds to verify the programs of
/// one start. `together` does path by path what the first ones do one by one, and the others are about this program's own
/// outputs, arguments and threads, which a kernel makes little difference to: they run where the build runs. Some of those that
/// ask for answers have a turn of their own ([`answers`]).
const LEFT_OUT: [&str; 55] = [
    "attack::",
    "faults::clock::time",
    "faults::long",
    "faults::many",
    "against::",
    "filters::md5",
    "filters::segments",
    "filters::socket",
    "filters::too",
    "listen_drops::",
    "migration::",
    "mptcp::",
    "requests::",
    "resets::",
    "retransmits::",
    "bad_input::",
    "demo::",
    "faults::gone",
    "faults::output",
    "faults::signals",
    "faults::threads",
    "faults::unread",
    "identity::",
    "incidents::",
    "lifecycle::",
    "list::explain",
    "list::loopback",
    "list::owners",
    "list::reuseport",
    "list::text",
    "list::two",
    "manners::",
    "output::",
    "privilege::",
    "record::command",
    "record::damaged",
    "record::redacted",
    "run::",
    "serve::",
    "stories::ack",
    "stories::another",
    "stories::client",
    "stories::cookie",
    "stories::ghosts",
    "stories::healthy",
    "stories::left",
    "stories::silent",
    "stories::without",
    "tiers::",
    "verify::",
    "wanted::every",
    "wanted::other_addresses",
    "wanted::other_namespaces",
    "wanted::same",
    "why::",
];

/// Of the rest, what one tier of a VM is enough for.
const ONE_TIER: [&str; 14] = [
    "record::",
    "kernel::",
    "faults::clock",
    "filters::",
    "flood::a_neighbour",
    "flood::many",
    "flood::syn",
    "list::",
    "pressure::queue_of_a_closed",
    "pressure::sound",
    "quiet::",
    "refused::",
    "sandbox::",
    "wanted::",
];

fn main() {
    // What follows mounts over directories, kills every other process and switches the machine off.
    if std::process::id() != 1 {
        eprintln!("vm-init is the first process of a test VM; use `cargo xtask vm`");
        std::process::exit(2);
    }
    // The default panic hook has printed the message by the time this returns; PID 1 must not end, or the kernel panics.
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => println!("vm-init: done"),
        Ok(Err(error)) => println!("vm-init: failed: {error:#}"),
        Err(_) => println!("vm-init: failed: panicked"),
    }
    power_off();
}

fn run() -> Result<()> {
    mount_all();
    note(
        "hostname",
        std::fs::write("/proc/sys/kernel/hostname", "whydrop-vm"),
    );
    note("loopback up", interface::set_up("lo"));
    load_modules();
    raise_limits();
    look_around();
    std::thread::spawn(|| note("the kernel's log", stall::watch()));
    let release = read("/proc/sys/kernel/osrelease");
    println!("vm-init: ready {}", release.trim());

    let run_list = read("/run.list");
    if let [program, args @ ..] = run_list.lines().collect::<Vec<_>>().as_slice() {
        let (code, seconds) = run_to_end(command(program).args(args))?;
        println!("vm-init: run exit {code} {seconds:.1}");
        return Ok(());
    }
    let cmdline = read("/proc/cmdline");
    let option = |name: &str| -> Vec<&str> {
        let values = cmdline
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name))
            .unwrap_or_default();
        values
            .split(',')
            .filter(|value| !value.is_empty())
            .collect()
    };
    let asked = option("whydrop.filter=");
    let has = |option: &str| cmdline.split_whitespace().any(|word| word == option);
    let is_kept = has("whydrop.keep");
    if is_kept {
        note(keep::FOLDER, std::fs::create_dir_all(keep::FOLDER));
    }
    // An earlier boot went so far.
    let done = option("whydrop.done=").first().and_then(|n| n.parse().ok());
    let tiers = option("whydrop.tiers=").into_iter().enumerate();
    for (index, tier) in tiers.skip(done.unwrap_or(0)) {
        println!("vm-init: begin {tier}");
        let mut scenarios = command("/bin/scenarios");
        // The figures of `measure` are for a person at a quiet machine.
        scenarios.args(["--test-threads=1", "--skip", "measure::"]);
        if has("whydrop.ignored") {
            scenarios.arg("--include-ignored");
        }
        if tier == answers::TURN {
            scenarios.arg("--exact").args(answers::SCENARIOS);
        } else if !asked.is_empty() {
            scenarios.args(&asked);
        } else {
            scenarios.args(LEFT_OUT.map(|name| format!("--skip={name}")));
            if index > 0 {
                scenarios.args(ONE_TIER.map(|name| format!("--skip={name}")));
            }
        }
        if is_kept {
            scenarios.env("WHYDROP_KEEP", keep::FOLDER);
        }
        let forced = match tier {
            "default" => None,
            answers::TURN => Some(answers::TIER),
            tier => Some(tier),
        };
        scenarios.envs(forced.map(|tier| ("WHYDROP_TIER", tier)));
        let (code, seconds) = run_to_end(&mut scenarios)?;
        println!("vm-init: tier {tier} exit {code} {seconds:.1}");
    }
    if is_kept {
        note("the recordings", keep::hand_over());
    }
    Ok(())
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs([
            ("WHYDROP_BIN", "/bin/whydrop"),
            ("RUST_BACKTRACE", "1"),
            ("PATH", "/bin"),
            ("TMPDIR", "/tmp"),
        ])
        .stdin(Stdio::null());
    command
}

/// Runs a program and, as PID 1 must, reaps every orphan that ends meanwhile. What is left over afterwards is killed,
/// so that one tier cannot disturb the next.
fn run_to_end(command: &mut Command) -> Result<(i32, f64)> {
    let started = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let code = loop {
        let (pid, status) =
            rustix::process::wait(WaitOptions::empty())?.context("wait returned nothing")?;
        if pid.as_raw_nonzero().get() as u32 == child.id() {
            // The shell's way of naming the signal that ended a program.
            break status
                .exit_status()
                .or(status.terminating_signal().map(|signal| 128 + signal))
                .unwrap_or(-1);
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    // SAFETY: kill takes no pointers; -1 means every process but ourselves. rustix has no call for that.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    while rustix::process::wait(WaitOptions::empty()).is_ok() {}
    Ok((code, seconds))
}

fn mount_all() {
    // No cgroup2 here on purpose: whydrop must cope with a host that has not mounted it.
    for (kind, at, required) in [
        ("proc", "/proc", true),
        ("sysfs", "/sys", true),
        ("devtmpfs", "/dev", true),
        ("tmpfs", "/run", true),
        ("tmpfs", "/tmp", true),
        ("tracefs", "/sys/kernel/tracing", false),
    ] {
        let made = if at.starts_with("/sys/") {
            Ok(())
        } else {
            std::fs::create_dir_all(at)
        };
        let mounted = made.and_then(|()| Ok(mount(kind, at, kind, MountFlags::empty(), None)?));
        if required {
            note(&format!("mount {at}"), mounted);
        }
    }
    // Programs name their own descriptors by it.
    note(
        "link /dev/fd",
        std::os::unix::fs::symlink("/proc/self/fd", "/dev/fd"),
    );
}

/// In the order of the list, which puts dependencies first.
fn load_modules() {
    for path in read("/modules.list").lines() {
        let name = Path::new(path)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        note(&format!("module {name}"), load_module(path));
    }
}

fn load_module(path: &str) -> std::io::Result<()> {
    let file = File::open(path)?;
    Ok(finit_module(file, c"", 0)?)
}

/// Up to 5.10 BPF maps count against RLIMIT_MEMLOCK, whose default is too small for any tracer.
fn raise_limits() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    note("RLIMIT_MEMLOCK", setrlimit(Resource::Memlock, unlimited));
    let many = Rlimit {
        current: Some(65_536),
        maximum: Some(65_536),
    };
    note("RLIMIT_NOFILE", setrlimit(Resource::Nofile, many));
}

/// Says at once what whydrop would otherwise fail on later, with a less obvious message.
fn look_around() {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        println!("vm-init: this kernel has no BTF (/sys/kernel/btf/vmlinux)");
    }
    if !read("/proc/filesystems")
        .lines()
        .any(|line| line.ends_with("\tcgroup2"))
    {
        println!("vm-init: this kernel has no cgroup2");
    }
    if !Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists() {
        println!("vm-init: this kernel has no bpf system call");
    }
}

/// A failure the tests may survive is said and left behind.
fn note<T>(what: &str, result: Result<T, impl Display>) {
    if let Err(error) = result {
        println!("vm-init: {what}: {error:#}");
    }
}

/// A missing file reads as empty: every caller has a sensible meaning for that.
fn read(path: &str) -> String {
    let mut text = String::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}

fn power_off() -> ! {
    // The console is to have written everything, which power-off would cut.
    let _ = tcdrain(std::io::stdout());
    let _ = reboot(RebootCommand::PowerOff);
    // Only reached where even PID 1 may not power off, such as in a container.
    std::process::exit(1)
}

//! Real servers inside a namespace: nginx and its like, with a directory of
//! their own. A server is the first process of a PID namespace, so that all its
//! processes end with it, and it ends with the test.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};

use crate::client::Client;
use crate::deadline::{ready, wait_until};
use crate::netns::Netns;

/// Whatever else the machine does is not to be what keeps a server from accepting.
const NICE: i32 = -15;

/// A directory that is removed with its content.
pub struct Directory(PathBuf);

impl Directory {
    /// `name` is that of one test.
    pub fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("whydrop-{}-{name}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file of it; where it is, is the answer.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of a Debian package: below `WHYDROP_LAB`, where `cargo xtask lab` unpacks what the machine lacks, or below `/`.
pub fn file_of(package: &str, file: &str) -> Result<PathBuf> {
    let lab = std::env::var_os("WHYDROP_LAB").map(PathBuf::from);
    let mut places = lab.into_iter().chain([PathBuf::from("/")]);
    places
        .find_map(|root| Some(root.join(file)).filter(|path| path.exists()))
        .with_context(|| {
            format!(
                "there is no {file}: the package {package} is missing; `cargo xtask lab` gets it"
            )
        })
}

/// A command that finds libraries and modules of unpacked packages too.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(lab) = std::env::var_os("WHYDROP_LAB").map(PathBuf::from) {
        command
            .env("LD_LIBRARY_PATH", lab.join("usr/lib/x86_64-linux-gnu"))
            .env("PYTHONPATH", lab.join("usr/lib/python3/dist-packages"));
    }
    command
}

pub struct Server {
    unshare: Child,
    main: Pid,
    directory: Directory,
}

impl Server {
    /// Starts `program` in the namespace and waits until `to` can be connected to.
    pub fn start(
        netns: &Netns,
        to: SocketAddr,
        directory: Directory,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let log = directory.path().join("log");
        let out = fs::File::create(&log)?;
        let mut command = command("unshare");
        command
            .args(["--pid", "--fork", "--kill-child=KILL"])
            .arg(program)
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out);
        // SAFETY: only system calls after the fork, which touch no memory of this process.
        unsafe {
            command.pre_exec(|| {
                let ends_with_us = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0;
                let goes_first = libc::setpriority(libc::PRIO_PROCESS, 0, NICE) == 0;
                if ends_with_us && goes_first && libc::setsid() > 0 {
                    Ok(())
                } else {
                    Err(std::io::Error::last_os_error())
                }
            });
        }
        let mut unshare = netns.spawn(&mut command)?;
        set_session_nice(unshare.id(), NICE)?;
        let main = wait_for_child(&mut unshare, &log)?;
        let mut server = Self {
            unshare,
            main,
            directory,
        };
        wait_until("a server that listens", ready(), || {
            server.ensure_alive()?;
            Ok(Client::connect(netns, to)?.outcome()?.is_ok())
        })
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(server)
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process that was started, as this PID namespace calls it.
    pub fn main(&self) -> Pid {
        self.main
    }

    /// Its children.
    pub fn workers(&self) -> Result<Vec<Pid>> {
        children(self.main)
    }

    /// From now on it is no more to the scheduler than its clients are.
    pub fn be_as_others(&self) -> Result<()> {
        for pid in self.workers()?.into_iter().chain([self.main]) {
            setpriority_process(Some(pid), 0)?;
        }
        set_session_nice(self.unshare.id(), 0)
    }

    pub fn ensure_alive(&mut self) -> Result<()> {
        if let Some(status) = self.unshare.try_wait()? {
            let log = self.directory.path().join("log");
            let log = fs::read_to_string(log).unwrap_or_default();
            bail!("the server ended ({status}): {log}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(self.main, Signal::KILL);
        let _ = self.unshare.wait();
    }
}

/// Where the kernel schedules by session (kernel/sched/autogroup.c), its session counts.
fn set_session_nice(pid: u32, nice: i32) -> Result<()> {
    let path = format!("/proc/{pid}/autogroup");
    if Path::new(&path).exists() {
        fs::write(&path, nice.to_string()).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

fn wait_for_child(unshare: &mut Child, log: &Path) -> Result<Pid> {
    let parent = Pid::from_child(unshare);
    let mut found = None;
    wait_until("the server's process", ready(), || {
        if let Some(status) = unshare.try_wait()? {
            bail!("{status}: {}", fs::read_to_string(log).unwrap_or_default());
        }
        found = children(parent)?.first().copied();
        Ok(found.is_some())
    })?;
    found.context("no process")
}

fn children(of: Pid) -> Result<Vec<Pid>> {
    let of = of.as_raw_nonzero();
    let path = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let pids: Vec<Pid> = text
        .split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect();
    ensure!(
        pids.len() == text.split_whitespace().count(),
        "{path}: {text}"
    );
    Ok(pids)
}

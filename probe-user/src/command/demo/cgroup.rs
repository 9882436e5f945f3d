//! A cgroup for a scene. A process of its own makes it and removes it when whydrop has let go, or has ended.

use std::{
    fs,
    io::{self, ErrorKind, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{server::Server, stage::wait_for_ready};
use crate::{command::say, host::cgroup::Cgroups};

/// How long the processes in it may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

#[derive(Args, Clone, Debug)]
pub struct KeepArgs {
    path: PathBuf,
}

pub(super) struct Cgroup {
    path: PathBuf,
    keeper: Child,
}

impl Cgroup {
    /// At the top of the v2 tree.
    pub(super) fn new() -> io::Result<Self> {
        let path = top()?.join(format!("whydrop-demo-{}", std::process::id()));
        let mut keeper = Command::new("/proc/self/exe")
            .args(["demo-helper", "keep"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        wait_for_ready(&mut keeper)?;
        Ok(Self { path, keeper })
    }

    /// With a controller, which the top of the tree has to give already: the host is left as it is.
    pub(super) fn with(controller: &str) -> io::Result<Self> {
        let given = fs::read_to_string(top()?.join("cgroup.subtree_control"))?;
        if given.split_whitespace().any(|it| it == controller) {
            return Self::new();
        }
        Err(io::Error::new(
            ErrorKind::Unsupported,
            format!(
                "cgroup2 of this host gives no {controller} controller to its cgroups (cgroup.subtree_control at its top); try a host without cgroup v1"
            ),
        ))
    }

    /// Writes to one of its files, such as `cgroup.freeze`.
    pub(super) fn set(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.path.join(file), value)
    }

    pub(super) fn take(&self, server: &Server) -> io::Result<()> {
        self.set("cgroup.procs", &server.pid().to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn top() -> io::Result<PathBuf> {
    Cgroups::new().mount_point().ok_or_else(|| {
        io::Error::new(
            ErrorKind::Unsupported,
            "cgroup2 is not mounted on this host",
        )
    })
}

/// The process that makes it and removes it.
pub(super) fn keep(args: &KeepArgs) -> io::Result<()> {
    fs::create_dir(&args.path)?;
    // Whoever does not read this is gone, which the next line notices too.
    let _ = say("ready");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let end = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(&args.path) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < end => {
                thread::sleep(LOOK_AGAIN_AFTER);
            }
            removed => return removed,
        }
    }
}

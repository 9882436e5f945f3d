//! Whose socket is shown. Several of one kind are "or", different kinds are "and".

use std::path::Path;

use clap::Args;

use super::{
    any_of::{passes, words},
    value::{CgroupFilter, CommFilter, ContainerFilter, PidFilter},
};
use crate::model::{cgroup::Cgroup, owner::Owner};

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters (each can be given again)")]
pub struct Whose {
    /// Only sockets that this process holds
    #[arg(long = "pid", short = 'p', value_name = "PID")]
    pub pids: Vec<PidFilter>,

    /// Only sockets that a process of this name holds, as `ps -o comm` shows it
    #[arg(long = "comm", value_name = "NAME")]
    pub comms: Vec<CommFilter>,

    /// Only sockets of this cgroup and those below it, such as /system.slice/nginx.service
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<CgroupFilter>,

    /// Only sockets of this container: the first digits of its id, at least 6
    #[arg(long = "container", value_name = "ID")]
    pub containers: Vec<ContainerFilter>,
}

impl Whose {
    /// Whether these filters make sense here; one sentence if not.
    pub fn check(&self) -> Result<(), String> {
        match self.pids.iter().find(|pid| !exists(**pid)) {
            Some(PidFilter(pid)) => Err(format!(
                "there is no process {pid}; `ss -ltnp` shows which ones listen"
            )),
            None => Ok(()),
        }
    }

    /// Whether it does not matter whose it is.
    pub const fn is_empty(&self) -> bool {
        self.pids.is_empty()
            && self.comms.is_empty()
            && self.cgroups.is_empty()
            && self.containers.is_empty()
    }

    /// What is not known is not what was asked for.
    pub fn takes(&self, owner: &[Owner], cgroup: Option<&Cgroup>) -> bool {
        let container = cgroup.and_then(|cgroup| cgroup.container.as_ref());
        passes(&self.pids, owner, |pid, owner| pid.takes(owner))
            && passes(&self.comms, owner, CommFilter::takes)
            && passes(&self.cgroups, cgroup, CgroupFilter::takes)
            && passes(&self.containers, container, ContainerFilter::takes)
    }

    pub fn in_words(&self) -> Vec<String> {
        [
            words(&self.pids),
            words(&self.comms),
            words(&self.cgroups),
            words(&self.containers),
        ]
        .concat()
    }
}

fn exists(PidFilter(pid): PidFilter) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

//! The filters that need more than the packet: whose listener, why, and which
//! client. Several of one kind are "or", different kinds are "and".

use std::{fmt::Display, path::Path};

use clap::Args;

use super::value::{CgroupFilter, ClientFilter, CommFilter, ContainerFilter, PidFilter};
use crate::{
    btf::Btf,
    cause::{self, Cause, kebab},
    enrich::Observation,
    inspect::{cgroup::Cgroup, owner::Owner},
    loader::Tier,
};

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters (each can be given again)")]
pub struct Only {
    /// Show only sockets that this process holds
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<PidFilter>,

    /// Show only sockets that a process of this name holds, as `ps -o comm` shows it
    #[arg(long = "comm", value_name = "NAME")]
    pub comms: Vec<CommFilter>,

    /// Show only sockets of this cgroup and those below it, such as /system.slice/nginx.service
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<CgroupFilter>,

    /// Show only sockets of this container: how its id begins, at least 6 digits
    #[arg(long = "container", value_name = "ID")]
    pub containers: Vec<ContainerFilter>,

    /// Show only what has, or may have, this cause, such as ghost-connection; docs/causes.md lists them
    #[arg(long = "cause", value_name = "CAUSE")]
    pub causes: Vec<String>,

    /// Show only these clients: an address or a network such as 10.0.0.0/8. What was left out for want of detail
    /// (see --detail) and the counts at the end are those of all clients
    #[arg(long = "client", value_name = "ADDR[/BITS]")]
    pub clients: Vec<ClientFilter>,
}

impl Only {
    /// Whether these filters make sense here; one sentence if not.
    pub fn check(&self, tier: Option<Tier>) -> Result<(), String> {
        if let Some(unknown) = self
            .causes
            .iter()
            .find(|id| !cause::is_known(id) && !is_drop_reason_here(id))
        {
            return Err(format!(
                "`{unknown}` is no cause; docs/causes.md lists them all, such as accept-queue-full"
            ));
        }
        if let Some(PidFilter(pid)) = self.pids.iter().find(|pid| !exists(**pid)) {
            return Err(format!(
                "there is no process {pid}; `ss -ltnp` shows which ones listen"
            ));
        }
        let needs_hooks = !self.causes.is_empty() || !self.clients.is_empty();
        if needs_hooks && tier == Some(Tier::Counters) {
            return Err(
                "--cause and --client show nothing on the counters tier, which knows neither; leave them or --tier out"
                    .into(),
            );
        }
        Ok(())
    }

    pub const fn is_empty(&self) -> bool {
        !self.asks_whose() && self.causes.is_empty() && self.clients.is_empty()
    }

    /// Whether it matters whose listener it is.
    pub const fn asks_whose(&self) -> bool {
        !(self.pids.is_empty()
            && self.comms.is_empty()
            && self.cgroups.is_empty()
            && self.containers.is_empty())
    }

    pub fn takes(&self, seen: &Observation) -> bool {
        // Of a refusal for want of a listener, those who had it until a moment ago.
        let owner = match &seen.refusal.closed {
            Some(closed) => &closed.owner,
            None => &seen.owner,
        };
        self.takes_whose(owner, seen.cgroup.as_deref())
            && self.takes_cause(seen.cause.as_ref())
            && passes(&self.clients, seen.event.client.as_slice(), |f, client| {
                f.takes(client.ip())
            })
    }

    /// What is not known is not what was asked for.
    pub fn takes_whose(&self, owner: &[Owner], cgroup: Option<&Cgroup>) -> bool {
        let container = cgroup.and_then(|cgroup| cgroup.container.as_ref());
        passes(&self.pids, owner, PidFilter::takes)
            && passes(&self.comms, owner, CommFilter::takes)
            && passes(&self.cgroups, cgroup, CgroupFilter::takes)
            && passes(&self.containers, container, ContainerFilter::takes)
    }

    /// A cause among others that cannot be told apart is taken for any of them.
    pub fn takes_cause(&self, cause: Option<&Cause>) -> bool {
        passes(&self.causes, cause, |id, cause| {
            cause.id == *id || cause.or.contains(&id.as_str())
        })
    }

    pub fn in_words(&self) -> Vec<String> {
        let causes: Vec<String> = self.causes.iter().map(|id| format!("cause {id}")).collect();
        [
            words(&self.pids),
            words(&self.comms),
            words(&self.cgroups),
            words(&self.containers),
            causes,
            words(&self.clients),
        ]
        .concat()
    }
}

/// Whether there is nothing to pass, or one of `found` passes one of the filters.
fn passes<F, T>(
    filters: &[F],
    found: impl IntoIterator<Item = T>,
    takes: impl Fn(&F, T) -> bool,
) -> bool
where
    T: Copy,
{
    let mut found = found.into_iter();
    filters.is_empty() || found.any(|one| filters.iter().any(|filter| takes(filter, one)))
}

fn words(filters: &[impl Display]) -> Vec<String> {
    filters.iter().map(ToString::to_string).collect()
}

fn exists(PidFilter(pid): PidFilter) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Whether the running kernel drops packets for this reason: a kernel may have more of them than a page describes.
fn is_drop_reason_here(id: &str) -> bool {
    let reasons = Btf::of_kernel().and_then(|btf| btf.constants("skb_drop_reason"));
    reasons.is_ok_and(|reasons| {
        reasons
            .iter()
            .any(|(_, name)| kebab(name, "SKB_DROP_REASON_") == id)
    })
}

#[cfg(test)]
#[path = "only_tests.rs"]
mod tests;

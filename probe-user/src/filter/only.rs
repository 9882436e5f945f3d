//! The filters that need more than the packet: whose listener, why, and which
//! client. Several of one kind are "or", different kinds are "and".

use std::net::IpAddr;

use clap::Args;

use super::{
    any_of::{passes, words},
    value::ClientFilter,
    whose::Whose,
};
use crate::{
    btf::Btf,
    cause,
    model::{
        cause::{Cause, kebab},
        cgroup::Cgroup,
        observation::Observation,
        owner::Owner,
        tier::Tier,
    },
};

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters (each can be given again)")]
pub struct Only {
    #[command(flatten)]
    pub whose: Whose,

    /// Only events that have, or may have, this cause, such as ghost-connection; `whydrop explain` lists them
    #[arg(long = "cause", value_name = "CAUSE")]
    pub causes: Vec<String>,

    /// Only these clients: an address or a network such as 10.0.0.0/8. Lines about what --detail left out, and the
    /// counts at the end, are of all clients
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
                "`{unknown}` is not a cause, such as accept-queue-full is; `whydrop explain` lists them all"
            ));
        }
        self.whose.check()?;
        let needs_hooks = !self.causes.is_empty() || !self.clients.is_empty();
        if needs_hooks && tier == Some(Tier::Counters) {
            return Err(
                "--cause and --client show nothing on the counters tier, which knows neither; leave out these, or --tier"
                    .into(),
            );
        }
        Ok(())
    }

    /// Whether nothing is left out.
    pub const fn is_empty(&self) -> bool {
        !self.asks_whose() && self.causes.is_empty() && self.clients.is_empty()
    }

    /// Whether it matters whose listener it is.
    pub const fn asks_whose(&self) -> bool {
        !self.whose.is_empty()
    }

    /// Whether an observation is one of those.
    pub fn takes(&self, seen: &Observation) -> bool {
        if self.is_empty() {
            return true;
        }
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

    /// Whether a client is among those wanted, or all are.
    pub fn takes_client(&self, client: IpAddr) -> bool {
        self.clients.is_empty() || self.clients.iter().any(|filter| filter.takes(client))
    }

    /// The same filters on a recording: processes and kernels are those of another time. One sentence if they make no
    /// sense on its tier.
    pub fn check_recorded(&self, tier: Tier) -> Result<(), String> {
        let needs_hooks = !self.causes.is_empty() || !self.clients.is_empty();
        if needs_hooks && tier == Tier::Counters {
            return Err(
                "--cause and --client choose nothing in a recording of the counters tier, which knows neither; leave them out"
                    .into(),
            );
        }
        Ok(())
    }

    /// Causes that this version does not describe; another kernel may have had them all the same.
    pub fn unknown_causes(&self) -> impl Iterator<Item = &str> {
        let ids = self.causes.iter().map(String::as_str);
        ids.filter(|id| !cause::is_known(id))
    }

    /// What is not known is not what was asked for.
    pub fn takes_whose(&self, owner: &[Owner], cgroup: Option<&Cgroup>) -> bool {
        self.whose.takes(owner, cgroup)
    }

    /// A cause among others that cannot be told apart is taken for any of them.
    pub fn takes_cause(&self, cause: Option<&Cause>) -> bool {
        passes(&self.causes, cause, |id, cause| {
            cause.id == *id || cause.or.contains(&id.as_str())
        })
    }

    /// What is asked for, in words, as the readiness line has it.
    pub fn in_words(&self) -> Vec<String> {
        let causes: Vec<String> = self.causes.iter().map(|id| format!("cause {id}")).collect();
        [self.whose.in_words(), causes, words(&self.clients)].concat()
    }
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

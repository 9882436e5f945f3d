//! What a listener is called in labels: never a client, a pid or a cookie, since those never end.

use std::{net::SocketAddr, sync::Arc};

use crate::model::{
    NetnsNames, cgroup::Cgroup, exposition::Labels, netns_name::NetnsName, owner::Owner,
};

/// The name of all those that have no series of their own.
pub(super) const OTHER: &str = "other";

/// What makes a listener's series its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity {
    pub(super) listener: String,
    pub(super) netns: Arc<str>,
    comm: String,
    unit: String,
    container: String,
    pod_uid: String,
}

impl Identity {
    pub(super) fn of(
        addr: SocketAddr,
        netns: Arc<str>,
        owner: &[Owner],
        cgroup: Option<&Cgroup>,
    ) -> Self {
        let comm = owner.first().map(|owner| owner.comm.clone());
        let unit = cgroup.and_then(|cgroup| cgroup.unit.clone());
        let container = cgroup.and_then(|cgroup| cgroup.container.as_ref());
        let pod_uid = cgroup.and_then(|cgroup| cgroup.pod.clone());
        Self {
            listener: addr.to_string(),
            netns,
            comm: comm.unwrap_or_default(),
            unit: unit.unwrap_or_default(),
            container: container.map_or_else(String::new, |one| one.id.clone()),
            pod_uid: pod_uid.unwrap_or_default(),
        }
    }

    /// Of those that have none, in this namespace.
    pub(super) fn other(netns: Arc<str>) -> Self {
        Self {
            listener: OTHER.into(),
            netns,
            ..Self::default()
        }
    }

    pub(super) fn is_other(&self) -> bool {
        self.listener == OTHER
    }

    pub(super) fn has_owner(&self) -> bool {
        !self.comm.is_empty()
    }

    /// An empty label is none.
    pub(super) fn labels(&self) -> Labels {
        let all: [(&'static str, &str); 6] = [
            ("listener", &self.listener),
            ("netns", &self.netns),
            ("comm", &self.comm),
            ("unit", &self.unit),
            ("container", &self.container),
            ("pod_uid", &self.pod_uid),
        ];
        let told = all.into_iter().filter(|(_, value)| !value.is_empty());
        told.map(|(name, value)| (name, value.into())).collect()
    }
}

/// The name that `ip netns` has for a namespace, or else its number.
pub(super) fn netns_label(netns: u32, name: Option<&NetnsName>) -> Arc<str> {
    match name.and_then(NetnsName::given) {
        Some(name) => name.into(),
        None => netns.to_string().into(),
    }
}

/// The same where names are in a table.
pub(super) fn netns_in(netns: u32, names: &NetnsNames) -> Arc<str> {
    netns_label(netns, names.get(&netns).map(|name| &**name))
}

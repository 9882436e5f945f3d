//! Whose it is, as JSON has it.

use schemars::JsonSchema;
use serde::Serialize;

use super::member;
use crate::model::{
    NetnsNames,
    cgroup::{Cgroup, Container},
    event::Task,
    netns_name::NetnsName,
    owner::Owner,
};

#[derive(Serialize, JsonSchema)]
pub(super) struct OwnerView<'a> {
    pid: u32,
    comm: &'a str,
    exe: Option<&'a str>,
}

pub(super) fn owners(owners: &[Owner]) -> Vec<OwnerView<'_>> {
    owners
        .iter()
        .map(|owner| OwnerView {
            pid: owner.pid,
            comm: &owner.comm,
            exe: owner.exe.as_deref(),
        })
        .collect()
}

/// A process of which the kernel side has told.
#[derive(Serialize, JsonSchema)]
pub(super) struct TaskView<'a> {
    pid: u32,
    comm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u8>,
}

pub(super) fn task_view(task: &Task) -> TaskView<'_> {
    TaskView {
        pid: task.pid,
        comm: &task.comm,
        signal: task.signal,
        exit_status: task.exit_status,
    }
}

#[derive(Serialize, JsonSchema)]
struct ContainerView<'a> {
    id: &'a str,
    runtime: Option<&'a str>,
}

impl<'a> From<&'a Container> for ContainerView<'a> {
    fn from(container: &'a Container) -> Self {
        Self {
            id: &container.id,
            runtime: container.runtime,
        }
    }
}

/// The processes that hold a socket, and what its cgroup is called.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Whose<'a> {
    owner: Vec<OwnerView<'a>>,
    cgroup: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<ContainerView<'a>>,
    pod: Option<&'a str>,
}

impl<'a> Whose<'a> {
    pub(crate) fn of(owner: &'a [Owner], cgroup: Option<&'a Cgroup>) -> Self {
        Self {
            owner: owners(owner),
            cgroup: cgroup.map(|cgroup| cgroup.path.as_str()),
            unit: cgroup.and_then(|cgroup| cgroup.unit.as_deref()),
            container: cgroup
                .and_then(|cgroup| cgroup.container.as_ref())
                .map(ContainerView::from),
            pod: cgroup.and_then(|cgroup| cgroup.pod.as_deref()),
        }
    }
}

/// The members of [`Whose`].
pub(super) fn write_whose(owner: &[Owner], cgroup: Option<&Cgroup>, to: &mut String) {
    to.push_str(r#","owner":["#);
    for (nth, owner) in owner.iter().enumerate() {
        if nth > 0 {
            to.push(',');
        }
        member::number(to, r#"{"pid":"#, owner.pid);
        member::text(to, r#","comm":"#, &owner.comm);
        member::text_or_null(to, r#","exe":"#, owner.exe.as_deref());
        to.push('}');
    }
    let path = cgroup.map(|cgroup| cgroup.path.as_str());
    member::text_or_null(to, r#"],"cgroup":"#, path);
    let unit = cgroup.and_then(|cgroup| cgroup.unit.as_deref());
    member::text_or_null(to, r#","unit":"#, unit);
    match cgroup.and_then(|cgroup| cgroup.container.as_ref()) {
        Some(container) => {
            member::text(to, r#","container":{"id":"#, &container.id);
            member::text_or_null(to, r#","runtime":"#, container.runtime);
            to.push('}');
        }
        None => to.push_str(r#","container":null"#),
    }
    let pod = cgroup.and_then(|cgroup| cgroup.pod.as_deref());
    member::text_or_null(to, r#","pod":"#, pod);
}

/// Its name, or the process that it is called by.
pub(crate) fn name_and_pid(called: Option<&NetnsName>) -> (Option<&str>, Option<u32>) {
    match called {
        Some(NetnsName::Given(name)) => (Some(name.as_str()), None),
        Some(NetnsName::Process { pid, .. }) => (None, Some(*pid)),
        None => (None, None),
    }
}

/// A namespace, and what it is called.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NetnsView<'a> {
    netns: u32,
    netns_name: Option<&'a str>,
    netns_pid: Option<u32>,
}

impl<'a> NetnsView<'a> {
    pub(crate) fn of(netns: u32, called: Option<&'a NetnsName>) -> Self {
        let (netns_name, netns_pid) = name_and_pid(called);
        Self {
            netns,
            netns_name,
            netns_pid,
        }
    }

    /// By the names that are known of a watch's.
    pub(crate) fn among(netns: u32, names: &'a NetnsNames) -> Self {
        Self::of(netns, names.get(&netns).map(|name| &**name))
    }
}

/// The members of [`NetnsView`].
pub(super) fn write_netns(netns: u32, called: Option<&NetnsName>, to: &mut String) {
    member::number(to, r#","netns":"#, netns);
    match called {
        Some(NetnsName::Given(name)) => {
            member::text(to, r#","netns_name":"#, name);
            to.push_str(r#","netns_pid":null"#);
        }
        Some(NetnsName::Process { pid, .. }) => {
            member::number(to, r#","netns_name":null,"netns_pid":"#, *pid);
        }
        None => to.push_str(r#","netns_name":null,"netns_pid":null"#),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, option, prelude::*};

    use super::*;
    use crate::sink::json::append_json;

    fn owner() -> impl Strategy<Value = Owner> {
        (any::<u32>(), any::<String>(), option::of(any::<String>())).prop_map(|(pid, comm, exe)| {
            Owner {
                pid,
                comm: comm.as_str().into(),
                exe: exe.as_deref().map(Into::into),
            }
        })
    }

    fn cgroup() -> impl Strategy<Value = Cgroup> {
        let name = || option::of(any::<String>());
        let runtime = prop_oneof![Just(None), Just(Some("docker"))];
        let container = option::of((any::<String>(), runtime));
        (any::<String>(), name(), container, name()).prop_map(|(path, unit, container, pod)| {
            Cgroup {
                path,
                unit,
                container: container.map(|(id, runtime)| Container { id, runtime }),
                pod,
            }
        })
    }

    fn called() -> impl Strategy<Value = NetnsName> {
        prop_oneof![
            any::<String>().prop_map(NetnsName::Given),
            (any::<u32>(), any::<String>())
                .prop_map(|(pid, comm)| NetnsName::Process { pid, comm }),
        ]
    }

    /// Members that were appended by hand, as an object.
    fn object(members: &str) -> String {
        format!("{{{}}}", members.trim_start_matches(','))
    }

    fn by_serde(view: &impl Serialize) -> String {
        let mut text = String::new();
        assert!(append_json(&mut text, view));
        text
    }

    proptest! {
        #[test]
        fn what_is_written_by_hand_is_what_serde_writes(
            owners in collection::vec(owner(), 0..3),
            cgroup in option::of(cgroup()),
            netns: u32,
            called in option::of(called()),
        ) {
            let mut by_hand = String::new();
            write_whose(&owners, cgroup.as_ref(), &mut by_hand);
            let whose = by_serde(&Whose::of(&owners, cgroup.as_ref()));
            prop_assert_eq!(object(&by_hand), whose);
            by_hand.clear();
            write_netns(netns, called.as_ref(), &mut by_hand);
            let view = by_serde(&NetnsView::of(netns, called.as_ref()));
            prop_assert_eq!(object(&by_hand), view);
        }
    }
}

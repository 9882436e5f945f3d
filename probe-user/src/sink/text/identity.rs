//! Whose it is, as a line has room for it.

use super::Clean;
use crate::{
    model::{cgroup::Cgroup, netns_name::NetnsName, owner::Owner},
    sink::append::{column, number},
};

/// The first process that holds a socket and how many others do, then its container or unit where there is one.
pub(crate) fn whose(owners: &[Owner], cgroup: Option<&Cgroup>) -> String {
    let mut text = String::new();
    write_whose(owners, cgroup, &mut text);
    text
}

/// The same, appended.
pub(super) fn write_whose(owners: &[Owner], cgroup: Option<&Cgroup>, to: &mut String) {
    match cgroup.and_then(place) {
        Some(place) => {
            column(to, 22, |to| write_holders(owners, to));
            to.push(' ');
            Clean(place).write(to);
        }
        None => write_holders(owners, to),
    }
}

pub(crate) fn write_netns(netns: u32, name: Option<&NetnsName>, to: &mut String) {
    to.push_str("  ");
    name_netns(netns, name, to);
}

/// The same where it stands in a sentence.
pub(crate) fn name_netns(netns: u32, name: Option<&NetnsName>, to: &mut String) {
    to.push_str("netns ");
    match name {
        Some(NetnsName::Given(name)) => Clean(name).write(to),
        Some(NetnsName::Process { pid, comm }) => {
            number(to, netns);
            to.push_str(" (pid ");
            number(to, *pid);
            to.push(' ');
            Clean(comm).write(to);
            to.push(')');
        }
        None => number(to, netns),
    }
}

/// The first process that holds a socket and how many others do.
pub(crate) fn holders(owners: &[Owner]) -> String {
    let mut text = String::new();
    write_holders(owners, &mut text);
    text
}

fn write_holders(owners: &[Owner], to: &mut String) {
    let [first, more @ ..] = owners else {
        return to.push('-');
    };
    Clean(&first.comm).write(to);
    to.push('[');
    number(to, first.pid);
    to.push(']');
    if !more.is_empty() {
        to.push_str(" +");
        number(to, more.len());
    }
}

/// The container or else the unit.
pub(crate) fn place(cgroup: &Cgroup) -> Option<&str> {
    let container = cgroup
        .container
        .as_ref()
        .map(crate::model::cgroup::Container::short_id);
    container.or(cgroup.unit.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(comms: &[&str], path: Option<String>, expect: &str) {
        let owners: Vec<Owner> = comms
            .iter()
            .zip(7..)
            .map(|(comm, pid)| Owner {
                pid,
                comm: (*comm).into(),
                exe: None,
            })
            .collect();
        let cgroup = path.map(Cgroup::of);
        assert_eq!(whose(&owners, cgroup.as_ref()), expect);
    }

    #[test]
    fn a_namespace_by_name_by_process_or_by_number() {
        let written = |name| {
            let mut text = String::new();
            write_netns(42, name, &mut text);
            text
        };
        let given = NetnsName::Given("blue".into());
        assert_eq!(written(Some(&given)), "  netns blue");
        let process = NetnsName::Process {
            pid: 7,
            comm: "ng\u{1b}x".into(),
        };
        let expect = "  netns 42 (pid 7 ng?x)";
        assert_eq!(written(Some(&process)), expect);
        assert_eq!(written(None), "  netns 42");
    }

    #[test]
    fn an_owner_and_where_it_lives() {
        check(&[], None, "-");
        check(&["nginx"], None, "nginx[7]");
        check(&["nginx", "nginx"], Some("/a".into()), "nginx[7] +1");
        check(
            &["ng\u{1b}x"],
            Some("/system.slice/nginx.service".into()),
            "ng?x[7]                nginx.service",
        );
        let id = "0123456789abcdef".repeat(4);
        check(
            &["a"],
            Some(format!("/system.slice/docker-{id}.scope")),
            "a[7]                   0123456789ab",
        );
    }
}

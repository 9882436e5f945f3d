//! Whose it is, as a line has room for it.

use std::fmt::{self, Write as _};

use super::Clean;
use crate::inspect::{cgroup::Cgroup, netns::NetnsName, owner::Owner};

/// The first process that holds a socket and how many others do, then its container or unit where there is one.
pub fn whose(owners: &[Owner], cgroup: Option<&Cgroup>) -> String {
    let owner = holders(owners);
    match cgroup.and_then(place) {
        Some(place) => format!("{owner:<22} {}", Clean(place)),
        None => owner,
    }
}

pub fn write_netns(netns: u32, name: Option<&NetnsName>, to: &mut String) -> fmt::Result {
    match name {
        Some(NetnsName::Given(name)) => write!(to, "  netns {}", Clean(name)),
        Some(NetnsName::Process { pid, comm }) => {
            write!(to, "  netns {netns} (pid {pid} {})", Clean(comm))
        }
        None => write!(to, "  netns {netns}"),
    }
}

/// The first process that holds a socket and how many others do.
pub fn holders(owners: &[Owner]) -> String {
    match owners {
        [] => "-".into(),
        [one] => format!("{}[{}]", Clean(&one.comm), one.pid),
        [one, more @ ..] => format!("{}[{}] +{}", Clean(&one.comm), one.pid, more.len()),
    }
}

/// The container or else the unit.
pub fn place(cgroup: &Cgroup) -> Option<&str> {
    let container = cgroup.container.as_ref().map(|one| one.short_id());
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
            write_netns(42, name, &mut text).map(|()| text)
        };
        let given = NetnsName::Given("blue".into());
        assert_eq!(written(Some(&given)), Ok("  netns blue".into()));
        let process = NetnsName::Process {
            pid: 7,
            comm: "ng\u{1b}x".into(),
        };
        let expect = "  netns 42 (pid 7 ng?x)";
        assert_eq!(written(Some(&process)), Ok(expect.into()));
        assert_eq!(written(None), Ok("  netns 42".into()));
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

//! SO_REUSEPORT groups: the rows of a summary and a LISTEN dump of their ports
//! come in, the groups they belong to go out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::{Group, GroupMember, ListenerTally, socket::ListenerSnapshot};

/// The groups of more than one in which one of the `shown` rows is, as they are now. What their members have refused is in
/// `all` rows, whatever is shown. `listeners_in` says who listens in a namespace, `None` where nobody can tell; it is asked once
/// for each, since the kernel walks all listeners for one port too.
pub fn of_rows(
    shown: &[ListenerTally],
    all: &[ListenerTally],
    mut listeners_in: impl FnMut(u32) -> Option<Vec<ListenerSnapshot>>,
) -> Vec<Group> {
    let namespaces: BTreeSet<u32> = shown
        .iter()
        .filter(|row| row.addr.is_some())
        .map(|row| row.netns)
        .collect();
    let shown: HashSet<u64> = shown.iter().map(|row| row.cookie).collect();
    let is_shown = |group: &Group| {
        let mut members = group.members.iter();
        members.any(|member| shown.contains(&member.cookie))
    };
    let mut groups: Vec<Group> = namespaces
        .into_iter()
        // Of a namespace that has ended nothing can be said, and no listener is left.
        .filter_map(|netns| Some((netns, listeners_in(netns)?)))
        .flat_map(|(netns, listeners)| among(netns, &listeners, all))
        .filter(is_shown)
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.refusals()));
    groups
}

/// Only SO_REUSEPORT lets several listen on the same address and port (and device, and for the same families).
fn among(netns: u32, listeners: &[ListenerSnapshot], rows: &[ListenerTally]) -> Vec<Group> {
    let mut by_place: BTreeMap<_, Vec<&ListenerSnapshot>> = BTreeMap::new();
    for listener in listeners {
        let place = (listener.addr, listener.ifindex, listener.v6only);
        by_place.entry(place).or_default().push(listener);
    }
    let mut refused: HashMap<u64, u64> = HashMap::new();
    for row in rows {
        *refused.entry(row.cookie).or_default() += row.refusals();
    }
    let refused_by = |cookie: u64| refused.get(&cookie).copied().unwrap_or(0);
    by_place
        .into_iter()
        .filter(|(_, members)| members.len() > 1)
        .map(|((addr, _, _), members)| Group {
            netns,
            addr,
            members: members
                .into_iter()
                .map(|member| GroupMember {
                    cookie: member.cookie,
                    refusals: refused_by(member.cookie),
                    accept_queue_len: member.accept_queue_len,
                    accept_queue_limit: member.accept_queue_limit,
                })
                .collect(),
        })
        .filter(|group| group.refusals() > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::kind::Kind;

    fn listener(cookie: u64, addr: &str) -> ListenerSnapshot {
        ListenerSnapshot {
            cookie,
            addr: addr.parse().expect("an address"),
            accept_queue_len: cookie as u32,
            accept_queue_limit: 100,
            ..ListenerSnapshot::sample()
        }
    }

    fn row(cookie: u64, refusals: u64) -> ListenerTally {
        ListenerTally {
            cookie,
            netns: 1,
            addr: Some(([0, 0, 0, 0], 80).into()),
            owner: Arc::from([]),
            cgroup: None,
            counts: [((Kind::Overflow, None), refusals)].into(),
            causes: Default::default(),
        }
    }

    /// Members' cookies with their refusals, group by group.
    fn check(listeners: &[ListenerSnapshot], rows: &[ListenerTally], expect: &[&[(u64, u64)]]) {
        let groups = among(1, listeners, rows);
        let found: Vec<Vec<(u64, u64)>> = groups
            .iter()
            .map(|group| {
                let members = group.members.iter();
                members.map(|m| (m.cookie, m.refusals)).collect()
            })
            .collect();
        assert_eq!(found, expect);
    }

    /// However many ports: the kernel walks all listeners for each question.
    #[test]
    fn a_namespace_is_asked_once() {
        let at = |port: u16| ListenerTally {
            addr: Some(([0, 0, 0, 0], port).into()),
            ..row(u64::from(port), 1)
        };
        let rows: Vec<ListenerTally> = (1..1000).map(at).collect();
        let mut asked = Vec::new();
        let groups = of_rows(&rows, &rows, |netns| {
            asked.push(netns);
            Some(
                [80, 1080]
                    .map(|cookie| listener(cookie, "0.0.0.0:80"))
                    .into(),
            )
        });
        assert_eq!(asked, [1]);
        assert_eq!(groups.len(), 1);
    }

    #[test]
    fn those_that_listen_at_the_same_place_are_a_group() {
        let three = [5, 6, 7].map(|cookie| listener(cookie, "0.0.0.0:80"));
        let rows = [row(5, 98), row(7, 2)];
        check(&three, &rows, &[&[(5, 98), (6, 0), (7, 2)]]);
        check(&three[..1], &rows, &[]);
        check(&three, &[], &[]);
    }

    #[test]
    fn another_address_device_or_family_is_another_place() {
        let first = listener(5, "[::]:80");
        let on_device = ListenerSnapshot {
            ifindex: 2,
            ..listener(6, "[::]:80")
        };
        let only_ipv6 = ListenerSnapshot {
            v6only: Some(true),
            ..listener(7, "[::]:80")
        };
        let elsewhere = listener(8, "[::1]:80");
        let rows = [row(5, 1), row(6, 1), row(7, 1), row(8, 1)];
        check(&[first, on_device, only_ipv6, elsewhere], &rows, &[]);
    }

    #[test]
    fn who_listens_no_more_is_no_member() {
        let left = [listener(5, "0.0.0.0:80"), listener(6, "0.0.0.0:80")];
        let rows = [row(5, 1), row(9, 99)];
        check(&left, &rows, &[&[(5, 1), (6, 0)]]);
    }
}

//! SO_REUSEPORT groups. `sock_diag` does not tell of them, but the kernel lets nothing else listen at the same place twice.

use std::{collections::HashMap, net::SocketAddr};

use super::Found;

/// One of several that listen at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// From 1 on, in the order of their cookies, which says nothing else.
    pub number: usize,
    /// How many listeners it has.
    pub members: usize,
}

/// Namespace, address and port, device, families.
type Place = (u32, SocketAddr, u32, Option<bool>);

fn place(found: &Found) -> Place {
    let snapshot = &found.snapshot;
    (
        found.netns,
        snapshot.addr,
        snapshot.ifindex,
        snapshot.v6only,
    )
}

/// Of each, in the same order.
pub(super) fn of(found: &[Found]) -> Vec<Option<Membership>> {
    let mut cookies: HashMap<Place, Vec<u64>> = HashMap::new();
    for one in found {
        cookies
            .entry(place(one))
            .or_default()
            .push(one.snapshot.cookie);
    }
    let membership = |one: &Found| {
        let members = cookies
            .get(&place(one))
            .filter(|members| members.len() > 1)?;
        let before = members
            .iter()
            .filter(|cookie| **cookie < one.snapshot.cookie);
        Some(Membership {
            number: before.count() + 1,
            members: members.len(),
        })
    };
    found.iter().map(membership).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::found, *};

    #[test]
    fn those_at_the_same_place_are_a_group() {
        let mut elsewhere = found(9, "10.0.0.1:80", (0, 128));
        elsewhere.netns = 2;
        let mut on_device = found(8, "10.0.0.1:80", (0, 128));
        on_device.snapshot.ifindex = 3;
        let all = [
            found(7, "10.0.0.1:80", (0, 128)),
            found(5, "10.0.0.1:80", (0, 128)),
            found(6, "10.0.0.1:81", (0, 128)),
            elsewhere,
            on_device,
        ];
        let numbers: Vec<Option<(usize, usize)>> = of(&all)
            .into_iter()
            .map(|group| group.map(|group| (group.number, group.members)))
            .collect();
        assert_eq!(numbers, [Some((2, 2)), Some((1, 2)), None, None, None]);
    }
}

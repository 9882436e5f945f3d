//! What is worth knowing of a listener that stands still: its queue, where its limit comes from, its SO_REUSEPORT group and
//! what may go wrong. Snapshots, sysctls and owners come in, rows go out, the worst first. Does no I/O and reads no clock.

mod group;
mod limit;
mod note;

use std::cmp::Reverse;

pub use self::{group::Membership, limit::LimitFrom, note::Note};
use crate::model::{Found, socket::ListenerSnapshot};

/// The same with what follows from it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The listener.
    pub found: Found,
    /// Where its limit comes from, where that is known.
    pub limit_from: Option<LimitFrom>,
    /// `None` where it has its place for itself.
    pub group: Option<Membership>,
    /// The worst first.
    pub notes: Vec<Note>,
}

/// All listeners of one or more namespaces; groups are found among them, so none may be left out before.
pub fn list(found: Vec<Found>) -> Vec<Listed> {
    let groups = group::of(&found);
    let mut listed: Vec<Listed> = found
        .into_iter()
        .zip(groups)
        .map(|(found, group)| Listed {
            limit_from: LimitFrom::of(&found),
            notes: note::of(&found),
            group,
            found,
        })
        .collect();
    listed.sort_by_key(order);
    listed
}

/// By the worst note, then the fullest queue, then drops, then the address.
fn order(one: &Listed) -> impl Ord + use<> {
    let snapshot = &one.found.snapshot;
    (
        one.notes.first().map_or(Note::NOTHING, |note| note.rank()),
        Reverse(permille(snapshot)),
        Reverse(snapshot.drops),
        one.found.netns,
        snapshot.addr,
        snapshot.cookie,
    )
}

/// How full the queue is. A limit of 128 holds 129, so a full one is 1000 or more.
fn permille(snapshot: &ListenerSnapshot) -> u64 {
    let room = u64::from(snapshot.accept_queue_limit) + 1;
    u64::from(snapshot.accept_queue_len) * 1000 / room
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{owner::Owner, sysctls::ListenSysctls};

    /// A listener of a root that sees everything, with nothing to tell of.
    pub(super) fn found(cookie: u64, addr: &str, queue: (u32, u32)) -> Found {
        Found {
            netns: 1,
            netns_name: None,
            snapshot: ListenerSnapshot {
                cookie,
                addr: addr.parse().expect("an address"),
                accept_queue_len: queue.0,
                accept_queue_limit: queue.1,
                drops: Some(0),
                taken_mono_ns: 0,
                ..ListenerSnapshot::sample()
            },
            sysctls: ListenSysctls {
                somaxconn: Some(4096),
                syncookies: Some(1),
                abort_on_overflow: Some(0),
            },
            owner: Arc::from([Owner {
                pid: 7,
                comm: "a".into(),
                exe: None,
            }]),
            sees_owners: true,
            cgroup: None,
        }
    }

    fn check_order(found: Vec<Found>, cookies: &[u64]) {
        let listed = list(found);
        let order: Vec<u64> = listed.iter().map(|one| one.found.snapshot.cookie).collect();
        assert_eq!(order, cookies);
    }

    #[test]
    fn the_worst_is_first() {
        let mut dropped = found(4, "10.0.0.1:4", (0, 128));
        dropped.snapshot.drops = Some(9);
        let mut nobody = found(2, "10.0.0.1:2", (0, 128));
        nobody.owner = Arc::from([]);
        let mut aborts = found(8, "10.0.0.1:8", (0, 128));
        aborts.sysctls.abort_on_overflow = Some(1);
        let mut no_cookies = found(9, "10.0.0.1:9", (0, 128));
        no_cookies.sysctls.syncookies = Some(0);
        check_order(
            vec![
                found(11, "127.0.0.1:11", (0, 128)),
                found(10, "10.0.0.1:10", (1, 128)),
                no_cookies,
                aborts,
                found(7, "10.0.0.1:7", (0, 5000)),
                found(6, "10.0.0.1:6", (0, 16)),
                found(5, "10.0.0.1:5", (0, 0)),
                dropped,
                found(3, "10.0.0.1:3", (65, 128)),
                nobody,
                found(1, "10.0.0.1:1", (129, 128)),
            ],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        );
    }

    #[test]
    fn among_equals_the_fuller_the_one_that_dropped_more_and_the_lower_address() {
        let mut more = found(3, "10.0.0.9:9", (0, 128));
        more.snapshot.drops = Some(2);
        let mut fewer = found(4, "10.0.0.1:1", (0, 128));
        fewer.snapshot.drops = Some(1);
        check_order(
            vec![
                found(6, "10.0.0.2:1", (0, 128)),
                found(5, "10.0.0.1:1", (0, 128)),
                fewer,
                more,
                found(2, "10.0.0.1:1", (100, 128)),
                found(1, "10.0.0.2:2", (110, 128)),
            ],
            &[1, 2, 3, 4, 5, 6],
        );
    }
}

//! Listeners that something came to, as they are now: rows come in, and get owner, queue and the name of their namespace
//! by asking `sock_diag`.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use crate::{
    analyse::pressure::is_address,
    host::Host,
    model::{ListenerStatsRow, socket::ListenerSnapshot},
};

/// Owner and queue of those that still listen.
pub(crate) fn look(rows: &mut [ListenerStatsRow], host: &mut Host) {
    let mut by_netns: BTreeMap<u32, Vec<&mut ListenerStatsRow>> = BTreeMap::new();
    for row in rows {
        by_netns.entry(row.netns).or_default().push(row);
    }
    for (netns, rows) in by_netns {
        let netns_name = host.netns_name(netns);
        let found = host.all_listeners(netns);
        let found = found.as_ref().map(|found| Found::of(found));
        for row in rows {
            row.netns_name.clone_from(&netns_name);
            if let Ok(found) = &found
                && let Some(listener) = found.of_row(row)
            {
                (row.owner, row.cgroup) = host.identity(listener);
                row.cookie = listener.cookie;
                row.queued = Some(listener.accept_queue_len);
            }
        }
    }
}

/// The listeners of a namespace: a busy host has as many rows as listeners.
struct Found<'a> {
    by_cookie: HashMap<u64, &'a ListenerSnapshot>,
    /// Of several that share an address, an address alone does not tell which.
    only_ones: HashMap<SocketAddr, Option<&'a ListenerSnapshot>>,
}

impl<'a> Found<'a> {
    fn of(found: &'a [ListenerSnapshot]) -> Self {
        let mut only_ones = HashMap::new();
        for one in found {
            let at = only_ones.entry(one.addr);
            at.and_modify(|only| *only = None).or_insert(Some(one));
        }
        Self {
            by_cookie: found.iter().map(|one| (one.cookie, one)).collect(),
            only_ones,
        }
    }

    fn of_row(&self, row: &ListenerStatsRow) -> Option<&'a ListenerSnapshot> {
        if is_address(row.cookie) {
            self.only_ones.get(&row.addr?).copied().flatten()
        } else {
            self.by_cookie.get(&row.cookie).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SOCK: u64 = 0xffff_8880_0000_0000;

    fn listener(cookie: u64, at: u32) -> ListenerSnapshot {
        ListenerSnapshot {
            cookie,
            addr: SocketAddr::new(at.to_be_bytes().into(), 80),
            ..ListenerSnapshot::sample()
        }
    }

    fn row(cookie: u64, at: u32) -> ListenerStatsRow {
        ListenerStatsRow {
            cookie,
            addr: Some(listener(cookie, at).addr),
            ..ListenerStatsRow::default()
        }
    }

    #[test]
    fn a_row_is_of_its_cookie_or_of_the_only_one_at_its_address() {
        let found = [listener(1, 1), listener(2, 2), listener(3, 2)];
        let found = Found::of(&found);
        let of = |row| found.of_row(&row).map(|one| one.cookie);
        assert_eq!(of(row(2, 9)), Some(2));
        assert_eq!(of(row(9, 1)), None);
        assert_eq!(of(row(SOCK, 1)), Some(1));
        assert_eq!(of(row(SOCK, 2)), None, "one of two");
        let unknown = ListenerStatsRow {
            addr: None,
            ..row(SOCK, 1)
        };
        assert_eq!(of(unknown), None);
    }

    /// Each row compared with each listener is 10^10 comparisons.
    #[test]
    fn many_rows_of_many_listeners_are_found_at_once() {
        const MANY: u32 = 100_000;
        let began = Instant::now();
        let found: Vec<_> = (1..=MANY).map(|n| listener(u64::from(n), n)).collect();
        let found = Found::of(&found);
        let by_cookie = |n| found.of_row(&row(u64::from(n), n)).is_some();
        let by_address = |n| found.of_row(&row(SOCK + u64::from(n), n)).is_some();
        assert!((1..=MANY).all(|n| by_cookie(n) && by_address(n)));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

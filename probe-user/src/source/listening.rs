//! Listeners that something came to, as they are now: rows come in, and get owner, queue and the name of their namespace
//! by asking `sock_diag`.

use std::{collections::HashMap, net::SocketAddr};

use crate::{
    analyse::pressure::is_address,
    host::Host,
    model::{ListenerStatsRow, socket::ListenerSnapshot},
};

/// Owner and queue of those that still listen.
pub(crate) fn look(rows: &mut [ListenerStatsRow], host: &mut Host) {
    let mut namespaces: Vec<u32> = rows.iter().map(|row| row.netns).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for netns in namespaces {
        let Ok(found) = host.all_listeners(netns) else {
            continue;
        };
        let by_cookie: HashMap<u64, &ListenerSnapshot> =
            found.iter().map(|one| (one.cookie, one)).collect();
        for row in rows.iter_mut().filter(|row| row.netns == netns) {
            let listener = if is_address(row.cookie) {
                only_one_at(&found, row.addr)
            } else {
                by_cookie.get(&row.cookie).copied()
            };
            if let Some(listener) = listener {
                (row.owner, row.cgroup) = host.identity(listener);
                row.cookie = listener.cookie;
                row.queued = Some(listener.accept_queue_len);
            }
        }
    }
    for row in rows {
        row.netns_name = host.netns_name(row.netns);
    }
}

/// Of several that share an address, an address alone does not tell which.
fn only_one_at(found: &[ListenerSnapshot], addr: Option<SocketAddr>) -> Option<&ListenerSnapshot> {
    let mut same = found.iter().filter(|one| Some(one.addr) == addr);
    same.next().filter(|_| same.next().is_none())
}

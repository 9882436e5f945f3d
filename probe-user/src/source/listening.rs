//! Listeners that something came to, as they are now: rows come in, and get owner, queue and the name of their namespace
//! by asking `sock_diag`.

use crate::{analyse::pressure::is_address, host::Host, model::ListenerStatsRow};

/// Owner and queue of those that still listen.
pub(crate) fn look(rows: &mut [ListenerStatsRow], host: &mut Host) {
    let mut namespaces: Vec<u32> = rows.iter().map(|row| row.netns).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for netns in namespaces {
        let Ok(found) = host.all_listeners(netns) else {
            continue;
        };
        for row in rows.iter_mut().filter(|row| row.netns == netns) {
            let mut same = found.iter().filter(|listener| {
                listener.cookie == row.cookie
                    || is_address(row.cookie) && Some(listener.addr) == row.addr
            });
            // Of several that share an address, an address alone does not tell which.
            if let (Some(listener), None) = (same.next(), same.next()) {
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

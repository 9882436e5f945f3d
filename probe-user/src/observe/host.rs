//! What a namespace says: sysctls and the firewall's table.

use crate::{
    host::{Host, clock::mono_ns, conntrack, netstat, sysctl},
    model::{HostFacts, sysctls::Sysctls},
};

/// What this namespace says now. A reading that failed is `None`, and told where there is an error.
pub fn host_facts(netns: u32, host: &Host) -> HostFacts {
    let mut registry = host.namespaces();
    let read = sysctl::read(
        &mut registry,
        netns,
        [
            "core/somaxconn",
            "ipv4/tcp_syncookies",
            "ipv4/tcp_abort_on_overflow",
            "ipv4/tcp_max_syn_backlog",
            "netfilter/nf_conntrack_count",
            "netfilter/nf_conntrack_max",
        ],
    );
    let (values, mut unread) = match read {
        Ok(values) => (values, Vec::new()),
        Err(error) => {
            let unread = format!("the sysctls of netns {netns} could not be read: {error}");
            ([None; 6], vec![unread])
        }
    };
    let [
        somaxconn,
        syncookies,
        abort_on_overflow,
        max_syn_backlog,
        count,
        most,
    ] = values;
    let counters = netstat::read_tcp_ext(&mut registry, netns);
    let put_off = match counters {
        Ok(counters) => counters.get("TCPDeferAcceptDrop"),
        Err(error) => {
            unread.push(format!(
                "the counters of netns {netns} could not be read: {error}"
            ));
            None
        }
    };
    HostFacts {
        mono_ns: mono_ns(),
        netns,
        sysctls: Sysctls {
            somaxconn,
            syncookies,
            abort_on_overflow,
            max_syn_backlog,
        },
        conntrack: count.zip(most),
        untracked: conntrack::dropped(&mut registry, netns),
        put_off,
        unread,
    }
}

//! Every cause there is but for the kernel's own drop reasons, as far as they are known before a kernel is asked.

/// All that an event's `cause` and `or` may say, except for [`DROPS`] and other drop reasons of the running kernel.
const CAUSES: [&str; 40] = [
    "accept-queue",
    "syn-queue",
    "accept-queue-full",
    "abort-on-overflow",
    "ghost-connection",
    "migration-target-full",
    "fast-open-child-refused",
    "syn-queue-full",
    "cookies-forced",
    "max-syn-backlog",
    "no-route",
    "security-module",
    "no-memory",
    "not-unicast",
    "mptcp-join",
    "icmp-error",
    "no-listener",
    "listener-closed",
    "listener-on-other-address",
    "listener-on-other-device",
    "listener-in-other-namespace",
    "not-yet-listening",
    "sk-lookup-program",
    "queued-connections-reset",
    "queued-connections-migrated",
    "no-ack",
    "migrated",
    "reset-by-client",
    "syn-in-window",
    "unknown-ack",
    "request-expired",
    "bad-ack",
    "invalid-cookie",
    "application",
    "timeout",
    "no-socket",
    "time-wait",
    "refused-by-peer",
    "fast-open-queue-full",
    "defer-accept",
];

/// The drop reasons that are told of. A kernel has some of them, and others.
const DROPS: [&str; 41] = [
    "netfilter-drop",
    "socket-filter",
    "tcp-md5notfound",
    "tcp-md5unexpected",
    "tcp-md5failure",
    "tcp-aonotfound",
    "tcp-aounexpected",
    "tcp-aokeynotfound",
    "tcp-aofailure",
    "tcp-auth-hdr",
    "tcp-minttl",
    "tcp-csum",
    "ip-csum",
    "xfrm-policy",
    "tcp-flags",
    "tcp-reset",
    "tcp-close",
    "tcp-old-ack",
    "tcp-overwindow",
    "tcp-invalid-sequence",
    "tcp-invalid-ack-sequence",
    "tcp-invalid-syn",
    "tcp-fastopen",
    "tcp-rfc7323-paws",
    "tcp-rfc7323-paws-ack",
    "tcp-rfc7323-tw-paws",
    "tcp-rfc7323-tsecr",
    "tc-ingress",
    "xdp",
    "cpu-backlog",
    "ip-rpfilter",
    "bpf-cgroup-egress",
    "security-hook",
    "ip-inhdr",
    "ip-local-source",
    "ip-invalid-source",
    "ip-localnet",
    "ip-invalid-dest",
    "pfmemalloc",
    "nomem",
    "proto-mem",
];

/// Those that kernels up to 7.2 have beside them.
const UNTOLD: [&str; 90] = [
    "not-specified",
    "no-socket",
    "tcp-listen-overflow",
    "tcp-old-data",
    "tcp-old-sequence",
    "tcp-ofomerge",
    "tcp-ofo-drop",
    "tcp-ofo-queue-prune",
    "tcp-too-old-ack",
    "tcp-ack-unsent-data",
    "tcp-invalid-end-sequence",
    "tcp-zerowindow",
    "tcp-abort-on-data",
    "socket-rcvbuff",
    "socket-backlog",
    "socket-close",
    "otherhost",
    "unicast-in-l2-multicast",
    "mac-invalid-source",
    "mac-ieee-mac-control",
    "local-mac",
    "unhandled-proto",
    "ip-noproto",
    "invalid-proto",
    "ipv6disabled",
    "dev-hdr",
    "hdr-trunc",
    "pkt-too-small",
    "pkt-too-big",
    "ip-inaddrerrors",
    "ip-innoroutes",
    "ip-outnoroutes",
    "skb-csum",
    "skb-gso-seg",
    "skb-bad-gso",
    "skb-ucopy-fault",
    "queue-purge",
    "dup-frag",
    "frag-reasm-timeout",
    "frag-too-far",
    "recursion-limit",
    "tunnel-txinfo",
    "ip-tunnel-ecn",
    "vxlan-invalid-hdr",
    "vxlan-vni-not-found",
    "vxlan-entry-exists",
    "psp-input",
    "psp-output",
    "neigh-createfail",
    "neigh-failed",
    "neigh-queuefull",
    "neigh-dead",
    "neigh-hh-fillfail",
    "arp-pvlan-disable",
    "ipv6-ndisc-frag",
    "ipv6-ndisc-hop-limit",
    "ipv6-ndisc-bad-code",
    "ipv6-ndisc-bad-options",
    "ipv6-ndisc-ns-otherhost",
    "ipv6-bad-exthdr",
    "ipv6-too-many-exthdrs",
    "icmp-csum",
    "qdisc-drop",
    "qdisc-overlimit",
    "qdisc-congested",
    "qdisc-burst-drop",
    "cake-flood",
    "dualpi2-step-drop",
    "fq-band-limit",
    "fq-flow-limit",
    "fq-horizon-limit",
    "tc-egress",
    "tc-chain-notfound",
    "tc-cookie-error",
    "tc-reclassify-loop",
    "dev-ready",
    "full-ring",
    "no-tx-target",
    "packet-sock-error",
    "bridge-ingress-stp-state",
    "macvlan-broadcast-backlog",
    "ipvlan-multicast-backlog",
    "udp-csum",
    "tap-filter",
    "tap-txfilter",
    "unix-disconnect",
    "unix-skip-oob",
    "can-rx-invalid-frame",
    "canfd-rx-invalid-frame",
    "canxl-rx-invalid-frame",
];

/// Whether docs/causes.md has it.
pub fn is_known(id: &str) -> bool {
    CAUSES.contains(&id) || every_known_drop().chain(UNTOLD).any(|drop| drop == id)
}

/// Every id that docs/causes.md has.
pub fn every_known() -> impl Iterator<Item = &'static str> {
    CAUSES.into_iter().chain(every_known_drop()).chain(UNTOLD)
}

/// Every drop reason that is told of.
pub fn every_known_drop() -> impl Iterator<Item = &'static str> {
    DROPS.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        cause::of,
        decode::classify,
        model::{cause::Reasons, evidence::Evidence},
    };

    const DOCS: &str = include_str!("../../../docs/causes.md");

    /// The headings (`## a, b (where)`), and the first cells of the table of drop reasons.
    fn described() -> Vec<&'static str> {
        let headings = DOCS.lines().filter_map(|line| line.strip_prefix("## "));
        let ids = headings.flat_map(|heading| {
            let ids = heading.split(" (").next().unwrap_or_default();
            ids.split(", ")
        });
        let rows = DOCS.lines().filter_map(|line| line.strip_prefix("| `"));
        let drops = rows.flat_map(|row| {
            let cell = row.split(" |").next().unwrap_or_default();
            cell.split(", ").map(|name| name.trim_matches('`'))
        });
        ids.chain(drops).filter(|id| !id.ends_with('…')).collect()
    }

    #[test]
    fn what_the_page_describes_is_known() {
        let described = described();
        assert!(described.len() > 40, "{described:?}");
        for id in described {
            assert!(is_known(id), "{id}");
        }
    }

    #[test]
    fn what_is_known_is_on_the_page() {
        for id in CAUSES.iter().chain(&DROPS) {
            let named = [format!("`{id}`"), format!("## {id}"), format!(", {id}")];
            assert!(named.iter().any(|name| DOCS.contains(name)), "{id}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_side_says_has_a_known_cause(
            hook in proptest::sample::select(probe_common::hook::ALL), flags: u16, sock_state in 0..16_u8, moved: u16,
        ) {
            let evidence = Evidence { hook, flags, sock_state, reason: 0, moved };
            if let Ok((kind, stage)) = classify(&evidence)
                && let Some(cause) = of(kind, stage, &evidence, &Reasons::default())
            {
                prop_assert!(is_known(&cause.id), "{:?}", cause);
                for or in cause.or {
                    prop_assert!(is_known(or), "{}", or);
                }
            }
        }
    }
}

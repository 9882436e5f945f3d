//! What the kernel threw away with a reason of its own that has no verdict of its own: what each reason means, and what to do.

use super::{
    Judged,
    said::{OF_KERNEL, certain_of, evidence, none_of},
};
use crate::model::{
    cause::is_stray_drop,
    kind::Kind,
    signals::Signals,
    verdict::{Confidence, Evidence},
};

/// Drop reasons of one meaning: whole names, or beginnings before a `*`.
struct Meaning {
    reasons: &'static [&'static str],
    is: &'static str,
    advice: &'static [&'static str],
}

/// What other verdicts speak of.
const HAVE_THEIR_OWN: &[&str] = &[
    "netfilter-drop",
    "tcp-rfc7323-paws",
    "tcp-rfc7323-tsecr",
    IN_TIME_WAIT,
];

/// Of a connection in TIME_WAIT, and of nothing else (net/ipv4/tcp_minisocks.c:tcp_timewait_state_process, from 6.14 on).
const IN_TIME_WAIT: &str = "tcp-rfc7323-tw-paws";

const ANY: Meaning = Meaning {
    reasons: &[],
    is: "a reason of this kernel that whydrop does not know",
    advice: &[
        "look the reason up: include/net/dropreason-core.h of this kernel, and whydrop explain REASON",
    ],
};

const MEANINGS: &[Meaning] = &[
    Meaning {
        reasons: &["tcp-md5notfound", "tcp-aonotfound"],
        is: "the listener asks this peer for a signature (TCP MD5 or AO), and its segments have none",
        advice: &[
            "give the peer the key (BGP: the password of the neighbour), or take it from the listener",
            "check that the address the peer comes from is the one that its key was set for",
        ],
    },
    Meaning {
        reasons: &["tcp-md5unexpected", "tcp-aounexpected"],
        is: "the peer signs its segments (TCP MD5 or AO), and the listener has no key for its address",
        advice: &[
            "give the listener the key for this peer's address, or take it from the peer",
            "look for NAT between the two: a key belongs to an address",
        ],
    },
    Meaning {
        reasons: &["tcp-md5failure", "tcp-aofailure", "tcp-aokeynotfound"],
        is: "the signature (TCP MD5 or AO) is wrong: the keys of the two ends differ",
        advice: &[
            "set the same key on both ends (BGP: the password of the neighbour; a trailing blank counts)",
            "look for NAT between the two: the signature covers addresses and ports",
        ],
    },
    Meaning {
        reasons: &["tcp-auth*"],
        is: "the options of a signature (TCP MD5 or AO) are malformed, or both are there",
        advice: &["use either TCP MD5 or TCP AO on both ends"],
    },
    Meaning {
        reasons: &["ip-rpfilter"],
        is: "the reverse path filter: an answer would leave by another device than the packet came by",
        advice: &[
            "look where the answer would go: ip route get CLIENT; mend the route, or the policy rule",
            "net.ipv4.conf.DEVICE.rp_filter=2 (loose) takes asymmetric routes; the larger of that and of conf.all counts",
        ],
    },
    Meaning {
        reasons: &["tcp-minttl"],
        is: "the peer is more hops away than the listener allows (IP_MINTTL: TTL security, GTSM)",
        advice: &[
            "raise the number of hops that the application allows (BGP: ttl-security hops), or mend the path",
        ],
    },
    Meaning {
        reasons: &["tcp-csum", "ip-csum"],
        is: "a wrong checksum",
        advice: &[
            "look for a device or tunnel that computes checksums wrongly: ethtool -K DEVICE rx off tx off tells",
            "ignore wrong checksums in a capture of this host's outgoing packets: the device fills them in later",
        ],
    },
    Meaning {
        reasons: &["xfrm-policy"],
        is: "an IPsec policy: the packet came unprotected, or by another tunnel than its policy asks for",
        advice: &[
            "compare `ip xfrm policy` and `ip xfrm state` on both ends, and the counts of /proc/net/xfrm_stat",
        ],
    },
    Meaning {
        reasons: &["tc-*"],
        is: "traffic control on ingress: a filter or a BPF program",
        advice: &["find it: tc -s filter show dev DEVICE ingress; bpftool net"],
    },
    Meaning {
        reasons: &["xdp"],
        is: "an XDP program",
        advice: &["find it: ip link show dev DEVICE; bpftool net"],
    },
    Meaning {
        reasons: &["socket-filter"],
        is: "a filter of the socket (SO_ATTACH_FILTER), a BPF program of its cgroup, or a security module",
        advice: &[
            "find it: bpftool cgroup tree (cgroup_inet_ingress: IPAddressDeny= and IPIngressFilterPath= of systemd), ss -lntpb",
            "look into the audit log for a security module",
        ],
    },
    Meaning {
        reasons: &["bpf-cgroup-egress"],
        is: "a BPF program of the cgroup, on its way out",
        advice: &["find it: bpftool cgroup tree (cgroup_inet_egress; IPAddressDeny= of systemd)"],
    },
    Meaning {
        reasons: &["security-hook"],
        is: "a security module",
        advice: &["look into the audit log: ausearch -m avc, journalctl -k"],
    },
    Meaning {
        reasons: &["cpu-backlog"],
        is: "this host's queue of received packets was full (net.core.netdev_max_backlog)",
        advice: &[
            "raise net.core.netdev_max_backlog, and spread packets over CPUs: RSS, RPS",
            "look at the second column of /proc/net/softnet_stat, one line a CPU",
        ],
    },
    Meaning {
        reasons: &["pfmemalloc", "nomem", "proto-mem"],
        is: "the kernel had no memory for it",
        advice: &[
            "look at free memory, net.ipv4.tcp_mem against /proc/net/sockstat, and memory.max of the cgroup",
        ],
    },
    Meaning {
        reasons: &[
            "ip-inhdr",
            "ip-local-source",
            "ip-invalid-source",
            "ip-localnet",
            "ip-invalid-dest",
        ],
        is: "addresses that this host does not take from there: malformed, its own, or of 127.0.0.0/8",
        advice: &[
            "look at net.ipv4.conf.DEVICE.route_localnet and accept_local, where NAT sends to 127.0.0.1 or to this host itself",
            "ip route get FROM iif DEVICE tells what the kernel thinks of an address",
        ],
    },
    Meaning {
        reasons: &[
            "tcp-overwindow",
            "tcp-invalid-sequence",
            "tcp-invalid-ack-sequence",
            "tcp-rfc7323-paws-ack",
        ],
        is: "it did not fit the half-open request or connection of the same ports",
        advice: &[
            "look for a client, or a NAT before it, that uses a port again while the old connection is still known here: ss -tan",
        ],
    },
    // The kernel gives it in one place: net/ipv4/tcp_input.c:tcp_validate_incoming, of a connection that is established or on
    // its way to its end.
    Meaning {
        reasons: &["tcp-invalid-syn"],
        is: "a SYN from the address and port of a connection that is still open here, which answered it with an ACK (RFC 5961; TCPSYNChallenge)",
        advice: &[
            "the client resets the old connection when it gets that ACK, and its next SYN connects: where it never does, look for a firewall or a NAT that drops that ACK or the reset",
            "look at the old connection, and at why its client does not know of it any more (a host that crashed, a NAT that forgot it): ss -tano 'sport = :PORT'; TCP keepalive ends such a one",
        ],
    },
    Meaning {
        reasons: &["tcp-fastopen"],
        is: "a fast-open cookie that is not valid, or a segment that a fast-open request does not take",
        advice: &["look for a client, or a NAT before it, that uses a port again too early"],
    },
];

fn is_one_of(cause: &str, reasons: &[&str]) -> bool {
    reasons.iter().any(|reason| match reason.strip_suffix('*') {
        Some(begin) => cause.starts_with(begin),
        None => cause == *reason,
    })
}

fn meaning(cause: &str) -> &'static Meaning {
    let known = MEANINGS.iter().find(|one| is_one_of(cause, one.reasons));
    known.unwrap_or(&ANY)
}

/// No memory, or no route. A SYN that has no route is told apart from nothing else that ends it before its request: only ACKs
/// leave no more than these two.
pub(super) fn memory_or_route(signals: &Signals) -> Judged {
    let mut judged = certain_of(signals, Kind::ListenDrop, &["no-memory", "no-route"]);
    if let (Judged::Yes(confidence, found), 1..) =
        (&mut judged, signals.of(Kind::ListenDrop, "no-route"))
    {
        let says = "of a SYN the kernel does not tell these apart from a security module, from an address that is not unicast, \
                    and from MP_JOIN of MPTCP";
        *confidence = Confidence::Likely;
        found.push(evidence(says.to_owned(), OF_KERNEL));
    }
    judged
}

/// Timestamps that were too old, and of which connection.
pub(super) fn timestamps(signals: &Signals) -> Judged {
    let mut judged = certain_of(
        signals,
        Kind::PacketDrop,
        &["tcp-rfc7323-paws", "tcp-rfc7323-tsecr", IN_TIME_WAIT],
    );
    let n = signals.of(Kind::PacketDrop, IN_TIME_WAIT);
    if let (Judged::Yes(_, found), 1..) = (&mut judged, n) {
        let says = format!(
            "{n} of them met a connection of the same addresses and ports in TIME_WAIT (PAWSTimewait)"
        );
        found.push(evidence(says, OF_KERNEL));
    }
    judged
}

pub(super) fn by_kernel(signals: &Signals) -> Judged {
    let dropped = signals.causes.iter();
    let mut dropped: Vec<(&str, u64)> = dropped
        .filter(|((kind, cause), n)| {
            *kind == Kind::PacketDrop
                && **n > 0
                && !is_one_of(cause, HAVE_THEIR_OWN)
                && !is_stray_drop(cause)
        })
        .map(|((_, cause), n)| (cause.as_str(), *n))
        .collect();
    dropped.sort_by_key(|(cause, n)| (std::cmp::Reverse(*n), *cause));
    let Some((most, _)) = dropped.first() else {
        let why = "the kernel named no reason but those that have their own verdict".into();
        return none_of(signals, Kind::PacketDrop, why);
    };
    let advice = meaning(most).advice;
    let found: Vec<Evidence> = dropped
        .iter()
        .map(|(cause, n)| {
            let is = meaning(cause).is;
            evidence(format!("{n} packet-drop {cause}: {is}"), OF_KERNEL)
        })
        .collect();
    Judged::Advises(Confidence::Certain, found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause;

    /// Whoever has a section of its own on the page has a meaning here.
    #[test]
    fn what_is_known_of_drop_reasons_has_a_meaning() {
        for reason in cause::every_known_drop() {
            let has_one = meaning(reason).reasons != ANY.reasons;
            let is_elsewhere = is_one_of(reason, HAVE_THEIR_OWN) || is_stray_drop(reason);
            assert!(has_one != is_elsewhere, "{reason}");
        }
        assert_eq!(meaning("of-a-later-kernel").is, ANY.is);
    }
}

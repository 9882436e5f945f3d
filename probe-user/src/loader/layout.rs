//! What the kernel side needs to know of this kernel: one row per value, each
//! found by name in the BTF. A row that this kernel does not have stays absent;
//! only those without which nothing can be measured are an error.

use std::collections::HashMap;

use aya::EbpfLoader;
use probe_common::{ABI, ABSENT, counter};

use super::readings::Readings;
use crate::{
    btf::{Btf, BtfError},
    model::cause::{Reasons, kebab},
};

/// Global of the eBPF object, struct, path of the member.
const OFFSETS: &[(&str, &str, &str)] = &[
    ("BPF_ARRAY_PPTRS", "bpf_array", "pptrs"),
    ("SK_ACK_BACKLOG", "sock", "sk_ack_backlog"),
    ("SK_MAX_ACK_BACKLOG", "sock", "sk_max_ack_backlog"),
    ("SK_SOCKET", "sock", "sk_socket"),
    ("SK_FLAGS", "sock", "__sk_common.skc_flags"),
    ("SK_PROTOCOL", "sock", "sk_protocol"),
    ("SK_REUSEPORT_CB", "sock", "sk_reuseport_cb"),
    ("SKC_FAMILY", "sock_common", "skc_family"),
    ("SKC_STATE", "sock_common", "skc_state"),
    ("SKC_NUM", "sock_common", "skc_num"),
    ("SKC_DPORT", "sock_common", "skc_dport"),
    ("SKC_RCV_SADDR", "sock_common", "skc_rcv_saddr"),
    ("SKC_DADDR", "sock_common", "skc_daddr"),
    ("SKC_V6_RCV_SADDR", "sock_common", "skc_v6_rcv_saddr"),
    ("SKC_V6_DADDR", "sock_common", "skc_v6_daddr"),
    ("SKC_NET", "sock_common", "skc_net.net"),
    ("SKC_COOKIE", "sock_common", "skc_cookie"),
    ("SKC_LISTENER", "sock_common", "skc_listener"),
    ("SKC_NULLS_PPREV", "sock_common", "skc_nulls_node.pprev"),
    ("INET_SPORT", "inet_sock", "inet_sport"),
    ("TCP_IS_MPTCP", "tcp_sock", "is_mptcp"),
    ("TCP_COPIED_SEQ", "tcp_sock", "copied_seq"),
    (
        "ICSK_QLEN",
        "inet_connection_sock",
        "icsk_accept_queue.qlen",
    ),
    (
        "ICSK_RETRANSMITS",
        "inet_connection_sock",
        "icsk_retransmits",
    ),
    ("REQ_NUM_RETRANS", "request_sock", "num_retrans"),
    ("REQ_NUM_TIMEOUT", "request_sock", "num_timeout"),
    ("REQ_TIMER", "request_sock", "rsk_timer"),
    ("TREQ_RCV_ISN", "tcp_request_sock", "rcv_isn"),
    ("TREQ_SNT_ISN", "tcp_request_sock", "snt_isn"),
    ("NET_INUM", "net", "ns.inum"),
    ("NET_STATISTICS", "net", "mib.net_statistics"),
    ("NET_TCP_STATISTICS", "net", "mib.tcp_statistics"),
    ("NET_SYNCOOKIES", "net", "ipv4.sysctl_tcp_syncookies"),
    ("NET_MAX_SYN_BACKLOG", "net", "ipv4.sysctl_max_syn_backlog"),
    ("SKB_HEAD", "sk_buff", "head"),
    ("SKB_SK", "sk_buff", "sk"),
    ("SKB_NETWORK_HEADER", "sk_buff", "network_header"),
    ("SKB_TRANSPORT_HEADER", "sk_buff", "transport_header"),
    ("SKB_PROTOCOL", "sk_buff", "protocol"),
    ("SKB_DEV", "sk_buff", "dev"),
    ("SKB_REFDST", "sk_buff", "_skb_refdst"),
    ("DST_DEV", "dst_entry", "dev"),
    ("DEV_NET", "net_device", "nd_net.net"),
    ("TASK_FLAGS", "task_struct", "flags"),
    ("TASK_EXIT_CODE", "task_struct", "exit_code"),
];

/// Without these a decision cannot be measured.
const REQUIRED: &[&str] = &[
    "BPF_ARRAY_PPTRS",
    "SKC_STATE",
    "SKC_NET",
    "SKC_COOKIE",
    "NET_INUM",
    "NET_STATISTICS",
];

const REASON_GLOBALS: [&str; 4] = ["REASONS_0", "REASONS_1", "REASONS_2", "REASONS_3"];

/// What the constants of `enum sk_rst_reason` and `enum skb_drop_reason` begin with.
const RESET_PREFIX: &str = "SK_RST_REASON_";
const DROP_PREFIX: &str = "SKB_DROP_REASON_";

/// The drop reasons that end a SYN before its listener decides, or with which a
/// listener throws a packet away: whole names, or beginnings before a `*`.
/// Left out is what another hook tells of (NO_SOCKET, TCP_LISTEN_OVERFLOW) and
/// what says nothing (NOT_SPECIFIED).
const TOLD_REASONS: &[&str] = &[
    "NETFILTER_DROP",
    "SOCKET_FILTER",
    "BPF_CGROUP_EGRESS",
    "TC_INGRESS",
    "XDP",
    "XFRM_POLICY",
    "SECURITY_HOOK",
    "IP_RPFILTER",
    "IP_CSUM",
    "IP_INHDR",
    "IP_LOCAL_SOURCE",
    "IP_INVALID_SOURCE",
    "IP_LOCALNET",
    "IP_INVALID_DEST",
    "CPU_BACKLOG",
    "PFMEMALLOC",
    "NOMEM",
    "PROTO_MEM",
    "TCP_CSUM",
    "TCP_MINTTL",
    "TCP_FLAGS",
    "TCP_ZEROWINDOW",
    "TCP_OVERWINDOW",
    "TCP_OLD_ACK",
    "TCP_INVALID_SEQUENCE",
    "TCP_INVALID_ACK_SEQUENCE",
    "TCP_INVALID_SYN",
    "TCP_RESET",
    "TCP_CLOSE",
    "TCP_FASTOPEN",
    "TCP_MD5*",
    "TCP_AO*",
    "TCP_RFC7323*",
    "TCP_AUTH*",
];

/// Whether a packet freed for this reason is told of.
fn is_told(name: &str) -> bool {
    TOLD_REASONS
        .iter()
        .any(|told| match told.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *told,
        })
}

/// Which reasons are told of, as the kernel side wants it.
fn told_bits(reasons: &[(u32, String)]) -> [u32; 4] {
    let mut bits = [0; 4];
    for (value, name) in reasons {
        let name = name.trim_start_matches(DROP_PREFIX);
        if let Some(word) = bits.get_mut(*value as usize / 32)
            && is_told(name)
        {
            *word |= 1 << (value % 32);
        }
    }
    bits
}

/// How many arguments two tracepoints have, which tells what they say.
#[derive(Clone, Copy)]
pub(super) struct Arguments {
    pub send_reset: usize,
    pub kfree_skb: usize,
}

/// The values of the object's globals for one kernel.
#[allow(unreachable_pub, reason = "the fuzz target of BTF sees it")]
pub struct Layout {
    pub globals: Vec<(&'static str, u32)>,
    /// The byte offset of each counter in `struct linux_mib`.
    pub counters: [u32; counter::SLOTS],
    pub(super) readings: Readings,
    /// What this kernel does not have, in the words of [`BtfError`].
    pub absent: Vec<String>,
    pub reasons: Reasons,
    pub(super) arguments: Arguments,
}

/// Constants in the field's spelling.
fn named<T: From<String>>(constants: &[(u32, String)], prefix: &str) -> HashMap<u32, T> {
    constants
        .iter()
        .map(|(value, name)| (*value, kebab(name, prefix).into()))
        .collect()
}

impl Layout {
    /// Finds every row in `btf`.
    #[allow(unreachable_pub, reason = "the fuzz target of BTF calls it")]
    pub fn of(btf: &Btf) -> Result<Self, BtfError> {
        let drop_reasons = btf.constants("skb_drop_reason").unwrap_or_default();
        let reset_reasons = btf.constants("sk_rst_reason").unwrap_or_default();
        let mut this = Self {
            globals: vec![("WHYDROP_ABI", ABI)],
            counters: [ABSENT; counter::SLOTS],
            readings: Readings::of(&[ABSENT; counter::SLOTS]),
            absent: Vec::new(),
            reasons: Reasons {
                reset: named(&reset_reasons, RESET_PREFIX),
                drop: named(&drop_reasons, DROP_PREFIX),
            },
            arguments: Arguments {
                send_reset: btf.tracepoint_args("tcp_send_reset").unwrap_or(2),
                kfree_skb: btf.tracepoint_args("kfree_skb").unwrap_or(2),
            },
        };
        for (global, name, path) in OFFSETS {
            this.add(global, btf.offset(name, path))?;
        }
        let mibs = btf.offset("linux_mib", "mibs")?;
        for (slot, (constant, _)) in counter::NAMES.iter().enumerate() {
            let index = btf.constant(constant);
            match index.and_then(|index| Self::counter(mibs, index)) {
                Ok(offset) => this.counters[slot] = offset,
                Err(error) if slot < counter::ALWAYS_SHOWN => return Err(error),
                Err(error) => this.absent.push(error.to_string()),
            }
        }
        this.readings = Readings::of(&this.counters);
        let opens = btf.constant("TCP_MIB_PASSIVEOPENS");
        let opens = opens.and_then(|index| Self::counter(btf.offset("tcp_mib", "mibs")?, index));
        this.add("PASSIVE_OPENS", opens)?;
        this.add("SOCK_DEAD_BIT", btf.constant("SOCK_DEAD"))?;
        let args = [
            ("SEND_RESET_ARGS", this.arguments.send_reset as u32),
            ("KFREE_SKB_ARGS", this.arguments.kfree_skb as u32),
            (
                "CHECK_REQ_ARGS",
                btf.function_args("tcp_check_req").unwrap_or(0) as u32,
            ),
            (
                "COOKIE_SOCK_ARGS",
                btf.function_args("tcp_get_cookie_sock").unwrap_or(0) as u32,
            ),
            (
                "ACCEPT_ARGS",
                btf.function_args("inet_csk_accept").unwrap_or(0) as u32,
            ),
        ];
        this.globals.extend(args);
        this.globals
            .extend(REASON_GLOBALS.into_iter().zip(told_bits(&drop_reasons)));
        for (global, wanted) in [
            ("REASON_NO_SOCKET", "NO_SOCKET"),
            ("REASON_TCP_FLAGS", "TCP_FLAGS"),
        ] {
            let value = drop_reasons
                .iter()
                .find(|(_, name)| name.trim_start_matches(DROP_PREFIX) == wanted)
                .map_or(ABSENT, |(value, _)| *value);
            this.globals.push((global, value));
        }
        // net/core/filter.c: the tracing variant of bpf_get_socket_cookie came with this function (5.12).
        let helper = btf.has_function("bpf_get_socket_ptr_cookie");
        this.globals.push(("HAVE_COOKIE_HELPER", u32::from(helper)));
        Ok(this)
    }

    /// Programs may load from any address: each counter is read by itself, into the word of its slot.
    pub(super) fn have_cast(&mut self) {
        self.globals.push(("HAVE_CAST", 1));
        self.readings.words = std::array::from_fn(|slot| slot as u32);
    }

    /// Hands it all to the object.
    pub(super) fn fill<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in &self.globals {
            loader.override_global(name, value, true);
        }
        loader.override_global("MIB_OFFSET", &self.counters[..], true);
        loader.override_global("MIB_WORD", &self.readings.words[..], true);
        loader.override_global("READINGS", &self.readings.readings[..], true);
    }

    /// Where the counter of this position is in `struct linux_mib`, an array of longs.
    fn counter(mibs: u32, index: u32) -> Result<u32, BtfError> {
        index
            .checked_mul(8)
            .and_then(|at| at.checked_add(mibs))
            .ok_or(BtfError::Malformed("counter position out of range"))
    }

    fn add(&mut self, global: &'static str, value: Result<u32, BtfError>) -> Result<(), BtfError> {
        match value {
            Ok(value) => self.globals.push((global, value)),
            Err(error) if REQUIRED.contains(&global) => return Err(error),
            Err(error) => {
                self.absent.push(error.to_string());
                self.globals.push((global, ABSENT));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_hook_tells_of_is_left_out() {
        for told in [
            "NETFILTER_DROP",
            "TCP_MD5NOTFOUND",
            "TCP_AOUNEXPECTED",
            "TCP_RFC7323_PAWS",
        ] {
            assert!(is_told(told), "{told}");
        }
        for other in [
            "NO_SOCKET",
            "NOT_SPECIFIED",
            "TCP_LISTEN_OVERFLOW",
            "UDP_CSUM",
        ] {
            assert!(!is_told(other), "{other}");
        }
    }

    #[test]
    fn a_reason_beyond_the_kernel_sides_table_is_left_out() {
        let reason = |value: u32| [(value, "SKB_DROP_REASON_NETFILTER_DROP".to_owned())];
        assert_eq!(told_bits(&reason(33)), [0, 2, 0, 0]);
        assert_eq!(told_bits(&reason(128)), [0; 4]);
    }

    #[test]
    fn a_counter_position_out_of_range_is_an_error() {
        assert_eq!(Layout::counter(16, 3).ok(), Some(40));
        for (mibs, index) in [(0, u32::MAX), (u32::MAX, 1), (8, u32::MAX / 8)] {
            assert!(Layout::counter(mibs, index).is_err(), "{mibs} {index}");
        }
    }
}

//! What the kernel side needs to know of this kernel: one row per value, each
//! found by name in the BTF. A row that this kernel does not have stays absent;
//! only those without which nothing can be measured are an error.

use probe_common::{ABI, ABSENT, counter};

use crate::btf::{Btf, BtfError};

/// Global of the eBPF object, struct, path of the member.
const OFFSETS: &[(&str, &str, &str)] = &[
    ("BPF_ARRAY_PPTRS", "bpf_array", "pptrs"),
    ("SK_ACK_BACKLOG", "sock", "sk_ack_backlog"),
    ("SK_MAX_ACK_BACKLOG", "sock", "sk_max_ack_backlog"),
    ("SK_DROPS", "sock", "sk_drops"),
    ("SK_SOCKET", "sock", "sk_socket"),
    ("SK_FLAGS", "sock", "__sk_common.skc_flags"),
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
    ("SKC_BOUND_DEV_IF", "sock_common", "skc_bound_dev_if"),
    ("INET_SPORT", "inet_sock", "inet_sport"),
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
    ("TREQ_RCV_ISN", "tcp_request_sock", "rcv_isn"),
    ("TREQ_SNT_ISN", "tcp_request_sock", "snt_isn"),
    ("NET_INUM", "net", "ns.inum"),
    ("NET_STATISTICS", "net", "mib.net_statistics"),
    ("NET_SYNCOOKIES", "net", "ipv4.sysctl_tcp_syncookies"),
    ("NET_MAX_SYN_BACKLOG", "net", "ipv4.sysctl_max_syn_backlog"),
    ("SKB_HEAD", "sk_buff", "head"),
    ("SKB_NETWORK_HEADER", "sk_buff", "network_header"),
    ("SKB_TRANSPORT_HEADER", "sk_buff", "transport_header"),
    ("SKB_PROTOCOL", "sk_buff", "protocol"),
    ("SKB_DEV", "sk_buff", "dev"),
    ("SKB_REFDST", "sk_buff", "_skb_refdst"),
    ("DST_DEV", "dst_entry", "dev"),
    ("DEV_NET", "net_device", "nd_net.net"),
];

/// Without these a decision cannot be measured.
const REQUIRED: &[&str] = &[
    "BPF_ARRAY_PPTRS",
    "SKC_STATE",
    "SKC_NET",
    "NET_INUM",
    "NET_STATISTICS",
    "MIB_0",
    "MIB_1",
    "MIB_2",
    "MIB_3",
];

const MIB_GLOBALS: [&str; counter::SLOTS] = [
    "MIB_0", "MIB_1", "MIB_2", "MIB_3", "MIB_4", "MIB_5", "MIB_6", "MIB_7",
];

/// The values of the object's globals for one kernel.
pub struct Layout {
    pub globals: Vec<(&'static str, u32)>,
    /// What this kernel does not have, in the words of [`BtfError`].
    pub absent: Vec<String>,
    /// `enum sk_rst_reason`, where the kernel has it.
    pub reset_reasons: Vec<(u32, String)>,
}

impl Layout {
    /// Finds every row in `btf`.
    pub fn of(btf: &Btf) -> Result<Self, BtfError> {
        let mut this = Self {
            globals: vec![("WHYDROP_ABI", ABI)],
            absent: Vec::new(),
            reset_reasons: btf.constants("sk_rst_reason").unwrap_or_default(),
        };
        for (global, name, path) in OFFSETS {
            this.add(global, btf.offset(name, path))?;
        }
        let mibs = btf.offset("linux_mib", "mibs")?;
        for (global, (constant, _)) in MIB_GLOBALS.into_iter().zip(counter::NAMES) {
            let index = btf.constant(constant);
            this.add(global, index.and_then(|index| Self::counter(mibs, index)))?;
        }
        this.add("SOCK_DEAD_BIT", btf.constant("SOCK_DEAD"))?;
        let reset_args = btf.tracepoint_args("tcp_send_reset").unwrap_or(2);
        this.globals.push(("SEND_RESET_ARGS", reset_args as u32));
        // net/core/filter.c: the tracing variant of bpf_get_socket_cookie came with this function (5.12).
        let helper = btf.has_function("bpf_get_socket_ptr_cookie");
        this.globals.push(("HAVE_COOKIE_HELPER", u32::from(helper)));
        Ok(this)
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
mod counter_tests {
    use super::*;

    #[test]
    fn a_counter_position_out_of_range_is_an_error() {
        assert_eq!(Layout::counter(16, 3).ok(), Some(40));
        for (mibs, index) in [(0, u32::MAX), (u32::MAX, 1), (8, u32::MAX / 8)] {
            assert!(Layout::counter(mibs, index).is_err(), "{mibs} {index}");
        }
    }
}

//! What the loader fills in before the object is loaded: offsets and counter
//! positions of the running kernel, all from its BTF, and a few switches.
//!
//! The map behind these values is frozen, so the verifier takes each as a
//! known constant and removes the branches that it makes dead.

use aya_ebpf::Global;
use probe_common::{ABI, ABSENT, counter};

macro_rules! globals {
    ($($(#[$doc:meta])* $name:ident = $default:expr;)+) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub(crate) static $name: Global<u32> = Global::new($default);)+
    };
}

globals! {
    /// Compared with the loader's own by the loader.
    WHYDROP_ABI = ABI;
    /// 1: retransmits and resets of every connection, 0: of attempts only.
    EVENTS_ALL = 0;
    /// Inode number of the only namespace whose records are wanted. 0: of all.
    ONLY_NETNS = 0;
    /// 1: records of some listeners only are wanted.
    ONLY_LISTENERS = 0;
    /// The share of a queue's room from which on it is warned of, in percent. 0: never.
    WARN_PERCENT = 0;
    /// Records a second for each count; what is beyond is sampled. 0: no limit.
    DETAIL_PER_SECOND = 0;
    /// 1: connections of attempts that were refused before are told of.
    STORIES = 0;
    /// 1: `bpf_get_socket_cookie` exists for tracing programs here.
    HAVE_COOKIE_HELPER = 0;
    /// 1: programs may load from any address here (`crate::memory`).
    HAVE_CAST = 0;

    BPF_ARRAY_PPTRS = ABSENT;
    SK_ACK_BACKLOG = ABSENT;
    SK_MAX_ACK_BACKLOG = ABSENT;
    SK_SOCKET = ABSENT;
    SK_FLAGS = ABSENT;
    SK_PROTOCOL = ABSENT;
    SK_REUSEPORT_CB = ABSENT;
    SOCK_DEAD_BIT = ABSENT;
    SKC_FAMILY = ABSENT;
    SKC_STATE = ABSENT;
    SKC_NUM = ABSENT;
    SKC_DPORT = ABSENT;
    SKC_RCV_SADDR = ABSENT;
    SKC_DADDR = ABSENT;
    SKC_V6_RCV_SADDR = ABSENT;
    SKC_V6_DADDR = ABSENT;
    SKC_NET = ABSENT;
    SKC_COOKIE = ABSENT;
    SKC_LISTENER = ABSENT;
    SKC_NULLS_PPREV = ABSENT;
    INET_SPORT = ABSENT;
    TCP_IS_MPTCP = ABSENT;
    TCP_COPIED_SEQ = ABSENT;
    ICSK_QLEN = ABSENT;
    ICSK_RETRANSMITS = ABSENT;
    REQ_NUM_RETRANS = ABSENT;
    /// The byte that holds `num_timeout`.
    REQ_NUM_TIMEOUT = ABSENT;
    REQ_TIMER = ABSENT;
    TREQ_RCV_ISN = ABSENT;
    TREQ_SNT_ISN = ABSENT;
    NET_INUM = ABSENT;
    NET_STATISTICS = ABSENT;
    NET_TCP_STATISTICS = ABSENT;
    NET_SYNCOOKIES = ABSENT;
    NET_MAX_SYN_BACKLOG = ABSENT;
    SKB_HEAD = ABSENT;
    SKB_SK = ABSENT;
    SKB_NETWORK_HEADER = ABSENT;
    SKB_TRANSPORT_HEADER = ABSENT;
    SKB_PROTOCOL = ABSENT;
    SKB_DEV = ABSENT;
    SKB_REFDST = ABSENT;
    DST_DEV = ABSENT;
    DEV_NET = ABSENT;
    TASK_FLAGS = ABSENT;
    TASK_EXIT_CODE = ABSENT;

    /// Byte offset of PassiveOpens into `struct tcp_mib`.
    PASSIVE_OPENS = ABSENT;

    /// Bit n of the four: a packet freed for reason n (`enum skb_drop_reason`) is told of.
    REASONS_0 = 0;
    REASONS_1 = 0;
    REASONS_2 = 0;
    REASONS_3 = 0;
    /// `SKB_DROP_REASON_TCP_FLAGS`.
    REASON_TCP_FLAGS = ABSENT;
    /// `SKB_DROP_REASON_NO_SOCKET`.
    REASON_NO_SOCKET = ABSENT;
    /// How many arguments the tracepoint `kfree_skb` has: the fourth is the socket.
    KFREE_SKB_ARGS = 0;
    /// How many arguments the tracepoint `tcp_send_reset` has: the third is the reason.
    SEND_RESET_ARGS = 2;
    /// How many arguments `inet_csk_accept` has: what it returns comes after them.
    ACCEPT_ARGS = 4;
    /// The same of `tcp_check_req` and `tcp_get_cookie_sock`.
    CHECK_REQ_ARGS = 0;
    COOKIE_SOCK_ARGS = 0;
}

/// How the counters are read: [`counter::READING`] numbers for each reading.
#[unsafe(no_mangle)]
pub(crate) static READINGS: Global<[u32; counter::SLOTS * counter::READING]> =
    Global::new([0; counter::SLOTS * counter::READING]);

/// The word of all that is read in which each counter is, and its byte offset into `struct linux_mib`.
#[unsafe(no_mangle)]
pub(crate) static MIB_WORD: Global<[u32; counter::SLOTS]> = Global::new([ABSENT; counter::SLOTS]);
#[unsafe(no_mangle)]
pub(crate) static MIB_OFFSET: Global<[u32; counter::SLOTS]> = Global::new([ABSENT; counter::SLOTS]);

/// One number of an array; the verifier knows it where it knows the index.
#[inline(always)]
pub(crate) fn item<const N: usize>(array: &'static Global<[u32; N]>, index: usize) -> u32 {
    if index >= N {
        return ABSENT;
    }
    // SAFETY: within the array, of which a `Global` consists (`repr(transparent)`).
    unsafe {
        core::ptr::from_ref(array)
            .cast::<u32>()
            .add(index)
            .read_volatile()
    }
}

/// Whether packets freed for this reason are told of.
#[inline(always)]
pub(crate) fn is_told(reason: u32) -> bool {
    let bits = match reason >> 5 {
        0 => REASONS_0.load(),
        1 => REASONS_1.load(),
        2 => REASONS_2.load(),
        3 => REASONS_3.load(),
        _ => 0,
    };
    bits >> (reason & 31) & 1 == 1
}

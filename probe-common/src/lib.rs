//! What the kernel side and the user side of whydrop must agree on, and nothing else.
//!
//! Fixed-size `#[repr(C)]` records with explicit padding, constants instead of
//! Rust enums on the wire, and an ABI number that the loader compares with the
//! object's. No unsafe code, no allocation. The user side derives zerocopy's
//! traits (feature `user`), which refuse padding at compile time.
#![no_std]
#![forbid(unsafe_code)]

pub mod share;

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Raised whenever a record, a key or a constant below changes its meaning.
pub const ABI: u32 = 6;

/// The value of an offset that the running kernel's BTF does not have. Positive as a signed number,
/// since that is what an instruction of BPF has room for.
pub const ABSENT: u32 = i32::MAX as u32;

/// What the kernel side calls where it means the kernel's function `bpf_rdonly_cast`, whose number the loader puts in its
/// place. No helper has this number, and none will.
pub const CAST_CALL: i32 = 0x6b63_6173;

/// How long both sides remember that a listener was closed.
pub const CLOSED_REMEMBERED_NS: u64 = 60_000_000_000;

/// A client that was silent for so long is a new one while detail is sampled.
pub const CLIENT_FORGOTTEN_NS: u64 = 10_000_000_000;

/// Room for clients while detail is sampled.
pub const CLIENTS_AT_MOST: usize = 16_384;

/// Room for attempts that were refused and may make it yet.
pub const REFUSED_AT_MOST: u32 = 65_536;

/// Segments of one attempt begin at most so far from its first sequence number: what a client
/// may send before its window is scaled.
pub const SAME_ATTEMPT: u32 = 65_536;

/// Which hook produced a record.
pub mod hook {
    /// Around `tcp_conn_request`: a SYN at a listener.
    pub const CONN_REQUEST: u8 = 1;
    /// Around `tcp_check_req`: a segment for a request.
    pub const CHECK_REQ: u8 = 2;
    /// Around `tcp_get_cookie_sock`: the ACK of a SYN-cookie handshake.
    pub const COOKIE_SOCK: u8 = 3;
    /// Around `tcp_req_err`: an ICMP error for a request.
    pub const REQ_ERR: u8 = 4;
    /// From `cgroup_skb/ingress` of a listener to the free of the same skb.
    pub const INGRESS: u8 = 5;
    /// Around `reqsk_timer_handler`: a request whose SYN-ACK nobody answered.
    pub const REQUEST_TIMER: u8 = 6;
    /// Tracepoint `tcp:tcp_retransmit_skb`.
    pub const RETRANSMIT_SKB: u8 = 16;
    /// Tracepoint `tcp:tcp_retransmit_synack`.
    pub const RETRANSMIT_SYNACK: u8 = 17;
    /// Tracepoint `tcp:tcp_send_reset`.
    pub const SEND_RESET: u8 = 18;
    /// Tracepoint `tcp:tcp_receive_reset`.
    pub const RECEIVE_RESET: u8 = 19;
    /// Tracepoint `sock:inet_sock_set_state`, LISTEN to CLOSE.
    pub const LISTENER_CLOSED: u8 = 20;
    /// Tracepoint `skb:kfree_skb`, with a reason that is asked for.
    pub const PACKET_DROP: u8 = 21;
    /// A queue of a listener passed the share of its limit that is warned of, or is well below again.
    pub const PRESSURE: u8 = 22;
    /// A connection entered the accept queue whose attempt had been refused before.
    pub const CONNECTED: u8 = 23;
}

/// Counters of `net->mib.net_statistics` that are read when a packet enters a
/// listener and again when it leaves; a slot is a position in [`Record::moved`].
pub mod counter {
    /// Number of slots.
    pub const SLOTS: usize = 10;
    /// `LINUX_MIB_LISTENOVERFLOWS`, ListenOverflows in nstat.
    pub const LISTEN_OVERFLOWS: usize = 0;
    /// `LINUX_MIB_LISTENDROPS`, ListenDrops.
    pub const LISTEN_DROPS: usize = 1;
    /// `LINUX_MIB_TCPREQQFULLDROP`, TCPReqQFullDrop.
    pub const REQQ_FULL_DROP: usize = 2;
    /// `LINUX_MIB_TCPREQQFULLDOCOOKIES`, TCPReqQFullDoCookies.
    pub const REQQ_FULL_DO_COOKIES: usize = 3;
    /// `LINUX_MIB_EMBRYONICRSTS`, EmbryonicRsts: a request was reset, by its client or on overflow.
    pub const EMBRYONIC_RSTS: usize = 4;
    /// `LINUX_MIB_TCPDEFERACCEPTDROP`, TCPDeferAcceptDrop: a bare ACK was not enough.
    pub const DEFER_ACCEPT_DROP: usize = 5;
    /// `LINUX_MIB_TCPFASTOPENLISTENOVERFLOW`, TCPFastOpenListenOverflow.
    pub const FASTOPEN_LISTEN_OVERFLOW: usize = 6;
    /// `LINUX_MIB_SYNCOOKIESRECV`, SyncookiesRecv: tells a cookie ACK from the ACK of a request.
    pub const SYNCOOKIES_RECV: usize = 7;
    /// `LINUX_MIB_TCPMIGRATEREQFAILURE`, TCPMigrateReqFailure: a migrated request was refused.
    pub const MIGRATE_REQ_FAILURE: usize = 8;
    /// `LINUX_MIB_TCPFASTOPENPASSIVEFAIL`, TCPFastOpenPassiveFail: a fast-open child was refused.
    pub const FASTOPEN_PASSIVE_FAIL: usize = 9;

    /// How many of the leading slots are events when they move, and are
    /// reconciled; the rest are evidence only.
    pub const DECISIVE: usize = 7;

    /// Of these, the ones every summary shows; the others only where they moved.
    pub const ALWAYS_SHOWN: usize = 4;

    /// Words that are read, at most: counters that lie near each other are read together, with what lies
    /// between them.
    pub const WORDS: usize = 16;

    /// Numbers that tell of one reading: its byte offset into `struct linux_mib`, how many bytes it
    /// takes, 0 after the last, and its byte offset into what is read.
    pub const READING: usize = 3;

    /// Slot, name in the kernel's BTF, name in /proc/net/netstat.
    pub const NAMES: [(&str, &str); SLOTS] = [
        ("LINUX_MIB_LISTENOVERFLOWS", "ListenOverflows"),
        ("LINUX_MIB_LISTENDROPS", "ListenDrops"),
        ("LINUX_MIB_TCPREQQFULLDROP", "TCPReqQFullDrop"),
        ("LINUX_MIB_TCPREQQFULLDOCOOKIES", "TCPReqQFullDoCookies"),
        ("LINUX_MIB_EMBRYONICRSTS", "EmbryonicRsts"),
        ("LINUX_MIB_TCPDEFERACCEPTDROP", "TCPDeferAcceptDrop"),
        (
            "LINUX_MIB_TCPFASTOPENLISTENOVERFLOW",
            "TCPFastOpenListenOverflow",
        ),
        ("LINUX_MIB_SYNCOOKIESRECV", "SyncookiesRecv"),
        ("LINUX_MIB_TCPMIGRATEREQFAILURE", "TCPMigrateReqFailure"),
        ("LINUX_MIB_TCPFASTOPENPASSIVEFAIL", "TCPFastOpenPassiveFail"),
    ];
}

/// Bits of [`Record::flags`] and [`CountKey::flags`].
pub mod flag {
    /// The packet is a SYN without ACK.
    pub const SYN: u16 = 1 << 0;
    /// Addresses, ports, sequence numbers and TCP flags come from a packet (or request) at hand.
    pub const PACKET: u16 = 1 << 1;
    /// The socket is a child that no accept(2) has returned yet.
    pub const UNACCEPTED: u16 = 1 << 2;
    /// The change was found at the next packet, since the leaving of the one
    /// that caused it was not seen: its client and listener are unknown.
    pub const LATE: u16 = 1 << 3;
    /// The tracepoint had a packet that it answers (`skb` not NULL).
    pub const ANSWER: u16 = 1 << 4;
    /// The namespace's `tcp_syncookies` is 2: cookies are sent without need.
    pub const COOKIES_FORCED: u16 = 1 << 5;
    /// Cookies are off and less than a quarter of `tcp_max_syn_backlog` is left
    /// (net/ipv4/tcp_input.c:tcp_conn_request, 5.10 to 7.2).
    pub const NEARLY_FULL: u16 = 1 << 6;
    /// The accept queue of a listener that closes is not empty.
    pub const QUEUED: u16 = 1 << 7;
    /// The listener was there no more, or listened no more.
    pub const LISTENER_GONE: u16 = 1 << 8;
    /// The accept queue had just been found full for the packet that is answered.
    pub const OVERFLOWN: u16 = 1 << 9;
    /// The packet is a reset.
    pub const RST: u16 = 1 << 10;
    /// The queue of a listener that closes may go to other members of its
    /// SO_REUSEPORT group (net/core/sock_reuseport.c:reuseport_stop_listen_sock, 5.14 to 7.2).
    pub const MIGRATES: u16 = 1 << 11;
    /// The SYN queue, not the accept queue.
    pub const SYN_QUEUE: u16 = 1 << 12;
    /// The queue is well below the share again.
    pub const EASED: u16 = 1 << 13;

    /// Those that a count is kept apart by.
    pub const COUNTED_APART: u16 = !PACKET;
}

/// TCP flag bits as in byte 13 of the header.
pub mod tcp_flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// `sk->sk_state` values, fixed by the user-space ABI (`include/net/tcp_states.h`).
pub mod state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const TIME_WAIT: u8 = 6;
    pub const CLOSE: u8 = 7;
    pub const LISTEN: u8 = 10;
    pub const NEW_SYN_RECV: u8 = 12;
}

/// Address families, fixed by the user-space ABI.
pub mod family {
    pub const INET: u16 = 2;
    pub const INET6: u16 = 10;
}

/// One event as the kernel side saw it. 144 bytes, no padding.
///
/// Addresses are in network order, IPv4 in the first four bytes; numbers are
/// in host order.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Record {
    /// `bpf_ktime_get_ns`, CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// Kernel address of the socket: its identity while `cookie` is 0.
    pub sock: u64,
    /// Socket cookie; 0 while nobody has asked for one.
    pub cookie: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    pub cpu: u32,
    /// `enum sk_rst_reason` of a reset or `enum skb_drop_reason` of a dropped
    /// packet, where the kernel passes one, else 0.
    pub reason: u32,
    pub seq: u32,
    pub ack_seq: u32,
    /// `sk_ack_backlog` and `sk_max_ack_backlog` when the packet left.
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    /// `icsk_accept_queue.qlen`.
    pub syn_queue_len: u32,
    /// `sk_drops` of the socket.
    pub sk_drops: u32,
    /// `skc_bound_dev_if`, 0 when not bound to a device.
    pub bound_ifindex: u32,
    /// The namespace's `tcp_max_syn_backlog`.
    pub max_syn_backlog: u32,
    /// The other end of the packet or socket. Of [`hook::LISTENER_CLOSED`]: the
    /// comm of the task that closed it, whose process id is in `seq`. Of [`hook::PRESSURE`]:
    /// in the first eight bytes how many ns ago the queue passed the share (little endian);
    /// the longest that it was since is in `seq`. Of [`hook::CONNECTED`]: the client's initial sequence
    /// number is in `seq`, how often the attempt was refused in `sk_drops`, and when first in
    /// `max_syn_backlog` (upper half) and `ack_seq`.
    pub remote_addr: [u8; 16],
    /// This host's end of the packet or socket.
    pub local_addr: [u8; 16],
    /// The address that the listener is bound to.
    pub bound_addr: [u8; 16],
    pub remote_port: u16,
    pub local_port: u16,
    pub bound_port: u16,
    /// Of the packet: [`family`].
    pub family: u16,
    /// Of the socket: [`family`].
    pub sock_family: u16,
    pub flags: u16,
    pub hook: u8,
    pub tcp_flags: u8,
    /// `skc_state` of the socket, 0 without one.
    pub sock_state: u8,
    /// SYN-ACKs sent again for this request, or timeouts of this socket.
    pub retransmits: u8,
    /// The namespace's `tcp_syncookies`: 0, 1 or 2.
    pub syncookies: u8,
    /// How far each counter moved, [`counter`].
    pub moved: [u8; counter::SLOTS],
    pub reserved: u8,
}

/// Key of the exact counts: which socket, where, what.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct CountKey {
    /// Socket cookie, or the socket's kernel address where it has none yet.
    pub listener: u64,
    pub netns: u32,
    /// Bit n: counter slot n moved.
    pub moved: u16,
    /// [`flag::COUNTED_APART`] of [`Record::flags`].
    pub flags: u16,
    /// Of a dropped packet: the kernel's reason.
    pub reason: u16,
    pub hook: u8,
    pub sock_state: u8,
    pub reserved: u32,
}

/// Value of the exact counts, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct CountValue {
    /// Events seen.
    pub events: u64,
    /// Of these, events whose record found no room in the ring.
    pub shed: u64,
    /// Of these, events whose record was left out on purpose.
    pub sampled: u64,
    /// The clients that those came from: each once in every period of the user side.
    pub sampled_clients: u64,
}

/// Who is left out of the detail: one client address of one count.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct ClientKey {
    pub count: CountKey,
    /// As [`Record::remote_addr`].
    pub addr: [u8; 16],
}

/// A listener whose records are wanted, while only some are.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct WantedKey {
    /// As [`Record::bound_addr`]; all zeroes: the port alone, see [`wanted`].
    pub addr: [u8; 16],
    pub port: u32,
}

/// What is wanted of a port.
pub mod wanted {
    /// Some addresses, each a [`super::WantedKey`] of its own, and the unspecified one.
    pub const SOME: u32 = 1;
    /// Every address.
    pub const ALL: u32 = 2;
}

/// How far each counter moved in one namespace while the hooks watched, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct NetnsSums {
    pub moved: [u64; counter::SLOTS],
}

/// Key of the figures of a listener.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct StatKey {
    /// As [`CountKey::listener`].
    pub listener: u64,
    pub netns: u32,
    pub reserved: u32,
}

/// What a listener goes through, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct ListenerStats {
    /// Connections that entered the accept queue.
    pub established: u64,
    /// Of these, connections that accept(2) took out of it; 0 where no hook sees that.
    pub accepted: u64,
    /// The longest that one of these was in the queue.
    pub wait_max_ns: u64,
    /// `sk_ack_backlog` at most, and `sk_max_ack_backlog` at that moment.
    pub accept_queue_peak: u32,
    pub accept_queue_limit: u32,
    /// `icsk_accept_queue.qlen` at most, and `sk_max_ack_backlog` at that moment.
    pub syn_queue_peak: u32,
    pub syn_queue_limit: u32,
    /// Of the first packet's CPU only, 0 of the others: kernel address of the listener, and as
    /// [`Record::bound_addr`], [`Record::bound_port`] and [`Record::sock_family`].
    pub sock: u64,
    pub bound_addr: [u8; 16],
    pub bound_port: u16,
    pub sock_family: u16,
    /// `tcp_sock.is_mptcp`.
    pub is_mptcp: u32,
}

/// Key of an [`Episode`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct EpisodeKey {
    /// As [`CountKey::listener`].
    pub listener: u64,
    pub netns: u32,
    /// [`flag::SYN_QUEUE`], or 0 of the accept queue.
    pub queue: u32,
}

/// A queue that has passed the share of its limit that is warned of.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Episode {
    /// CLOCK_MONOTONIC.
    pub since_ns: u64,
    /// The longest that the queue was since.
    pub peak: u32,
    pub limit: u32,
}

/// How long connections waited in an accept queue: how many for each step of [`wait`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Waits {
    pub steps: [u32; wait::STEPS],
}

/// Steps of a time, each at most a sixteenth longer than the one before.
pub mod wait {
    /// Up to 2^37 ns, about 137 s.
    pub const STEPS: usize = 384;

    /// Nanoseconds of the first sixteen steps, as a power of two.
    const UNIT: u32 = 10;

    /// The step of so many nanoseconds; what is longer than the last is in it.
    #[inline(always)]
    pub const fn step(ns: u64) -> usize {
        let units = ns >> UNIT;
        // No count of leading zeroes: BPF has none.
        let (mut rest, mut power) = (units, 0);
        let mut half = 32;
        while half > 0 {
            if rest >> half != 0 {
                rest >>= half;
                power += half;
            }
            half >>= 1;
        }
        let step = if power < 4 {
            units
        } else {
            (power as u64 - 3) * 16 + (units >> (power - 4) & 15)
        };
        if step < STEPS as u64 {
            step as usize
        } else {
            STEPS - 1
        }
    }

    /// The shortest time of a step, and the shortest that is too long for it.
    pub const fn bounds(step: usize) -> (u64, u64) {
        let (first, width) = if step < 16 {
            (step as u64, 1)
        } else {
            let power = step / 16 - 1;
            ((16 + step as u64 % 16) << power, 1 << power)
        };
        (first << UNIT, (first + width) << UNIT)
    }
}

/// What the kernel side has to say about itself, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Health {
    /// Records that found no room in the ring.
    pub ring_full: u64,
    /// Events that found no room in the map of counts.
    pub counts_full: u64,
    /// Events that found no room in the map of namespace sums.
    pub sums_full: u64,
    /// Packets whose leaving was noticed at the next packet only.
    pub late: u64,
    /// Counter readings that failed or made no sense, and were not counted.
    pub unreadable: u64,
    /// Records that were left out on purpose.
    pub sampled: u64,
    /// Clients that were met for the first time.
    pub clients_new: u64,
    /// Clients that found no room in the map of clients while detail was sampled.
    pub clients_full: u64,
    /// Records that nobody wanted: of other listeners and namespaces than were asked for.
    pub filtered: u64,
    /// Figures of listeners that found no room in their maps.
    pub stats_full: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_size_the_documentation_gives() {
        assert_eq!(size_of::<Record>(), 144);
        assert_eq!(size_of::<CountKey>(), 24);
        assert_eq!(size_of::<ClientKey>(), 40);
        assert_eq!(size_of::<StatKey>(), 16);
        assert_eq!(size_of::<WantedKey>(), 20);
        assert_eq!(size_of::<ListenerStats>(), 72);
    }

    #[test]
    fn every_time_is_within_the_bounds_of_its_step() {
        let (mut ns, mut last) = (1u64, 0);
        while ns < 1 << 37 {
            for near in [ns - 1, ns, ns + 1] {
                let (first, end) = wait::bounds(wait::step(near));
                assert!((first..end).contains(&near), "{near} in {first}..{end}");
            }
            let step = wait::step(ns);
            assert!(step >= last, "{ns}");
            last = step;
            ns += ns / 7 + 1;
        }
        assert_eq!(wait::step((1 << 37) - 1), wait::STEPS - 1);
        assert_eq!(wait::step(u64::MAX), wait::STEPS - 1);
    }
}

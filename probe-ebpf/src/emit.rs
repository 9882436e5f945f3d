//! Counts first, detail second: an event is counted in per-CPU maps before the
//! ring is asked for room, so a record that finds none is counted, not lost.

use core::arch::asm;

use aya_ebpf::{
    btf_maps::{PerCpuArray, PerCpuHashMap, RingBuf},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_map,
};
use probe_common::{
    CountKey, CountValue, Health, NetnsSums, Record, counter, flag, hook, state, tcp_flag,
};

use crate::{
    config::*,
    frame::Frame,
    kernel::{self, Headers, Ptr},
};

#[btf_map]
static EVENTS: RingBuf<Record, 1_048_576> = RingBuf::new();

/// Exact counts by listener and by what happened.
#[btf_map]
static COUNTS: PerCpuHashMap<CountKey, CountValue, 8192> = PerCpuHashMap::new();

/// How far the counters of each namespace moved inside the hooks.
#[btf_map]
static SUMS: PerCpuHashMap<u32, NetnsSums, 1024> = PerCpuHashMap::new();

#[btf_map]
static HEALTH: PerCpuArray<Health, 1> = PerCpuArray::new();

const BPF_NOEXIST: u64 = 1;

/// What the health counters count.
#[derive(Clone, Copy)]
pub enum Trouble {
    RingFull,
    CountsFull,
    SumsFull,
    Late,
    Unreadable,
}

/// Adds to a counter of this CPU. Atomically: a program in process context can
/// be interrupted by one in softirq that adds to the same word.
#[inline(always)]
fn add(word: *mut u64, n: u64) {
    // The core library has no fetch_add for BPF, since 5.10 has no atomic that
    // returns a value; the plain atomic add has been there from the start.
    // SAFETY: `word` points into a map value of this CPU, aligned to eight bytes.
    unsafe { asm!("lock *(u64 *)({word} + 0) += {n}", word = in(reg) word, n = in(reg) n) };
}

/// Counts a trouble of the kernel side itself.
#[inline(always)]
pub fn trouble(what: Trouble) {
    let Some(health) = HEALTH.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a field of a map value that exists.
    let word = unsafe {
        match what {
            Trouble::RingFull => &raw mut (*health).ring_full,
            Trouble::CountsFull => &raw mut (*health).counts_full,
            Trouble::SumsFull => &raw mut (*health).sums_full,
            Trouble::Late => &raw mut (*health).late,
            Trouble::Unreadable => &raw mut (*health).unreadable,
        }
    };
    add(word, 1);
}

#[inline(always)]
fn add_sums(netns: u32, moved: &[u8; counter::SLOTS]) {
    let mut sums = SUMS.get_ptr_mut(netns);
    if sums.is_none() {
        let zero = NetnsSums {
            moved: [0; counter::SLOTS],
        };
        let _ = SUMS.insert(netns, zero, BPF_NOEXIST);
        sums = SUMS.get_ptr_mut(netns);
    }
    let Some(sums) = sums else {
        return trouble(Trouble::SumsFull);
    };
    let mut slot = 0;
    while slot < counter::SLOTS {
        // SAFETY: this CPU's value; entries are never removed while programs run.
        add(
            unsafe { &raw mut (*sums).moved[slot] },
            u64::from(moved[slot]),
        );
        slot += 1;
    }
}

/// Counts an event and returns its count, so that a shed record can be noted there.
#[inline(always)]
fn count(key: &CountKey) -> Option<*mut CountValue> {
    let mut value = COUNTS.get_ptr_mut(key);
    if value.is_none() {
        let _ = COUNTS.insert(key, CountValue { events: 0, shed: 0 }, BPF_NOEXIST);
        value = COUNTS.get_ptr_mut(key);
    }
    match value {
        // SAFETY: this CPU's value; entries are never removed while programs run.
        Some(value) => add(unsafe { &raw mut (*value).events }, 1),
        None => trouble(Trouble::CountsFull),
    }
    value
}

/// Everything of a record that does not depend on the socket being there.
struct Detail {
    hook: u8,
    flags: u8,
    netns: u32,
    sock: Ptr,
    cookie: u64,
    skb: Ptr,
    request: Ptr,
    reason: u32,
}

#[inline(always)]
fn emit(detail: &Detail, moved: &[u8; counter::SLOTS]) {
    let headers = if detail.skb.is_null() {
        None
    } else {
        kernel::headers_of(detail.skb)
    };
    let mut flags = detail.flags;
    if let Some(headers) = &headers
        && headers.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN
    {
        flags |= flag::SYN;
    }
    let sock_state = kernel::state_of(detail.sock);
    let mut mask = 0u8;
    let mut slot = 0;
    while slot < counter::SLOTS {
        // 1 for 1 to 255, without a branch.
        mask |= (((u16::from(moved[slot]) + 255) >> 8) as u8) << slot;
        slot += 1;
    }
    let counted = count(&CountKey {
        // A key for each connection would fill the map; only listeners have their own.
        listener: match (sock_state, detail.cookie) {
            (state::LISTEN, 0) => detail.sock as u64,
            (state::LISTEN, cookie) => cookie,
            _ => 0,
        },
        netns: detail.netns,
        hook: detail.hook,
        flags: flags & (flag::SYN | flag::UNACCEPTED | flag::LATE | flag::ANSWER),
        moved: mask,
        sock_state,
    });
    let Some(mut entry) = EVENTS.reserve(0) else {
        trouble(Trouble::RingFull);
        if let Some(value) = counted {
            // SAFETY: as in `count`.
            add(unsafe { &raw mut (*value).shed }, 1);
        }
        return;
    };
    // SAFETY: every byte of the record is written below before it is submitted.
    let record = unsafe { &mut *entry.as_mut_ptr() };
    start(record, detail, flags, sock_state);
    record.moved = *moved;
    fill(record, detail, headers);
    entry.submit(0);
}

/// Writes every field once, with what is known without reading further.
#[inline(always)]
fn start(record: &mut Record, detail: &Detail, flags: u8, sock_state: u8) {
    // SAFETY: the helpers have no preconditions.
    (record.mono_ns, record.cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    record.sock = detail.sock as u64;
    record.cookie = detail.cookie;
    record.netns = detail.netns;
    record.reason = detail.reason;
    record.seq = 0;
    record.ack_seq = 0;
    record.accept_queue_len = 0;
    record.accept_queue_limit = 0;
    record.syn_queue_len = 0;
    record.sk_drops = 0;
    record.bound_ifindex = 0;
    record.remote_addr = [0; 16];
    record.local_addr = [0; 16];
    record.bound_addr = [0; 16];
    record.remote_port = 0;
    record.local_port = 0;
    record.bound_port = 0;
    record.family = 0;
    record.sock_family = 0;
    record.hook = detail.hook;
    record.flags = flags;
    record.tcp_flags = 0;
    record.sock_state = sock_state;
    record.retransmits = 0;
    record.syncookies = 0;
    record.max_syn_backlog = 0;
    record.reserved = 0;
}

/// The two ends (from the packet, else from the request, else from the socket) and the socket itself.
#[inline(always)]
fn fill(record: &mut Record, detail: &Detail, headers: Option<Headers>) {
    if let Some(headers) = headers {
        record.flags |= flag::PACKET;
        headers.fill(record);
    } else if !detail.request.is_null() {
        record.flags |= flag::PACKET;
        kernel::fill_ends(record, detail.request);
        record.seq = kernel::read(detail.request, TREQ_RCV_ISN.load());
        record.ack_seq = kernel::read(detail.request, TREQ_SNT_ISN.load());
        record.retransmits = kernel::read(detail.request, REQ_NUM_RETRANS.load());
    } else if !detail.sock.is_null() {
        kernel::fill_ends(record, detail.sock);
        // A child that is being closed has given its port back; what it sent from is still there.
        if record.local_port == 0 && is_full(record.sock_state) {
            record.local_port = u16::from_be(kernel::read(detail.sock, INET_SPORT.load()));
        }
    }
    if detail.sock.is_null() {
        return;
    }
    kernel::fill_bound(record, detail.sock);
    if record.sock_state == state::LISTEN {
        record.accept_queue_len = kernel::read(detail.sock, SK_ACK_BACKLOG.load());
        record.accept_queue_limit = kernel::read(detail.sock, SK_MAX_ACK_BACKLOG.load());
        record.syn_queue_len = kernel::read(detail.sock, ICSK_QLEN.load());
        let net = kernel::net_of(detail.sock);
        record.syncookies = kernel::read(net, NET_SYNCOOKIES.load());
        record.max_syn_backlog = kernel::read(net, NET_MAX_SYN_BACKLOG.load());
        record.sk_drops = kernel::read(detail.sock, SK_DROPS.load());
    } else if is_full(record.sock_state) {
        record.retransmits = kernel::read(detail.sock, ICSK_RETRANSMITS.load());
    }
}

/// `TCP_TIME_WAIT`: like a request, it is no full `struct sock`.
const TIME_WAIT: u8 = 6;

/// A packet left a listener and at least one decisive counter moved.
#[inline(always)]
pub fn decision(frame: &Frame, flags: u8) {
    add_sums(frame.netns, &frame.moved);
    // The packet and the listener of a late frame may be freed memory by now.
    let known = flags & flag::LATE == 0;
    emit(
        &Detail {
            hook: frame.hook,
            flags,
            netns: frame.netns,
            sock: if known {
                frame.sock as Ptr
            } else {
                core::ptr::null()
            },
            cookie: if known { frame.cookie } else { 0 },
            skb: if known {
                frame.skb as Ptr
            } else {
                core::ptr::null()
            },
            request: if known {
                frame.request as Ptr
            } else {
                core::ptr::null()
            },
            reason: 0,
        },
        &frame.moved,
    );
}

const NOTHING_MOVED: [u8; counter::SLOTS] = [0; counter::SLOTS];

/// A socket of any state: `true` when reading beyond `sock_common` is sound.
#[inline(always)]
fn is_full(sock_state: u8) -> bool {
    sock_state != state::NEW_SYN_RECV && sock_state != TIME_WAIT
}

/// A tracepoint about a socket, a packet, or both. Unless every event of the
/// host is wanted, only those of connection attempts pass.
#[inline(always)]
pub fn tracepoint(which: u8, sock: Ptr, skb: Ptr, request: Ptr, reason: u32) {
    let mut flags = 0;
    let mut attempt = true;
    if !skb.is_null() {
        flags |= flag::ANSWER;
    }
    if !sock.is_null() {
        let sock_state = kernel::state_of(sock);
        if is_full(sock_state) && sock_state != state::LISTEN {
            if kernel::is_unaccepted(sock) {
                flags |= flag::UNACCEPTED;
            }
            attempt = matches!(sock_state, state::SYN_SENT | state::SYN_RECV)
                || flags & flag::UNACCEPTED != 0;
        } else {
            attempt = sock_state != TIME_WAIT;
        }
    } else if let Some(headers) = kernel::headers_of(skb) {
        // A reset to what belongs to no socket: an attempt if it answers a SYN.
        attempt = headers.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN;
    }
    if !attempt && EVENTS_ALL.load() == 0 {
        return;
    }
    let net = if sock.is_null() {
        kernel::net_of_skb(skb)
    } else {
        kernel::net_of(sock)
    };
    let packet = match which {
        hook::SEND_RESET => skb,
        // What is retransmitted is this host's own packet: its source is not the client.
        _ => core::ptr::null(),
    };
    emit(
        &Detail {
            hook: which,
            flags,
            netns: kernel::inum_of(net),
            sock,
            cookie: if sock.is_null() {
                0
            } else {
                kernel::cookie_of(sock)
            },
            skb: packet,
            request,
            reason,
        },
        &NOTHING_MOVED,
    );
}

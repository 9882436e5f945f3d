//! Counts first, detail second: an event is counted in per-CPU maps before the
//! ring is asked for room, so a record that finds none is counted, not lost.

use aya_ebpf::{
    btf_maps::{PerCpuHashMap, RingBuf},
    cty::c_void,
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated},
    macros::btf_map,
};
use probe_common::{
    Closed, CountKey, CountValue, Part, Record, Segment, Tail, counter, flag, hook, room, state,
    tcp_flag,
};

use crate::{
    config::{
        EVENTS_ALL, ICSK_QLEN, ICSK_RETRANSMITS, NET_MAX_SYN_BACKLOG, NET_SYNCOOKIES,
        REQ_NUM_RETRANS, SK_ACK_BACKLOG, SK_MAX_ACK_BACKLOG, SK_REUSEPORT_CB, TASK_EXIT_CODE,
        TASK_FLAGS, TREQ_RCV_ISN, TREQ_SNT_ISN,
    },
    event::{Detail, NOTHING_MOVED, OfListener},
    generation::{self, Of},
    health::{Noted, add, note},
    kernel::{self, Headers, Ptr, is_full},
    sample, wanted,
};

#[btf_map]
static EVENTS: RingBuf<Record, 1_048_576> = RingBuf::new();

type Counts<const N: usize> = PerCpuHashMap<CountKey, CountValue, N>;

/// Exact counts by listener and by what happened.
#[btf_map]
static COUNTS: Counts<{ room::COUNTS }> = PerCpuHashMap::new();

/// By namespace and by what happened, of listeners that find no room for a count of their own.
#[btf_map]
static REST: Counts<{ room::REST }> = PerCpuHashMap::new();

/// By what happened alone, where that finds no room either. What may happen is bounded, so this never fills.
#[btf_map]
static ANYWHERE: Counts<{ room::ANYWHERE }> = PerCpuHashMap::new();

const BPF_NOEXIST: u64 = 1;

/// What is counted of an event.
#[derive(Clone, Copy)]
enum What {
    Happened,
    Shed,
    Sampled,
    /// The first of its client.
    SampledFirst,
}

/// The count of an event, null where there is none: one word, of which an old verifier lets a program keep every part. Of an
/// `Option` of a pointer it would see what a `None` leaves undefined.
type Counted = *mut CountValue;

/// Counts an event and returns its count, so that a record that was left out can be noted there; without one see [`without_listener`].
#[inline(always)]
fn count(key: &mut CountKey) -> Counted {
    key.generation = generation::now();
    let value = entry(&COUNTS, key, Of::Counts).unwrap_or(core::ptr::null_mut());
    if value.is_null() {
        note(Noted::CountsFull);
        without_listener(key, What::Happened);
    } else {
        add_to(value, What::Happened);
    }
    key.generation = 0;
    value
}

/// The record of a counted event was left out.
#[inline(always)]
fn leave_out(counted: Counted, key: &mut CountKey, what: What) {
    if counted.is_null() {
        key.generation = generation::now();
        without_listener(key, what);
    } else {
        add_to(counted, what);
    }
}

#[inline(always)]
fn add_to(value: *mut CountValue, what: What) {
    // SAFETY: fields of this CPU's value, which nobody removes while a program may hold it (`generation`).
    unsafe {
        match what {
            What::Happened => add(&raw mut (*value).events, 1),
            What::Shed => add(&raw mut (*value).shed, 1),
            What::Sampled | What::SampledFirst => {
                let first = u64::from(matches!(what, What::SampledFirst));
                add(&raw mut (*value).sampled, 1);
                add(&raw mut (*value).sampled_clients, first);
            }
        }
    }
}

#[inline(always)]
fn entry<const N: usize>(
    counts: &'static Counts<N>,
    key: &CountKey,
    of: Of,
) -> Option<*mut CountValue> {
    if let Some(value) = counts.get_ptr_mut(key) {
        return Some(value);
    }
    let zero = CountValue {
        events: 0,
        shed: 0,
        sampled: 0,
        sampled_clients: 0,
    };
    if counts.insert(key, zero, BPF_NOEXIST).is_ok() {
        generation::made(of);
    }
    counts.get_ptr_mut(key)
}

/// The listener has no room for a count of its own: what happened is counted all the same. It returns nothing, since an old
/// verifier would go on with the entry of each of these maps.
#[inline(never)]
fn without_listener(key: &CountKey, what: What) {
    let mut key = *key;
    key.listener = 0;
    if let Some(value) = entry(&REST, &key, Of::Rest) {
        return add_to(value, what);
    }
    key.netns = 0;
    key.generation = 0;
    if let Some(value) = entry(&ANYWHERE, &key, Of::Rest) {
        add_to(value, what);
    }
}

/// The bits of the decisive slots.
const DECISIVE: u16 = (1 << counter::DECISIVE) - 1;

/// What a listener's state says about why; zeroes of anything else.
struct Pressure {
    syn_queue_len: u32,
    max_syn_backlog: u32,
    syncookies: u8,
}

impl Pressure {
    #[inline(always)]
    fn of(sock: Ptr, sock_state: u8) -> Self {
        if sock_state != state::LISTEN {
            return Self {
                syn_queue_len: 0,
                max_syn_backlog: 0,
                syncookies: 0,
            };
        }
        let net = kernel::net_of(sock);
        Self {
            syn_queue_len: kernel::read(sock, ICSK_QLEN.load()),
            max_syn_backlog: kernel::read(net, NET_MAX_SYN_BACKLOG.load()),
            syncookies: kernel::read(net, NET_SYNCOOKIES.load()),
        }
    }

    /// As flags, without a branch.
    #[inline(always)]
    fn flags(&self) -> u16 {
        let forced = u16::from(self.syncookies == 2) * flag::COOKIES_FORCED;
        let left = i64::from(self.max_syn_backlog) - i64::from(self.syn_queue_len);
        let nearly = (self.syncookies == 0) & (left < i64::from(self.max_syn_backlog >> 2));
        forced | (u16::from(nearly) * flag::NEARLY_FULL)
    }
}

/// Counts an event, and hands its record out unless there is no room or enough of its kind already.
#[inline(always)]
pub(crate) fn emit(detail: &Detail, moved: &[u8; counter::SLOTS]) {
    let mut flags = detail.flags;
    if let Some(headers) = detail.headers.some() {
        flags |= u16::from(headers.is_syn()) * flag::SYN;
        flags |= u16::from(headers.tcp_flags & tcp_flag::RST != 0) * flag::RST;
    }
    let sock_state = kernel::state_of(detail.sock);
    let pressure = Pressure::of(detail.sock, sock_state);
    if sock_state == state::LISTEN {
        flags |= pressure.flags();
    }
    let mut mask = 0u16;
    let mut slot = 0;
    while slot < counter::SLOTS {
        // 1 for 1 to 255, without a branch.
        mask |= ((u16::from(moved[slot]) + 255) >> 8) << slot;
        slot += 1;
    }
    let mut key = CountKey {
        // A key for each connection would fill the map; only listeners have their own.
        listener: match (sock_state, detail.cookie) {
            (state::LISTEN, 0) => detail.sock as u64,
            (state::LISTEN, cookie) => cookie,
            _ => 0,
        },
        netns: detail.netns,
        moved: mask,
        flags: flags & flag::COUNTED_APART,
        reason: if detail.hook == hook::PACKET_DROP {
            detail.reason as u16
        } else {
            0
        },
        hook: detail.hook,
        sock_state,
        generation: 0,
    };
    // What nobody asked for takes no room from what is.
    if !wanted::any(detail, sock_state) {
        return note(Noted::Filtered);
    }
    let counted = count(&mut key);
    if EVENTS_ALL.load() == 0 && mask & DECISIVE == 1 << counter::DEFER_ACCEPT_DROP {
        // A bare ACK where data is waited for is no news: every connection there begins with one.
        return;
    }
    let verdict = sample::decide(&key, detail);
    if verdict != sample::Verdict::Kept {
        note(Noted::Sampled);
        let what = if verdict == sample::Verdict::LeftOutFirst {
            What::SampledFirst
        } else {
            What::Sampled
        };
        return leave_out(counted, &mut key, what);
    }
    let Some(mut entry) = EVENTS.reserve(0) else {
        note(Noted::RingFull);
        return leave_out(counted, &mut key, What::Shed);
    };
    // SAFETY: every byte of the record is written below before it is submitted.
    let record = unsafe { &mut *entry.as_mut_ptr() };
    start(record, detail, flags, sock_state);
    record.moved = *moved;
    record.syn_queue_len = pressure.syn_queue_len;
    record.max_syn_backlog = pressure.max_syn_backlog;
    record.syncookies = pressure.syncookies;
    fill(record, detail);
    entry.submit(0);
}

/// Writes every field once, with what is known without reading further.
#[inline(always)]
fn start(record: &mut Record, detail: &Detail, flags: u16, sock_state: u8) {
    // SAFETY: the helpers have no preconditions.
    (record.mono_ns, record.cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    record.sock = detail.sock as u64;
    record.cookie = detail.cookie;
    record.netns = detail.netns;
    record.reason = detail.reason;
    record.accept_queue_len = 0;
    record.accept_queue_limit = 0;
    record.syn_queue_len = 0;
    record.bound_addr = [0; 16];
    record.bound_port = 0;
    record.sock_family = 0;
    record.hook = detail.hook;
    record.flags = flags;
    record.sock_state = sock_state;
    record.syncookies = 0;
    record.max_syn_backlog = 0;
    record.reserved = 0;
    record.tail = Tail::ZERO;
}

/// The two ends (from the packet, else from the request, else from the socket) and the socket itself.
#[inline(always)]
fn fill(record: &mut Record, detail: &Detail) {
    let sock_state = record.sock_state;
    if detail.headers.some().is_some() || !detail.request.is_null() {
        record.flags |= flag::PACKET;
    }
    let segment: &mut Segment = part(&mut record.tail);
    if let Some(headers) = detail.headers.some() {
        headers.fill(segment);
    } else if !detail.request.is_null() {
        kernel::fill_ends(&mut segment.ends, detail.request);
        segment.seq = kernel::read(detail.request, TREQ_RCV_ISN.load());
        segment.ack_seq = kernel::read(detail.request, TREQ_SNT_ISN.load());
        segment.retransmits = kernel::read(detail.request, REQ_NUM_RETRANS.load());
    } else if !detail.sock.is_null() {
        kernel::fill_ends(&mut segment.ends, detail.sock);
        if is_full(sock_state) {
            segment.ends.local_port = kernel::port_of(detail.sock);
        }
    }
    if detail.sock.is_null() {
        return;
    }
    kernel::fill_bound(record, detail.sock);
    if sock_state == state::LISTEN {
        record.accept_queue_len = kernel::read(detail.sock, SK_ACK_BACKLOG.load());
        record.accept_queue_limit = kernel::read(detail.sock, SK_MAX_ACK_BACKLOG.load());
    } else if is_full(sock_state) {
        part::<Segment>(&mut record.tail).retransmits =
            kernel::read(detail.sock, ICSK_RETRANSMITS.load());
    }
}

/// A listener was closed by the running task: what is refused from now on is told by it.
#[inline(always)]
pub(crate) fn listener_closed(sock: Ptr, netns: u32, cookie: u64) {
    let accept_queue_len: u32 = kernel::read(sock, SK_ACK_BACKLOG.load());
    let group: u64 = kernel::read(sock, SK_REUSEPORT_CB.load());
    let flags = (u16::from(accept_queue_len != 0) * flag::QUEUED)
        | (u16::from(group != 0) * flag::MIGRATES);
    let mut comm = [0; 16];
    // SAFETY: the buffer is 16 bytes long, as a comm is.
    unsafe { generated::bpf_get_current_comm((&raw mut comm).cast::<c_void>(), 16) };
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let ending = ending();
    let event = OfListener {
        hook: hook::LISTENER_CLOSED,
        flags,
        sock,
        netns,
        cookie,
        counted_by: 0,
    };
    of_listener(&event, |closed: &mut Closed| {
        closed.comm = comm;
        closed.pid = pid;
        closed.ending = ending;
    });
}

/// How this task ends, if it does: do_exit sets `exit_code` before it closes files (kernel/exit.c, 5.10 to 7.2).
#[inline(always)]
fn ending() -> u32 {
    /// `PF_EXITING` (include/linux/sched.h, 5.10 to 7.2).
    const EXITING: u32 = 4;
    // SAFETY: the helper has no preconditions.
    let task = unsafe { generated::bpf_get_current_task() } as Ptr;
    let flags: u32 = kernel::read(task, TASK_FLAGS.load());
    if flags & EXITING == 0 {
        return 0;
    }
    let code: u32 = kernel::read(task, TASK_EXIT_CODE.load());
    Closed::ENDING | code & 0xffff
}

/// The tail, as one of those that it may be.
#[inline(always)]
fn part<T: Part>(tail: &mut Tail) -> &mut T {
    // SAFETY: it is as long as the tail, at most as aligned, and any bytes are one (probe-common has checked it).
    unsafe { &mut *(&raw mut *tail).cast::<T>() }
}

/// Counts it, and hands its record out; `tell` writes what only such an event tells, over zeroes.
#[inline(always)]
pub(crate) fn of_listener<T: Part>(event: &OfListener, tell: impl FnOnce(&mut T)) {
    let is_wanted = wanted::listener(event.netns, event.sock);
    // What is refused later is told by the closing of whichever listener.
    if event.hook != hook::LISTENER_CLOSED && !is_wanted {
        return note(Noted::Filtered);
    }
    let mut key = CountKey {
        listener: event.counted_by,
        netns: event.netns,
        moved: 0,
        flags: event.flags,
        reason: 0,
        hook: event.hook,
        sock_state: state::LISTEN,
        generation: 0,
    };
    let counted = if is_wanted {
        count(&mut key)
    } else {
        core::ptr::null_mut()
    };
    let Some(mut entry) = EVENTS.reserve(0) else {
        note(Noted::RingFull);
        if is_wanted {
            leave_out(counted, &mut key, What::Shed);
        }
        return;
    };
    // SAFETY: as in `emit`.
    let record = unsafe { &mut *entry.as_mut_ptr() };
    let sock = event.sock;
    let detail = Detail {
        hook: event.hook,
        flags: event.flags,
        netns: event.netns,
        sock,
        cookie: event.cookie,
        headers: Headers::NONE,
        request: core::ptr::null(),
        reason: 0,
    };
    start(record, &detail, event.flags, state::LISTEN);
    record.moved = NOTHING_MOVED;
    kernel::fill_bound(record, sock);
    record.bound_port = kernel::port_of(sock);
    record.accept_queue_len = kernel::read(sock, SK_ACK_BACKLOG.load());
    record.accept_queue_limit = kernel::read(sock, SK_MAX_ACK_BACKLOG.load());
    record.syn_queue_len = kernel::read(sock, ICSK_QLEN.load());
    tell(part(&mut record.tail));
    entry.submit(0);
}

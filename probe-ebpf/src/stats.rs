//! What a listener goes through before anything is lost: connections that
//! enter its accept queue and leave it, how long they wait, how long its
//! queues get.
//!
//! Where a hook is around the function that makes a connection of a packet, what
//! it returns has entered the accept queue. Elsewhere a child that was made
//! while a packet was inside its listener
//! (net/ipv4/inet_connection_sock.c:inet_csk_clone_lock, 5.10 to 7.2) and not
//! closed again has entered it when the packet leaves, or when it is
//! established, which comes later in the same function.

use aya_ebpf::{
    btf_maps::{Array, HashMap, PerCpuHashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use probe_common::{ListenerStats, StatKey, Waits, room, state, wait};

use crate::{
    attempt,
    config::{
        ICSK_QLEN, SK_ACK_BACKLOG, SK_MAX_ACK_BACKLOG, SKC_FAMILY, TCP_IS_MPTCP, WARN_PERCENT,
    },
    generation::{self, Of},
    health::{Noted, add, add_small, note},
    kernel::{self, Ptr},
    listener_id::Listener,
    twice::Twin,
    warn,
};

#[btf_map]
static STATS: PerCpuHashMap<StatKey, ListenerStats, { room::STATS }> = PerCpuHashMap::new();

/// Fewer than `STATS` has, since each takes as much as 38 of those.
#[btf_map]
static WAITS: HashMap<StatKey, Waits, { room::WAITS }> = HashMap::new();

/// Too large for the stack of a program; nobody writes to it.
#[btf_map]
static NO_WAITS: Array<Waits, 1> = Array::new();

/// Not 0 when a hook tells of connections that leave the queue; the user side says so.
#[btf_map]
static HAVE_ACCEPT: Array<u32, 1> = Array::new();

/// A connection that nobody has accepted yet.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiting {
    key: StatKey,
    since_ns: u64,
    listener: u64,
}

impl Waiting {
    #[inline(always)]
    const fn listener(&self) -> Listener {
        Listener {
            sock: self.listener,
            cookie: if self.key.listener == self.listener {
                0
            } else {
                self.key.listener
            },
            netns: self.key.netns,
        }
    }
}

/// By the child's address.
#[btf_map]
static WAITING: HashMap<u64, Waiting, 65536> = HashMap::new();

const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;

/// `sock` is null where it may be another's memory by now.
#[inline(always)]
fn stats_of(key: &StatKey, sock: Ptr) -> Option<*mut ListenerStats> {
    let key = &StatKey {
        generation: generation::now(),
        ..*key
    };
    let mut stats = STATS.get_ptr_mut(key);
    if stats.is_none() {
        let mut first = ListenerStats {
            established: 0,
            accepted: 0,
            wait_max_ns: 0,
            accept_queue_peak: 0,
            accept_queue_limit: 0,
            syn_queue_peak: 0,
            syn_queue_limit: 0,
            sock: sock as u64,
            bound_addr: [0; 16],
            bound_port: 0,
            sock_family: 0,
            is_mptcp: 0,
        };
        if !sock.is_null() {
            first.sock_family = kernel::read(sock, SKC_FAMILY.load());
            first.bound_port = kernel::port_of(sock);
            first.is_mptcp = u32::from(kernel::read::<u8>(sock, TCP_IS_MPTCP.load()) & 1);
            kernel::copy_bound(sock, &raw mut first.bound_addr);
        }
        if STATS.insert(key, first, BPF_NOEXIST).is_ok() {
            generation::made(Of::Stats);
        }
        stats = STATS.get_ptr_mut(key);
    }
    if stats.is_none() {
        note(Noted::StatsFull);
    }
    stats
}

/// The listener that a packet of this CPU left last, and how long its queues are
/// known to have been: what is shorter needs no look into the map.
#[repr(C)]
pub(crate) struct Seen {
    /// 0: none.
    listener: u64,
    netns: u32,
    accept_queue: u32,
    syn_queue: u32,
    reserved: u32,
}

impl Seen {
    #[inline(always)]
    pub(crate) fn has(&self, listener: &Listener, queues: &Queues) -> bool {
        let key = listener.key();
        self.listener == key.listener
            && self.netns == key.netns
            && queues.accept <= self.accept_queue
            && queues.syn <= self.syn_queue
    }

    /// Whoever interrupts this sees no listener in between.
    #[inline(always)]
    fn remember(&mut self, key: &StatKey, stats: &ListenerStats) {
        self.forget();
        // SAFETY: fields of what is at hand.
        unsafe {
            (&raw mut self.netns).write_volatile(key.netns);
            (&raw mut self.accept_queue).write_volatile(stats.accept_queue_peak);
            (&raw mut self.syn_queue).write_volatile(stats.syn_queue_peak);
            (&raw mut self.listener).write_volatile(key.listener);
        }
    }

    #[inline(always)]
    pub(crate) fn forget(&mut self) {
        // SAFETY: a field of what is at hand.
        unsafe { (&raw mut self.listener).write_volatile(0) };
    }
}

/// How long the queues of a listener are.
pub(crate) struct Queues {
    accept: u32,
    syn: u32,
}

impl Queues {
    #[inline(always)]
    pub(crate) fn of(sock: Ptr) -> Self {
        Self {
            accept: kernel::read(sock, SK_ACK_BACKLOG.load()),
            syn: kernel::read(sock, ICSK_QLEN.load()),
        }
    }
}

/// A packet leaves its listener: the queues are as long as they get.
#[inline(always)]
pub(crate) fn left(listener: &Listener, queues: &Queues, seen: &mut Seen) -> Option<()> {
    let sock = listener.sock as Ptr;
    let key = listener.key();
    let (accept, syn) = (queues.accept, queues.syn);
    if kernel::state_of(sock) == state::LISTEN {
        let stats = stats_of(&key, sock)?;
        let limit: u32 = kernel::read(sock, SK_MAX_ACK_BACKLOG.load());
        warn::look(&key, sock);
        // SAFETY: this CPU's value, written with bottom halves off only.
        let stats = unsafe { &mut *stats };
        if accept > stats.accept_queue_peak {
            stats.accept_queue_peak = accept;
            stats.accept_queue_limit = limit;
        }
        if syn > stats.syn_queue_peak {
            stats.syn_queue_peak = syn;
            stats.syn_queue_limit = limit;
        }
        seen.remember(&key, stats);
    }
    Some(())
}

/// A connection entered the accept queue; 0 where it is not known which.
#[inline(always)]
pub(crate) fn queued(listener: &Listener, child: u64) -> Option<()> {
    let key = listener.key();
    let stats = stats_of(&key, core::ptr::null())?;
    // SAFETY: a field of a map value at hand.
    add(unsafe { &raw mut (*stats).established }, 1);
    if child == 0 {
        return None;
    }
    attempt::connected(listener, child as Ptr);
    let has_accept = HAVE_ACCEPT.get_ptr(0)?;
    // SAFETY: a map value, read whole; the helper has no preconditions.
    let (has_accept, now) = unsafe { (*has_accept, bpf_ktime_get_ns()) };
    if has_accept == 0 {
        return None;
    }
    let waiting = Waiting {
        key,
        since_ns: now,
        listener: listener.sock,
    };
    if WAITING.insert(&child, waiting, BPF_NOEXIST).is_ok() {
        return None;
    }
    let before = WAITING.get_ptr(&child);
    // SAFETY: a map value.
    if before.is_some_and(|before| unsafe { (*before).since_ns } == 0) {
        // Another CPU has accepted it between the queue and here.
        let _ = WAITING.remove(&child);
        waited(&key, 0);
    } else if WAITING.insert(&child, waiting, BPF_ANY).is_err() {
        note(Noted::StatsFull);
    }
    Some(())
}

/// accept(2) takes a connection out of the queue.
#[inline(always)]
pub(crate) fn accepted(child: u64, twin: Twin) -> Option<()> {
    // Read first: while a connection is in this state, the function that has put
    // it into the queue may not have returned.
    let may_be_early =
        matches!(twin, Twin::First) && kernel::state_of(child as Ptr) == state::SYN_RECV;
    let mut waiting = WAITING.get_ptr(&child);
    if waiting.is_none() && may_be_early {
        let early = Waiting {
            key: StatKey {
                listener: 0,
                netns: 0,
                generation: 0,
            },
            since_ns: 0,
            listener: 0,
        };
        if WAITING.insert(&child, early, BPF_NOEXIST).is_ok() {
            return None;
        }
        waiting = WAITING.get_ptr(&child);
    }
    let waiting = waiting?;
    // SAFETY: a map value; nobody writes to it before this child's address is another's.
    let waiting = unsafe { *waiting };
    let (key, since_ns) = (waiting.key, waiting.since_ns);
    // An early one is for `queued` to end; and of two twins one takes it.
    if since_ns == 0 || WAITING.remove(&child).is_err() {
        return None;
    }
    // SAFETY: the helper has no preconditions.
    let time = unsafe { bpf_ktime_get_ns() }.saturating_sub(since_ns);
    // One that was moved here from a listener that closed is no sign of that one's queue.
    if WARN_PERCENT.load() != 0 && waiting.listener().is_there() {
        warn::look(&key, waiting.listener as Ptr);
    }
    waited(&key, time)
}

/// A connection was accepted after so many nanoseconds.
#[inline(always)]
fn waited(key: &StatKey, time: u64) -> Option<()> {
    let stats = stats_of(key, core::ptr::null())?;
    // SAFETY: fields of a map value at hand.
    unsafe {
        add(&raw mut (*stats).accepted, 1);
        if time > (*stats).wait_max_ns {
            (*stats).wait_max_ns = time;
        }
    }
    let key = &StatKey {
        generation: generation::now(),
        ..*key
    };
    let mut waits = WAITS.get_ptr_mut(key);
    if waits.is_none() {
        let none = NO_WAITS.get_ptr(0)?;
        // SAFETY: a map value that is never written to.
        if WAITS.insert(key, unsafe { &*none }, BPF_NOEXIST).is_ok() {
            generation::made(Of::Waits);
        }
        waits = WAITS.get_ptr_mut(key);
    }
    let Some(waits) = waits else {
        note(Noted::StatsFull);
        return None;
    };
    let step = wait::step(time);
    if step < wait::STEPS {
        // SAFETY: within the value.
        add_small(unsafe { &raw mut (*waits).steps[step] }, 1);
    }
    Some(())
}

/// A connection is closed: where its listener is gone, nobody will accept it.
#[inline(always)]
pub(crate) fn closed(child: u64) -> Option<()> {
    let waiting = WAITING.get_ptr(&child)?;
    // SAFETY: as in `accepted`.
    let listener = unsafe { (*waiting).listener() };
    if !listener.is_there() {
        let _ = WAITING.remove(&child);
    }
    Some(())
}

//! The heart: what the kernel decided about one packet, read from the kernel's
//! own counters.
//!
//! From the moment a packet enters a listener until it leaves, bottom halves
//! are off on this CPU, so nothing else moves this CPU's counters: the
//! difference between the two readings *is* the decision. Queue lengths
//! illustrate it; they do not decide.

use aya_ebpf::{
    btf_maps::{PerCpuArray, PerCpuHashMap},
    macros::btf_map,
};
use probe_common::{ABSENT, NetnsSums, SumKey, counter, flag, hook, room};

use crate::{
    attempt,
    config::{self, HAVE_CAST, NET_STATISTICS, PASSIVE_OPENS, WARN_PERCENT},
    emit::emit,
    event::Detail,
    generation::{self, Of},
    health::{Noted, add, note},
    kernel::{self, Headers, Ptr},
    listener_id::Listener,
    mib::{Netns, Reading},
    stats::{self, Queues, Seen},
};

/// Where the address of a packet was: it is decided about, and will be freed without a tracepoint.
const DECIDED: u64 = 1;

/// The packet that is inside a listener on this CPU.
#[repr(C)]
pub(crate) struct Frame {
    /// Address of the skb (or request) that opened the frame; 0 when closed.
    key: u64,
    /// At the hook that sees a packet on its whole way: what tells it from the
    /// next one at its address, as [`Headers::mark`].
    mark: u64,
    /// Raised at each opening.
    generation: u64,
    /// What makes this CPU's address of a per-CPU pointer; 0 until it is known.
    cpu_offset: u64,
    net: u64,
    /// The namespace's `struct linux_mib`, and this CPU's one.
    statistics: u64,
    mib: u64,
    pub sock: u64,
    pub skb: u64,
    /// A request at hand instead of a packet.
    pub request: u64,
    pub cookie: u64,
    /// The connection that the listener has made of the packet, 0 without one:
    /// as `inet_sock_set_state` tells it, or as the function at hand returns it.
    child: u64,
    /// Where this CPU's PassiveOpens is (connections that listeners have made,
    /// net/ipv4/tcp_minisocks.c:tcp_create_openreq_child), and what it was before,
    /// at the hook that sees a packet on its whole way.
    opens_at: u64,
    opens: u64,
    before: Reading,
    after: Reading,
    seen: Seen,
    /// How far each counter moved, once the frame is closed and any did.
    pub moved: [u8; counter::SLOTS],
    pub netns: u32,
    pub hook: u8,
    /// 1 once the connection is known, or counted.
    has_child: u8,
}

#[btf_map]
static FRAME: PerCpuArray<Frame, 1> = PerCpuArray::new();

/// How far the counters of each namespace moved inside the hooks.
#[btf_map]
static SUMS: PerCpuHashMap<SumKey, NetnsSums, { room::SUMS }> = PerCpuHashMap::new();

const BPF_NOEXIST: u64 = 1;

impl Frame {
    #[inline(always)]
    const fn listener(&self) -> Listener {
        Listener {
            sock: self.sock,
            cookie: self.cookie,
            netns: self.netns,
        }
    }

    /// Whether these are of another packet at the address of the one that came, whose free was
    /// not seen: some are freed without a tracepoint (5.10: net/ipv4/tcp_input.c:tcp_drop).
    #[inline(always)]
    fn is_of_another(&self, headers: &Headers) -> bool {
        self.hook == hook::INGRESS && headers.mark() != self.mark
    }

    /// The namespace may have gone since; its memory may be another's now.
    #[inline(always)]
    fn has_namespace(&self) -> bool {
        let net = self.net as Ptr;
        let statistics: u64 = kernel::read(net, NET_STATISTICS.load());
        statistics == self.statistics && kernel::inum_of(net) == self.netns
    }

    /// Whether the listener has made a connection of the packet that
    /// `inet_sock_set_state` did not tell of, since the kernel skipped both programs there.
    #[inline(always)]
    fn has_unseen_child(&self) -> bool {
        self.hook == hook::INGRESS
            && self.has_child == 0
            && kernel::read::<u64>(self.opens_at as Ptr, 0) != self.opens
    }

    /// A packet leaves the listener: how long have its queues become?
    #[inline(always)]
    fn left(&mut self, generation: u64) {
        let queues = Queues::of(self.sock as Ptr);
        if WARN_PERCENT.load() != 0 || !self.seen.has(&self.listener(), &queues) {
            self.grown(&queues, generation);
        }
    }

    #[inline(never)]
    fn grown(&mut self, queues: &Queues, generation: u64) {
        let listener = self.listener();
        stats::left(&listener, queues, &mut self.seen);
        if self.generation() != generation {
            // Interrupted by another packet, which has seen its own listener.
            self.seen.forget();
        }
    }

    /// A connection has entered the accept queue; 0 where it is not known which.
    #[inline(never)]
    fn queued(&self, child: u64) {
        stats::queued(&self.listener(), child);
    }

    #[inline(always)]
    fn generation(&self) -> u64 {
        // SAFETY: a field of a map value at hand, which another program may change in between.
        unsafe { (&raw const self.generation).read_volatile() }
    }
}

/// Who enters: `sock` is the listener, and either a packet or a request.
pub(crate) struct Enter {
    pub hook: u8,
    pub sock: Ptr,
    pub skb: Ptr,
    pub request: Ptr,
    pub cookie: u64,
    pub netns: Netns,
    /// Of [`hook::INGRESS`], as [`Headers::mark`].
    pub mark: u64,
}

/// The frame, and its generation before anything of it is looked at.
#[inline(always)]
fn current() -> Option<(&'static mut Frame, u64)> {
    let frame = FRAME.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's own. Programs at listeners run with bottom
    // halves off, one at a time; one at the free of a packet may be interrupted
    // by them, which the generation tells.
    let frame = unsafe { &mut *frame };
    let generation = frame.generation();
    Some((frame, generation))
}

/// A packet enters a listener: remember the counters.
#[inline(always)]
pub(crate) fn open(enter: Enter) -> Option<()> {
    let (frame, generation) = current()?;
    let key = if enter.skb.is_null() {
        enter.request as u64
    } else {
        enter.skb as u64
    };
    if frame.key != 0 {
        // Also where the keys are the same: an address is no identity.
        close_frame(frame, generation, Closed::late(enter.hook == hook::INGRESS));
    }
    frame.generation = generation + 1;
    if frame.cpu_offset == 0 {
        frame.cpu_offset = kernel::cpu_offset();
    }
    let netns = enter.netns;
    frame.net = netns.net as u64;
    frame.netns = netns.inum;
    // To the verifier these may be pointers, with which it allows no arithmetic: as numbers they come back.
    let (statistics, opens) = (&raw mut frame.statistics, &raw mut frame.opens_at);
    // SAFETY: fields of a map value at hand.
    let (statistics, opens) = unsafe {
        statistics.write_volatile(netns.statistics);
        opens.write_volatile(netns.tcp_statistics);
        (statistics.read_volatile(), opens.read_volatile())
    };
    if frame.cpu_offset == 0 || statistics == 0 {
        note(Noted::Unreadable);
        return None;
    }
    frame.mib = statistics.wrapping_add(frame.cpu_offset);
    frame.sock = enter.sock as u64;
    frame.skb = enter.skb as u64;
    frame.request = enter.request as u64;
    frame.cookie = enter.cookie;
    frame.child = 0;
    frame.has_child = 0;
    if enter.hook == hook::INGRESS {
        frame.opens_at = match PASSIVE_OPENS.load() {
            ABSENT => 0,
            at => opens.wrapping_add(frame.cpu_offset).wrapping_add(at.into()),
        };
        frame.opens = kernel::read(frame.opens_at as Ptr, 0);
        frame.mark = enter.mark;
    }
    frame.hook = enter.hook;
    frame.before.take(frame.mib as Ptr);
    frame.key = key;
    Some(())
}

/// A frame that nobody closed is closed before something else is measured.
#[inline(always)]
pub(crate) fn flush() -> Option<()> {
    let (frame, generation) = current()?;
    if frame.key != 0 {
        close_frame(frame, generation, Closed::late(false));
    }
    Some(())
}

/// The function that opened the frame returns, with the connection it has put
/// into the accept queue where it returns that: `None` where it never does.
#[inline(always)]
pub(crate) fn close_hook(hook: u8, returned: Option<u64>) -> Option<()> {
    let (frame, generation) = current()?;
    if frame.key != 0 && frame.hook == hook {
        if let Some(child) = returned {
            // The listener itself is returned for a segment that it shall look at.
            frame.child = if child == frame.sock { 0 } else { child };
        }
        close_frame(frame, generation, Closed::in_time(false));
    }
    Some(())
}

/// A packet is freed: was it the one that opened the frame?
#[inline(always)]
pub(crate) fn close_packet(skb: u64) -> Option<()> {
    let (frame, generation) = current()?;
    if frame.key != 0 && frame.key == skb {
        close_frame(frame, generation, Closed::in_time(true));
    }
    Some(())
}

/// Whether the packet is inside a listener that has just found its accept queue full.
#[inline(always)]
pub(crate) fn has_overflown(skb: Ptr) -> bool {
    let Some((frame, _)) = current() else {
        return false;
    };
    let slot = counter::LISTEN_OVERFLOWS;
    let now: u64 = kernel::read(frame.mib as Ptr, config::item(&config::MIB_OFFSET, slot));
    !skb.is_null() && frame.key == skb as u64 && now != frame.before.of(slot)
}

/// A listener makes a connection of the packet that is inside.
#[inline(always)]
pub(crate) fn child_made(child: Ptr) -> Option<()> {
    let (frame, _) = current()?;
    if frame.key != 0 {
        frame.child = child as u64;
        frame.has_child = 1;
    }
    Some(())
}

/// A connection that was never established is closed: it has not entered the accept queue.
#[inline(always)]
pub(crate) fn child_undone(child: Ptr) -> Option<()> {
    let (frame, _) = current()?;
    if frame.child == child as u64 {
        frame.child = 0;
    }
    Some(())
}

/// A connection is established: it has entered the accept queue a moment ago.
#[inline(always)]
pub(crate) fn child_established(child: Ptr) -> Option<()> {
    let (frame, generation) = current()?;
    if frame.key != 0 && (frame.child == child as u64 || frame.has_unseen_child()) {
        frame.child = 0;
        frame.has_child = 1;
        frame.left(generation);
        frame.queued(child as u64);
        // The listener has decided. What moves from now on is found late, whatever
        // has the packet's address by then.
        if frame.generation() == generation {
            frame.key = DECIDED;
        }
    }
    Some(())
}

/// How a frame is closed. Constants where it is used, so that a program carries its own part only.
struct Closed {
    /// When another packet came.
    late: bool,
    /// By the hooks that see a packet on its whole way.
    ingress: bool,
}

impl Closed {
    #[inline(always)]
    const fn late(ingress: bool) -> Self {
        Self {
            late: true,
            ingress,
        }
    }

    #[inline(always)]
    const fn in_time(ingress: bool) -> Self {
        Self {
            late: false,
            ingress,
        }
    }
}

#[inline(always)]
fn close_frame(frame: &mut Frame, generation: u64, closed: Closed) {
    frame.key = 0;
    if closed.late && !frame.has_namespace() {
        return;
    }
    // Packets are also freed in process context. If a packet came to a listener
    // between the look at the key and here, it has closed the frame that was
    // meant and counted it, and what was read since is its own.
    let told = if frame.before.has_moved(frame.mib as Ptr, &mut frame.after) {
        something_moved(frame, generation, closed.late)
    } else if frame.generation() != generation {
        Told::Nothing
    } else if closed.late {
        Told::Late
    } else {
        Told::InTime
    };
    if told == Told::Nothing {
        return;
    }
    // The first part is known where this is used.
    if !closed.late && told == Told::InTime {
        frame.left(generation);
    }
    let child = core::mem::replace(&mut frame.child, 0);
    if child != 0 || closed.ingress && frame.has_unseen_child() {
        frame.queued(child);
    }
}

/// What a frame that is closed was good for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Told {
    /// Another packet came in between, or the namespace has gone.
    Nothing,
    /// Whatever has moved: client and listener may be others by now.
    Late,
    InTime,
}

/// Tells what the listener decided, if it did. A function of its own, away from
/// what every packet runs through.
#[inline(never)]
fn something_moved(frame: &mut Frame, generation: u64, late: bool) -> Told {
    if HAVE_CAST.load() == 1 {
        // Elsewhere it was read to find that something moved.
        frame.after.take(frame.mib as Ptr);
    }
    // No branch in this loop: each would double what an old verifier walks through.
    let (mut any, mut decisive) = (0, 0);
    let mut slot = 0;
    while slot < counter::SLOTS {
        let moved = frame.after.of(slot).wrapping_sub(frame.before.of(slot));
        frame.moved[slot] = moved as u8;
        any |= moved;
        if slot < counter::DECISIVE {
            decisive |= moved;
        }
        slot += 1;
    }
    let headers = kernel::headers_of(frame.skb as Ptr).unwrap_or(Headers::NONE);
    let is_anothers = !late && frame.is_of_another(&headers);
    if frame.generation() != generation || is_anothers && !frame.has_namespace() {
        return Told::Nothing;
    }
    let late = late || is_anothers;
    if any > u64::from(u8::MAX) {
        note(Noted::Unreadable);
    } else if decisive != 0 {
        if late {
            note(Noted::Late);
        }
        decision(
            frame,
            if late { flag::LATE } else { 0 },
            if late { Headers::NONE } else { headers },
        );
    }
    if late { Told::Late } else { Told::InTime }
}

/// A packet left a listener and at least one decisive counter moved.
#[inline(always)]
fn decision(frame: &Frame, flags: u16, headers: Headers) {
    add_sums(frame.netns, &frame.moved);
    // The packet and the listener of a late frame may be freed memory by now.
    let known = flags & flag::LATE == 0;
    let only_if_known = |address: u64| if known { address } else { 0 };
    let detail = Detail {
        hook: frame.hook,
        flags,
        netns: frame.netns,
        sock: only_if_known(frame.sock) as Ptr,
        cookie: only_if_known(frame.cookie),
        headers,
        request: only_if_known(frame.request) as Ptr,
        reason: 0,
    };
    attempt::refused(&detail, &frame.moved);
    emit(&detail, &frame.moved);
}

#[inline(always)]
fn add_sums(netns: u32, moved: &[u8; counter::SLOTS]) {
    let key = SumKey {
        netns,
        generation: generation::now(),
    };
    let mut sums = SUMS.get_ptr_mut(&key);
    if sums.is_none() {
        let zero = NetnsSums {
            moved: [0; counter::SLOTS],
        };
        if SUMS.insert(&key, zero, BPF_NOEXIST).is_ok() {
            generation::made(Of::Sums);
        }
        sums = SUMS.get_ptr_mut(&key);
    }
    let Some(sums) = sums else {
        return note(Noted::SumsFull);
    };
    let mut slot = 0;
    while slot < counter::SLOTS {
        // SAFETY: this CPU's value, which nobody removes while a program may hold it (`generation`).
        add(
            unsafe { &raw mut (*sums).moved[slot] },
            u64::from(moved[slot]),
        );
        slot += 1;
    }
}

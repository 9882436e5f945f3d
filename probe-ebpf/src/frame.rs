//! The heart: what the kernel decided about one packet, read from the kernel's
//! own counters.
//!
//! `NET_INC_STATS` is `this_cpu_inc(net->mib.net_statistics->mibs[i])` on
//! 64-bit kernels (include/net/snmp.h, 5.10 to 7.2). From the moment a packet
//! enters a listener until it leaves, bottom halves are off on this CPU, so
//! nothing else moves this CPU's words: the difference between the two
//! readings *is* the decision. Queue lengths illustrate it; they do not decide.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use probe_common::{counter, flag, hook};

use crate::{
    config,
    emit::{self, Noted, note},
    kernel::{self, Ptr},
    stats::{self, Listener},
};

/// The packet that is inside a listener on this CPU.
#[repr(C)]
pub struct Frame {
    /// Address of the skb (or request) that opened the frame; 0 when closed.
    key: u64,
    /// Raised at each opening.
    generation: u64,
    /// This CPU's `struct linux_mib` of the namespace.
    mib: u64,
    net: u64,
    pub sock: u64,
    pub skb: u64,
    /// A request at hand instead of a packet.
    pub request: u64,
    pub cookie: u64,
    /// The connection that the listener has made of the packet, 0 without one:
    /// as `inet_sock_set_state` tells it, or as the function at hand returns it.
    child: u64,
    /// PassiveOpens before, at the hook that sees a packet on its whole way.
    opens: u64,
    before: [u64; counter::SLOTS],
    /// How far each counter moved, once the frame is closed.
    pub moved: [u8; counter::SLOTS],
    pub netns: u32,
    pub hook: u8,
    /// 1 once the connection is known, or counted.
    has_child: u8,
}

#[btf_map]
static FRAME: PerCpuArray<Frame, 1> = PerCpuArray::new();

impl Frame {
    #[inline(always)]
    const fn listener(&self) -> Listener {
        Listener {
            sock: self.sock,
            cookie: self.cookie,
            netns: self.netns,
        }
    }

    /// Whether the listener has made a connection of the packet that
    /// `inet_sock_set_state` did not tell of, since the kernel skipped both programs there.
    #[inline(always)]
    fn has_unseen_child(&self) -> bool {
        self.hook == hook::INGRESS
            && self.has_child == 0
            && kernel::passive_opens(self.net as Ptr) != self.opens
    }
}

/// Who enters: `sock` is the listener, and either a packet or a request.
pub struct Enter {
    pub hook: u8,
    pub sock: Ptr,
    pub skb: Ptr,
    pub request: Ptr,
    pub cookie: u64,
}

/// The frame, and its generation before anything of it is looked at.
#[inline(always)]
fn current() -> Option<(&'static mut Frame, u64)> {
    let frame = FRAME.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's own. Programs at listeners run with bottom
    // halves off, one at a time; one at the free of a packet may be interrupted
    // by them, which the generation tells.
    unsafe {
        let generation = (&raw const (*frame).generation).read_volatile();
        Some((&mut *frame, generation))
    }
}

/// A packet enters a listener: remember the counters.
#[inline(always)]
pub fn open(enter: Enter) -> Option<()> {
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
    let net = kernel::net_of(enter.sock);
    let mib = kernel::mib_of(net);
    if mib == 0 {
        note(Noted::Unreadable);
        return None;
    }
    frame.mib = mib;
    frame.net = net as u64;
    frame.netns = kernel::inum_of(net);
    frame.sock = enter.sock as u64;
    frame.skb = enter.skb as u64;
    frame.request = enter.request as u64;
    frame.cookie = enter.cookie;
    frame.child = 0;
    frame.has_child = 0;
    frame.opens = if enter.hook == hook::INGRESS {
        kernel::passive_opens(net)
    } else {
        0
    };
    frame.hook = enter.hook;
    let mut slot = 0;
    while slot < counter::SLOTS {
        frame.before[slot] = kernel::read(mib as Ptr, config::mib(slot));
        slot += 1;
    }
    frame.key = key;
    Some(())
}

/// A frame that nobody closed is closed before something else is measured.
#[inline(always)]
pub fn flush() -> Option<()> {
    let (frame, generation) = current()?;
    if frame.key != 0 {
        close_frame(frame, generation, Closed::late(false));
    }
    Some(())
}

/// The function that opened the frame returns, with the connection it has put
/// into the accept queue where it returns that: `None` where it never does.
#[inline(always)]
pub fn close_hook(hook: u8, returned: Option<u64>) -> Option<()> {
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
pub fn close_packet(skb: u64) -> Option<()> {
    let (frame, generation) = current()?;
    if frame.key != 0 && frame.key == skb {
        close_frame(frame, generation, Closed::in_time(true));
    }
    Some(())
}

/// Whether the packet is inside a listener that has just found its accept queue full.
#[inline(always)]
pub fn has_overflown(skb: Ptr) -> bool {
    let Some((frame, _)) = current() else {
        return false;
    };
    let slot = counter::LISTEN_OVERFLOWS;
    let now: u64 = kernel::read(frame.mib as Ptr, config::mib(slot));
    !skb.is_null() && frame.key == skb as u64 && now != frame.before[slot]
}

/// A listener makes a connection of the packet that is inside.
#[inline(always)]
pub fn child_made(child: Ptr) -> Option<()> {
    let (frame, _) = current()?;
    if frame.key != 0 {
        frame.child = child as u64;
        frame.has_child = 1;
    }
    Some(())
}

/// A connection that was never established is closed: it has not entered the accept queue.
#[inline(always)]
pub fn child_undone(child: Ptr) -> Option<()> {
    let (frame, _) = current()?;
    if frame.child == child as u64 {
        frame.child = 0;
    }
    Some(())
}

/// A connection is established: it has entered the accept queue a moment ago.
#[inline(always)]
pub fn child_established(child: Ptr) -> Option<()> {
    let (frame, _) = current()?;
    if frame.key != 0 && (frame.child == child as u64 || frame.has_unseen_child()) {
        frame.child = 0;
        frame.has_child = 1;
        stats::left(&frame.listener());
        stats::queued(&frame.listener(), child as u64);
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
    let late = closed.late;
    frame.key = 0;
    if late {
        // The namespace may have gone since; its memory may be another's now.
        let net = frame.net as Ptr;
        if kernel::mib_of(net) != frame.mib || kernel::inum_of(net) != frame.netns {
            return;
        }
    }
    // No branch in this loop: each would double what an old verifier walks through.
    let (mut any, mut decisive) = (0, 0);
    let mut slot = 0;
    while slot < counter::SLOTS {
        let after: u64 = kernel::read(frame.mib as Ptr, config::mib(slot));
        let moved = after.wrapping_sub(frame.before[slot]);
        frame.moved[slot] = moved as u8;
        any |= moved;
        if slot < counter::DECISIVE {
            decisive |= moved;
        }
        slot += 1;
    }
    // Packets are also freed in process context. If a packet came to a listener
    // between the look at the key and here, it has closed the frame that was
    // meant and counted it, and what was read since is its own.
    // SAFETY: a field of a map value at hand.
    if unsafe { (&raw const frame.generation).read_volatile() } != generation {
        return;
    }
    if any > u64::from(u8::MAX) {
        note(Noted::Unreadable);
    } else if decisive != 0 {
        if late {
            note(Noted::Late);
        }
        emit::decision(frame, if late { flag::LATE } else { 0 });
    }
    let child = core::mem::replace(&mut frame.child, 0);
    let came = child != 0 || closed.ingress && frame.has_unseen_child();
    if !late {
        stats::left(&frame.listener());
    }
    if came {
        stats::queued(&frame.listener(), child);
    }
}

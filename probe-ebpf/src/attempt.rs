//! Attempts that were refused and may make it yet, so that a connection is told
//! of whose client had to try again. A listener that refuses nobody costs a
//! look into an empty map for each connection, and that only where it is asked for.

use aya_ebpf::{btf_maps::LruHashMap, helpers::bpf_ktime_get_ns, macros::btf_map};
use probe_common::{Connected, REFUSED_AT_MOST, SAME_ATTEMPT, counter, hook};

use crate::{
    config::{STORIES, TCP_COPIED_SEQ},
    emit,
    event::{Detail, OfListener},
    health::add_small,
    kernel::{self, Ptr},
    listener_id::Listener,
};

const BPF_ANY: u64 = 0;

/// Who attempts to connect to what.
#[repr(C)]
struct Attempt {
    remote: [u8; 16],
    /// The last four bytes of this host's address.
    local: u32,
    netns: u32,
    /// The other end's in the upper half.
    ports: u32,
}

#[repr(C)]
struct Refused {
    first_ns: u64,
    /// The client's initial sequence number; of a segment after the SYN what it would be if it were the first.
    isn: u32,
    refusals: u32,
}

#[btf_map]
static REFUSED: LruHashMap<Attempt, Refused, { REFUSED_AT_MOST as usize }> = LruHashMap::new();

const fn ports((local, remote): (u16, u16)) -> u32 {
    (remote as u32) << 16 | local as u32
}

/// A listener has decided about a packet: was it refused?
#[inline(always)]
pub(crate) fn refused(detail: &Detail, moved: &[u8; counter::SLOTS]) -> Option<()> {
    let is_refusal = moved[counter::LISTEN_OVERFLOWS]
        | moved[counter::LISTEN_DROPS]
        | moved[counter::REQQ_FULL_DROP];
    if is_refusal == 0 {
        return None;
    }
    lost(detail)
}

/// A segment of an attempt came to nothing.
#[inline(always)]
pub(crate) fn lost(detail: &Detail) -> Option<()> {
    if STORIES.load() == 0 {
        return None;
    }
    let headers = detail.headers.some()?;
    let mut key = Attempt {
        remote: [0; 16],
        local: 0,
        netns: detail.netns,
        ports: ports(headers.ports()),
    };
    key.local = headers.mapped_ends(&mut key.remote);
    let is_syn = headers.is_syn();
    let isn = headers.seq().wrapping_sub(u32::from(!is_syn));
    if let Some(known) = REFUSED.get_ptr_mut(&key) {
        // SAFETY: a map value, whose words are read and added to whole.
        unsafe {
            let ahead = isn.wrapping_sub((*known).isn);
            if ahead == 0 || !is_syn && ahead.wrapping_add(SAME_ATTEMPT) < 2 * SAME_ATTEMPT {
                add_small(&raw mut (*known).refusals, 1);
                return None;
            }
        }
    }
    let first = Refused {
        // SAFETY: the helper has no preconditions.
        first_ns: unsafe { bpf_ktime_get_ns() },
        isn,
        refusals: 1,
    };
    let _ = REFUSED.insert(&key, first, BPF_ANY);
    Some(())
}

/// A connection entered the accept queue: had its attempt been refused before?
#[inline(always)]
pub(crate) fn connected(listener: &Listener, child: Ptr) -> Option<()> {
    if STORIES.load() == 0 {
        return None;
    }
    let mut key = Attempt {
        remote: [0; 16],
        local: 0,
        netns: listener.netns,
        ports: ports(kernel::ports_of(child)),
    };
    key.local = kernel::mapped_ends_of(child, &mut key.remote);
    let known = REFUSED.get_ptr(&key)?;
    // SAFETY: a map value, read whole.
    let (first_ns, isn, refusals) = unsafe { ((*known).first_ns, (*known).isn, (*known).refusals) };
    if REFUSED.remove(&key).is_err() {
        return None;
    }
    // What nobody has read yet begins after the SYN (net/ipv4/tcp_minisocks.c:tcp_create_openreq_child,
    // 5.10 to 7.2): another number is another attempt from the same port, which was not refused.
    let began = kernel::read::<u32>(child, TCP_COPIED_SEQ.load()).wrapping_sub(1);
    if isn.wrapping_sub(began) >= SAME_ATTEMPT && TCP_COPIED_SEQ.load() != probe_common::ABSENT {
        return None;
    }
    let sock = if listener.is_there() {
        listener.sock as Ptr
    } else {
        core::ptr::null()
    };
    let event = OfListener {
        hook: hook::CONNECTED,
        flags: 0,
        sock,
        netns: listener.netns,
        cookie: listener.cookie,
        counted_by: listener.key().listener,
    };
    emit::of_listener(&event, |connected: &mut Connected| {
        kernel::fill_ends(&mut connected.ends, child);
        connected.first_ns = first_ns;
        connected.isn = isn;
        connected.refusals = refusals;
    });
    Some(())
}

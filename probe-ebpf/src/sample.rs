//! Which records are left out on purpose when one count moves thousands of
//! times a second: beyond the share of the ring that it has each second, all
//! but the first of every client. What is left out is counted, and so are the
//! clients that it came from.

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use probe_common::{CLIENT_FORGOTTEN_NS, CLIENTS_AT_MOST, ClientKey, CountKey};

use crate::{
    config::DETAIL_PER_SECOND,
    event::Detail,
    health::{Noted, note},
    kernel,
};

const SECOND: u64 = 1_000_000_000;

const BPF_NOEXIST: u64 = 1;

/// What one count has had of the ring in its current second. CPUs share it
/// without a lock: what they lose to each other is more detail, not less.
#[repr(C)]
struct Share {
    second_began: u64,
    taken: u64,
}

/// Where there are more, one that is forgotten has its share of a second twice.
#[btf_map]
static SHARES: LruHashMap<CountKey, Share, 4096> = LruHashMap::new();

/// A client of one count.
#[repr(C)]
pub(crate) struct Client {
    last_ns: u64,
    /// The user side's period in which an event of it was last left out.
    period: u64,
}

#[btf_map]
static CLIENTS: HashMap<ClientKey, Client, CLIENTS_AT_MOST> = HashMap::new();

/// The user side's period: it begins a new one when it has told what was left out.
#[btf_map]
static PERIOD: Array<u64, 1> = Array::new();

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    LeftOut,
    /// The first of its client that is left out in this period.
    LeftOutFirst,
}

/// Whether this event's record is to be left out; notes its client.
#[inline(always)]
pub(crate) fn decide(key: &CountKey, detail: &Detail) -> Verdict {
    let limit = u64::from(DETAIL_PER_SECOND.load());
    if limit == 0 {
        return Verdict::Kept;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let is_over = takes_more_than(limit, key, now);
    let mut client = ClientKey {
        count: *key,
        addr: [0; 16],
    };
    let addr = &raw mut client.addr;
    if let Some(headers) = detail.headers.some() {
        headers.copy_remote(addr);
    } else if !detail.request.is_null() {
        kernel::copy_remote(detail.request, addr);
    } else {
        kernel::copy_remote(detail.sock, addr);
    }
    let Some(known) = CLIENTS.get_ptr_mut(&client) else {
        let new = Client {
            last_ns: now,
            period: u64::MAX,
        };
        if CLIENTS.insert(&client, new, BPF_NOEXIST).is_ok() {
            note(Noted::ClientNew);
            return Verdict::Kept;
        }
        if is_over {
            note(Noted::ClientsFull);
            return Verdict::LeftOut;
        }
        return Verdict::Kept;
    };
    // SAFETY: a map value; its words are read and written whole.
    let is_new = unsafe {
        let last = core::ptr::replace(&raw mut (*known).last_ns, now);
        now.wrapping_sub(last) > CLIENT_FORGOTTEN_NS && last < now
    };
    if !is_over || is_new {
        return Verdict::Kept;
    }
    let Some(period) = PERIOD.get_ptr(0) else {
        return Verdict::LeftOut;
    };
    // SAFETY: as above. Two CPUs at once may both be the first: one client too many, seldom.
    unsafe {
        let period = period.read_volatile();
        if core::ptr::replace(&raw mut (*known).period, period) == period {
            Verdict::LeftOut
        } else {
            Verdict::LeftOutFirst
        }
    }
}

/// Takes one of the share of this second; `true` when there was none left.
#[inline(always)]
fn takes_more_than(limit: u64, key: &CountKey, now: u64) -> bool {
    let Some(share) = SHARES.get_ptr_mut(key) else {
        let first = Share {
            second_began: now,
            taken: 1,
        };
        let _ = SHARES.insert(key, first, BPF_NOEXIST);
        return false;
    };
    // SAFETY: as in `decide`.
    unsafe {
        let age = now.wrapping_sub((*share).second_began);
        // A negative age is that of a second which another CPU has just begun.
        if (SECOND..1 << 63).contains(&age) {
            (*share).second_began = now;
            (*share).taken = 0;
        }
        (*share).taken += 1;
        (*share).taken > limit
    }
}

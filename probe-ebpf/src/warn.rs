//! Early warning: a queue that passes a share of its room begins an episode, which
//! ends when it is below half of that share (`probe_common::share`). Each is told of once when
//! it begins and once when it ends, whichever CPU sees it first.

use aya_ebpf::{btf_maps::HashMap, helpers::bpf_ktime_get_ns, macros::btf_map};
use probe_common::{Episode, EpisodeKey, Pressure, StatKey, flag, hook, share};

use crate::{
    config::{ICSK_QLEN, SK_ACK_BACKLOG, SK_MAX_ACK_BACKLOG, WARN_PERCENT},
    emit,
    event::OfListener,
    health::{Noted, note},
    kernel::{self, Ptr},
};

#[btf_map]
static EPISODES: HashMap<EpisodeKey, Episode, 4096> = HashMap::new();

const BPF_NOEXIST: u64 = 1;

/// A queue was seen to be so long.
#[inline(always)]
fn seen(key: &StatKey, sock: Ptr, queue: u16, len: u32, limit: u32) {
    let percent = WARN_PERCENT.load();
    let is_near = share::is_near(len, limit, percent);
    let is_low = share::is_low(len, limit, percent);
    let key = EpisodeKey {
        listener: key.listener,
        netns: key.netns,
        queue: u32::from(queue),
    };
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    match EPISODES.get_ptr_mut(&key) {
        None if is_near => {
            let begun = Episode {
                since_ns: now,
                peak: len,
                limit,
            };
            if EPISODES.insert(&key, begun, BPF_NOEXIST).is_ok() {
                tell(&key, sock, queue, len, 0);
            } else if EPISODES.get_ptr(&key).is_none() {
                note(Noted::StatsFull);
            }
        }
        None => {}
        Some(episode) => {
            // SAFETY: a map value; what another CPU writes meanwhile is a peak as well.
            let (since, peak) = unsafe {
                if len > (*episode).peak {
                    (*episode).peak = len;
                    (*episode).limit = limit;
                }
                ((*episode).since_ns, (*episode).peak)
            };
            // Who removes it tells of its end.
            if is_low && EPISODES.remove(&key).is_ok() {
                tell(
                    &key,
                    sock,
                    queue | flag::EASED,
                    peak,
                    now.wrapping_sub(since),
                );
            }
        }
    }
}

#[inline(always)]
fn tell(key: &EpisodeKey, sock: Ptr, flags: u16, peak: u32, lasted_ns: u64) {
    let event = OfListener {
        hook: hook::PRESSURE,
        flags,
        sock,
        netns: key.netns,
        cookie: kernel::cookie_of(sock),
        counted_by: key.listener,
    };
    emit::of_listener(&event, |pressure: &mut Pressure| {
        pressure.lasted_ns = lasted_ns;
        pressure.peak = peak;
    });
}

/// A listener is closed, and its episodes end with it.
#[inline(always)]
pub(crate) fn forget(listener: u64, netns: u32) {
    if WARN_PERCENT.load() == 0 {
        return;
    }
    for queue in [0, flag::SYN_QUEUE] {
        let key = EpisodeKey {
            listener,
            netns,
            queue: u32::from(queue),
        };
        let _ = EPISODES.remove(&key);
    }
}

/// Both queues of a listener, at each change that is seen.
#[inline(always)]
pub(crate) fn look(key: &StatKey, sock: Ptr) {
    if WARN_PERCENT.load() == 0 {
        return;
    }
    let limit = kernel::read(sock, SK_MAX_ACK_BACKLOG.load());
    // One body for both, so that it is in a program once.
    let mut queue = 0;
    while queue < 2 {
        let (which, offset) = if queue == 0 {
            (0, SK_ACK_BACKLOG.load())
        } else {
            (flag::SYN_QUEUE, ICSK_QLEN.load())
        };
        seen(key, sock, which, kernel::read(sock, offset), limit);
        queue += 1;
    }
}

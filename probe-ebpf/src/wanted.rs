//! Which records are wanted at all. What is left out here is counted like
//! everything else, and never takes room in the ring.

use aya_ebpf::{btf_maps::HashMap, macros::btf_map};
use probe_common::{WantedKey, state, wanted};

use crate::{
    config::{ONLY_LISTENERS, ONLY_NETNS},
    event::Detail,
    kernel::{self, Ptr},
};

/// Filled by the user side before anything is attached.
#[btf_map]
static WANTED: HashMap<WantedKey, u32, 256> = HashMap::new();

const ANY: [u8; 16] = [0; 16];

#[inline(always)]
fn of_port(port: u16) -> u32 {
    let key = WantedKey {
        addr: ANY,
        port: u32::from(port),
    };
    // SAFETY: a map value, read whole.
    WANTED.get_ptr(&key).map_or(0, |value| unsafe { *value })
}

/// Whether anybody wants a record about this listener.
#[inline(always)]
pub(crate) fn listener(netns: u32, sock: Ptr) -> bool {
    if ONLY_NETNS.load() != 0 && ONLY_NETNS.load() != netns {
        return false;
    }
    if ONLY_LISTENERS.load() == 0 {
        return true;
    }
    let port = kernel::port_of(sock);
    match of_port(port) {
        wanted::ALL => true,
        wanted::SOME => {
            let mut key = WantedKey {
                addr: ANY,
                port: u32::from(port),
            };
            kernel::copy_bound(sock, &raw mut key.addr);
            // Bound to no address it is found as the port itself.
            WANTED.get_ptr(&key).is_some()
        }
        _ => false,
    }
}

/// Whether anybody may want a record about this. Without a listener the ports
/// decide, and the user side looks at the addresses.
#[inline(always)]
pub(crate) fn any(detail: &Detail, sock_state: u8) -> bool {
    if ONLY_NETNS.load() == 0 && ONLY_LISTENERS.load() == 0 {
        return true;
    }
    if sock_state == state::LISTEN {
        return listener(detail.netns, detail.sock);
    }
    if ONLY_NETNS.load() != 0 && ONLY_NETNS.load() != detail.netns {
        return false;
    }
    if ONLY_LISTENERS.load() == 0 {
        return true;
    }
    let (local, remote) = if let Some(headers) = detail.headers.some() {
        headers.ports()
    } else if !detail.request.is_null() {
        kernel::ports_of(detail.request)
    } else if !detail.sock.is_null() {
        kernel::ports_of(detail.sock)
    } else {
        // Neither is known of what was found late: it is not for a filter to hide.
        return true;
    };
    of_port(local) | of_port(remote) != 0
}

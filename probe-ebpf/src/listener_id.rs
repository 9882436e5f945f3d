//! Which listener it is: its socket as long as that is known to be there, its cookie, its namespace.

use probe_common::{StatKey, state};

use crate::kernel::{self, Ptr};

/// The listener that a packet is inside of.
pub(crate) struct Listener {
    pub sock: u64,
    pub cookie: u64,
    pub netns: u32,
}

impl Listener {
    #[inline(always)]
    pub(crate) fn key(&self) -> StatKey {
        StatKey {
            listener: if self.cookie == 0 {
                self.sock
            } else {
                self.cookie
            },
            netns: self.netns,
            generation: 0,
        }
    }

    /// Whether it still listens: when its packet has gone, its address may be another listener's.
    #[inline(always)]
    pub(crate) fn is_there(&self) -> bool {
        let sock = self.sock as Ptr;
        kernel::state_of(sock) == state::LISTEN
            && kernel::inum_of(kernel::net_of(sock)) == self.netns
            && (self.cookie == 0 || kernel::cookie_of(sock) == self.cookie)
    }
}

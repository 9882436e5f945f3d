//! What an event is before it is counted: what a record says that does not have to be read from its socket.

use probe_common::counter;

use crate::kernel::{Headers, Ptr};

/// Everything of a record that does not depend on the socket being there.
pub(crate) struct Detail {
    pub hook: u8,
    pub flags: u16,
    pub netns: u32,
    pub sock: Ptr,
    pub cookie: u64,
    /// The packet that it is about.
    pub headers: Headers,
    /// The request that it is about, where there is no packet.
    pub request: Ptr,
    pub reason: u32,
}

/// An event of a listener itself: counted, and always in the ring if there is room.
pub(crate) struct OfListener {
    pub hook: u8,
    pub flags: u16,
    pub sock: Ptr,
    pub netns: u32,
    pub cookie: u64,
    /// What the counts know the listener by; 0 where they are not kept apart.
    pub counted_by: u64,
}

/// Of an event that no counter decides.
pub(crate) const NOTHING_MOVED: [u8; counter::SLOTS] = [0; counter::SLOTS];

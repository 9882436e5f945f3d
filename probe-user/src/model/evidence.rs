//! What decides what an event is: the same of a record and of a count.

use std::ops::BitOr;

use probe_common::{CountKey, Record};

/// What a record and a count have in common: all that decides what an event is, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// [`probe_common::hook`]
    pub hook: u8,
    /// [`probe_common::flag`]
    pub flags: u16,
    /// 0 without a socket.
    pub sock_state: u8,
    /// `enum sk_rst_reason` or `enum skb_drop_reason` of this kernel, 0 where it gives none.
    pub reason: u32,
    /// Bit n: counter slot n moved.
    pub moved: u16,
}

impl Evidence {
    /// Whether a counter moved, by its slot.
    pub const fn moved(&self, slot: usize) -> bool {
        self.moved >> slot & 1 == 1
    }

    /// Whether a flag is set ([`probe_common::flag`]).
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

impl From<&Record> for Evidence {
    fn from(record: &Record) -> Self {
        let bit = |(slot, moved): (usize, &u8)| u16::from(*moved != 0) << slot;
        Self {
            hook: record.hook,
            flags: record.flags,
            sock_state: record.sock_state,
            reason: record.reason,
            moved: record.moved.iter().enumerate().map(bit).fold(0, u16::bitor),
        }
    }
}

impl From<&CountKey> for Evidence {
    fn from(key: &CountKey) -> Self {
        Self {
            hook: key.hook,
            flags: key.flags,
            sock_state: key.sock_state,
            reason: u32::from(key.reason),
            moved: key.moved,
        }
    }
}

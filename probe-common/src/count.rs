//! Exact counts: what the kernel side counts each event under, and what else it keeps of events that have no record.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::counter;
#[cfg(doc)]
use crate::{Record, flag};

/// Key of the exact counts: which socket, where, what.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct CountKey {
    /// Socket cookie, or the socket's kernel address where it has none yet.
    pub listener: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Bit n: counter slot n moved.
    pub moved: u16,
    /// [`flag::COUNTED_APART`] of [`Record::flags`].
    pub flags: u16,
    /// Of a dropped packet: the kernel's reason.
    pub reason: u16,
    /// [`crate::hook`].
    pub hook: u8,
    /// [`crate::state`] of the socket, 0 without one.
    pub sock_state: u8,
    /// When it was counted, as the user side numbers it; 0 where it is no key of the maps.
    pub generation: u32,
}

/// Value of the exact counts, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct CountValue {
    /// Events seen.
    pub events: u64,
    /// Of these, events whose record found no room in the ring.
    pub shed: u64,
    /// Of these, events whose record was left out on purpose.
    pub sampled: u64,
    /// The clients that those came from: each once in every period of the user side.
    pub sampled_clients: u64,
}

/// Who is left out of the detail: one client address of one count.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct ClientKey {
    /// Which count.
    pub count: CountKey,
    /// As [`crate::Ends::remote_addr`].
    pub addr: [u8; 16],
}

/// A listener whose records are wanted, while only some are.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct WantedKey {
    /// As [`Record::bound_addr`]; all zeroes: the port alone, see [`wanted`].
    pub addr: [u8; 16],
    /// In host byte order.
    pub port: u32,
}

/// What is wanted of a port.
pub mod wanted {
    /// Some addresses, each a [`super::WantedKey`] of its own, and the unspecified one.
    pub const SOME: u32 = 1;
    /// Every address.
    pub const ALL: u32 = 2;
}

/// Key of [`NetnsSums`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct SumKey {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// As [`CountKey::generation`].
    pub generation: u32,
}

/// How far each counter moved in one namespace while the hooks watched, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct NetnsSums {
    /// By how much, by slot of [`counter`].
    pub moved: [u64; counter::SLOTS],
}

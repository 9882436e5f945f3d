//! What the kernel side and the user side of whydrop must agree on, and nothing else.
//!
//! Fixed-size `#[repr(C)]` records with explicit padding, constants instead of
//! Rust enums on the wire, and an ABI number that the loader compares with the
//! object's. No unsafe code, no allocation. The user side derives zerocopy's
//! traits (feature `user`), which refuse padding at compile time.
#![no_std]
#![forbid(unsafe_code)]

mod count;
pub mod counter;
pub mod flag;
pub mod hook;
mod record;
pub mod share;
mod stats;
pub mod wait;

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use self::{count::*, record::*, stats::*};

/// Raised whenever a record, a key or a constant below changes its meaning.
pub const ABI: u32 = 9;

/// The value of an offset that the running kernel's BTF does not have. Positive as a signed number,
/// since that is what an instruction of BPF has room for.
pub const ABSENT: u32 = i32::MAX as u32;

/// What the kernel side calls where it means the kernel's function `bpf_rdonly_cast`, whose number the loader puts in its
/// place. No helper has this number, and none will.
pub const CAST_CALL: i32 = 0x6b63_6173;

/// How long both sides remember that a listener was closed.
pub const CLOSED_REMEMBERED_NS: u64 = 60_000_000_000;

/// A client that was silent for so long is a new one while detail is sampled.
pub const CLIENT_FORGOTTEN_NS: u64 = 10_000_000_000;

/// Room for clients while detail is sampled.
pub const CLIENTS_AT_MOST: usize = 16_384;

/// Room for attempts that were refused and may make it yet.
pub const REFUSED_AT_MOST: u32 = 65_536;

/// Segments of one attempt begin at most so far from its first sequence number: what a client
/// may send before its window is scaled.
pub const SAME_ATTEMPT: u32 = 65_536;

/// Entries of the maps that are emptied from time to time, in both generations together.
pub mod room {
    /// Counts of what happened, by listener.
    pub const COUNTS: usize = 8192;
    /// The same by namespace, of listeners that find no room.
    pub const REST: usize = 1024;
    /// The same by what happened alone: these are never removed.
    pub const ANYWHERE: usize = 256;
    /// How far counters moved, by namespace.
    pub const SUMS: usize = 1024;
    /// Figures of listeners.
    pub const STATS: usize = 4096;
    /// How long connections waited, by listener.
    pub const WAITS: usize = 1024;
}

/// TCP flag bits as in byte 13 of the header.
pub mod tcp_flag {
    /// The sender has no more data.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Ends a connection at once, or refuses it.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// `sk->sk_state` values, fixed by the user-space ABI (`include/net/tcp_states.h`).
pub mod state {
    /// `TCP_ESTABLISHED`.
    pub const ESTABLISHED: u8 = 1;
    /// `TCP_SYN_SENT`.
    pub const SYN_SENT: u8 = 2;
    /// `TCP_SYN_RECV`.
    pub const SYN_RECV: u8 = 3;
    /// `TCP_TIME_WAIT`.
    pub const TIME_WAIT: u8 = 6;
    /// `TCP_CLOSE`.
    pub const CLOSE: u8 = 7;
    /// `TCP_LISTEN`.
    pub const LISTEN: u8 = 10;
    /// `TCP_NEW_SYN_RECV`: a request socket.
    pub const NEW_SYN_RECV: u8 = 12;
}

/// Address families, fixed by the user-space ABI.
pub mod family {
    /// `AF_INET`.
    pub const INET: u16 = 2;
    /// `AF_INET6`.
    pub const INET6: u16 = 10;
}

/// What the kernel side has to say about itself, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Health {
    /// Records that found no room in the ring.
    pub ring_full: u64,
    /// Events that found no room in the map of counts, and were counted without their listener.
    pub counts_full: u64,
    /// Events that found no room in the map of namespace sums.
    pub sums_full: u64,
    /// Packets whose leaving was noticed at the next packet only.
    pub late: u64,
    /// Counter readings that failed or made no sense, and were not counted.
    pub unreadable: u64,
    /// Records that were left out on purpose.
    pub sampled: u64,
    /// Clients that were met for the first time.
    pub clients_new: u64,
    /// Clients that found no room in the map of clients while detail was sampled.
    pub clients_full: u64,
    /// Records that nobody wanted: of other listeners and namespaces than were asked for.
    pub filtered: u64,
    /// Figures of listeners that found no room in their maps.
    pub stats_full: u64,
}

/// Entries that were made in the maps of [`room`], per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Made {
    /// In [`room::COUNTS`].
    pub counts: u64,
    /// In [`room::REST`] or [`room::ANYWHERE`].
    pub rest: u64,
    /// In [`room::SUMS`].
    pub sums: u64,
    /// In [`room::STATS`].
    pub stats: u64,
    /// In [`room::WAITS`].
    pub waits: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_size_the_documentation_gives() {
        assert_eq!(size_of::<Record>(), 144);
        assert_eq!(size_of::<CountKey>(), 24);
        assert_eq!(size_of::<ClientKey>(), 40);
        assert_eq!(size_of::<StatKey>(), 16);
        assert_eq!(size_of::<WantedKey>(), 20);
        assert_eq!(size_of::<ListenerStats>(), 72);
    }
}

//! What listeners go through: figures, waits and queues near their limits.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::wait;
#[cfg(doc)]
use crate::{CountKey, Record, flag};

/// Key of the figures of a listener.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct StatKey {
    /// As [`CountKey::listener`].
    pub listener: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// As [`CountKey::generation`].
    pub generation: u32,
}

/// What a listener goes through, per CPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct ListenerStats {
    /// Connections that entered the accept queue.
    pub established: u64,
    /// Of these, connections that accept(2) took out of it; 0 where no hook sees that.
    pub accepted: u64,
    /// The longest that one of these was in the queue.
    pub wait_max_ns: u64,
    /// `sk_ack_backlog` at most, and `sk_max_ack_backlog` at that moment.
    pub accept_queue_peak: u32,
    pub accept_queue_limit: u32,
    /// `icsk_accept_queue.qlen` at most, and `sk_max_ack_backlog` at that moment.
    pub syn_queue_peak: u32,
    pub syn_queue_limit: u32,
    /// Of the first packet's CPU only, 0 of the others: kernel address of the listener, and as
    /// [`Record::bound_addr`], [`Record::bound_port`] and [`Record::sock_family`].
    pub sock: u64,
    /// The address that it is bound to.
    pub bound_addr: [u8; 16],
    /// In host byte order.
    pub bound_port: u16,
    /// [`crate::family`].
    pub sock_family: u16,
    /// `tcp_sock.is_mptcp`.
    pub is_mptcp: u32,
}

/// Key of an [`Episode`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq, Hash)
)]
#[repr(C)]
pub struct EpisodeKey {
    /// As [`CountKey::listener`].
    pub listener: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// [`flag::SYN_QUEUE`], or 0 of the accept queue.
    pub queue: u32,
}

/// A queue that has passed the share of its limit that is warned of.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Episode {
    /// CLOCK_MONOTONIC.
    pub since_ns: u64,
    /// The longest that the queue was since.
    pub peak: u32,
    /// `sk_max_ack_backlog` when it passed the share.
    pub limit: u32,
}

/// How long connections waited in an accept queue: how many for each step of [`wait`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Waits {
    /// Connections, by step.
    pub steps: [u32; wait::STEPS],
}

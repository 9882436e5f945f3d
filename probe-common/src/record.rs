//! The record of one event, as it lies in the ring: what every event has, and a tail that its hook decides on.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::counter;
#[cfg(doc)]
use crate::{family, hook};

/// Length of a [`Tail`], and so of each struct that it may be.
pub const TAIL: usize = 56;

/// One event as the kernel side saw it. 144 bytes, no padding.
///
/// Addresses are in network order, IPv4 in the first four bytes; numbers are
/// in host order.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Record {
    /// `bpf_ktime_get_ns`, CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// Kernel address of the socket: its identity while `cookie` is 0.
    pub sock: u64,
    /// Socket cookie; 0 while nobody has asked for one.
    pub cookie: u64,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Which CPU the hook ran on.
    pub cpu: u32,
    /// `enum sk_rst_reason` of a reset or `enum skb_drop_reason` of a dropped
    /// packet, where the kernel passes one, else 0.
    pub reason: u32,
    /// `sk_ack_backlog` and `sk_max_ack_backlog` when the packet left.
    pub accept_queue_len: u32,
    pub accept_queue_limit: u32,
    /// `icsk_accept_queue.qlen`.
    pub syn_queue_len: u32,
    /// The namespace's `tcp_max_syn_backlog`.
    pub max_syn_backlog: u32,
    /// The address that the listener is bound to.
    pub bound_addr: [u8; 16],
    /// Its port, in host byte order.
    pub bound_port: u16,
    /// Of the socket: [`family`].
    pub sock_family: u16,
    /// [`flag`].
    pub flags: u16,
    /// [`hook`]
    pub hook: u8,
    /// `skc_state` of the socket, 0 without one.
    pub sock_state: u8,
    /// The namespace's `tcp_syncookies`: 0, 1 or 2.
    pub syncookies: u8,
    /// How far each counter moved, [`counter`].
    pub moved: [u8; counter::SLOTS],
    /// Zeroes, so that no byte is undefined.
    pub reserved: u8,
    /// What only this hook tells.
    pub tail: Tail,
}

/// What only some hooks tell: [`Closed`] of [`hook::LISTENER_CLOSED`], [`Pressure`] of [`hook::PRESSURE`], [`Connected`] of
/// [`hook::CONNECTED`], [`Segment`] of all others.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C, align(8))]
pub struct Tail(pub [u8; TAIL]);

/// The two ends of a packet or socket.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Ends {
    /// The other host's address; IPv4 stands in the first four bytes.
    pub remote_addr: [u8; 16],
    /// This host's.
    pub local_addr: [u8; 16],
    /// In host byte order.
    pub remote_port: u16,
    /// In host byte order.
    pub local_port: u16,
    /// [`family`]
    pub family: u16,
}

/// Of a packet, a request or a connection.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Segment {
    /// Whose they are.
    pub ends: Ends,
    /// [`crate::tcp_flag`] of the packet.
    pub tcp_flags: u8,
    /// SYN-ACKs sent again for this request, or timeouts of this socket.
    pub retransmits: u8,
    /// Sequence number, in host byte order.
    pub seq: u32,
    /// What the packet acknowledges, in host byte order.
    pub ack_seq: u32,
    /// Zeroes, so that no byte is undefined.
    pub reserved: [u8; 8],
}

/// Of a listener that was closed: the task that closed it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Closed {
    /// Its name, with a 0 at the end (`TASK_COMM_LEN`).
    pub comm: [u8; 16],
    /// Its process, in the initial PID namespace.
    pub pid: u32,
    /// Its `exit_code` and [`Closed::ENDING`] where it closed the listener by ending, else 0.
    pub ending: u32,
    /// Zeroes, so that no byte is undefined.
    pub reserved: [u8; 32],
}

impl Closed {
    /// The task was ending: `PF_EXITING` was set.
    pub const ENDING: u32 = 1 << 31;
}

/// Of a queue that passed the share of its limit that is warned of, or is well below again.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Pressure {
    /// How long ago it passed the share.
    pub lasted_ns: u64,
    /// The longest that it was since.
    pub peak: u32,
    /// Zeroes, so that no byte is undefined.
    pub reserved: [u8; 44],
}

/// Of a connection whose attempt had been refused before.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    feature = "user",
    derive(FromBytes, IntoBytes, Immutable, KnownLayout, PartialEq, Eq)
)]
#[repr(C)]
pub struct Connected {
    /// Whose they are.
    pub ends: Ends,
    /// Zeroes, so that no byte is undefined.
    pub reserved: [u8; 2],
    /// When it was refused first.
    pub first_ns: u64,
    /// The client's initial sequence number.
    pub isn: u32,
    /// How often it was refused.
    pub refusals: u32,
}

impl Tail {
    /// What a hook without a tail leaves.
    pub const ZERO: Self = Self([0; TAIL]);
}

/// One of the structs that a [`Tail`] may be: exactly as long, at most as aligned, and no padding.
pub trait Part: Copy {}

macro_rules! parts {
    ($($part:ident),+) => {
        $(
            impl Part for $part {}

            const _: () = assert!(size_of::<$part>() == TAIL && align_of::<$part>() <= align_of::<Tail>());
        )+
    };
}

parts!(Segment, Closed, Pressure, Connected);

/// A tail as its hook means it.
#[cfg(feature = "user")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    Segment(&'a Segment),
    Closed(&'a Closed),
    Pressure(&'a Pressure),
    Connected(&'a Connected),
}

#[cfg(feature = "user")]
impl Record {
    /// Its tail, as its hook means it.
    pub fn told(&self) -> Told<'_> {
        match self.hook {
            crate::hook::LISTENER_CLOSED => Told::Closed(zerocopy::transmute_ref!(&self.tail)),
            crate::hook::PRESSURE => Told::Pressure(zerocopy::transmute_ref!(&self.tail)),
            crate::hook::CONNECTED => Told::Connected(zerocopy::transmute_ref!(&self.tail)),
            _ => Told::Segment(zerocopy::transmute_ref!(&self.tail)),
        }
    }
}

//! Bits of [`Record::flags`](crate::Record::flags) and [`CountKey::flags`](crate::CountKey::flags).

/// The packet is a SYN without ACK.
pub const SYN: u16 = 1 << 0;
/// Addresses, ports, sequence numbers and TCP flags come from a packet (or request) at hand.
pub const PACKET: u16 = 1 << 1;
/// The socket is a child that no accept(2) has returned yet.
pub const UNACCEPTED: u16 = 1 << 2;
/// The change was found at the next packet, since the leaving of the one
/// that caused it was not seen: its client and listener are unknown.
pub const LATE: u16 = 1 << 3;
/// The tracepoint had a packet that it answers (`skb` not NULL).
pub const ANSWER: u16 = 1 << 4;
/// The namespace's `tcp_syncookies` is 2: cookies are sent without need.
pub const COOKIES_FORCED: u16 = 1 << 5;
/// Cookies are off and less than a quarter of `tcp_max_syn_backlog` is left
/// (net/ipv4/tcp_input.c:tcp_conn_request, 5.10 to 7.2).
pub const NEARLY_FULL: u16 = 1 << 6;
/// The accept queue of a listener that closes is not empty.
pub const QUEUED: u16 = 1 << 7;
/// The listener was there no more, or listened no more.
pub const LISTENER_GONE: u16 = 1 << 8;
/// The accept queue had just been found full for the packet that is answered.
pub const OVERFLOWN: u16 = 1 << 9;
/// The packet is a reset.
pub const RST: u16 = 1 << 10;
/// The queue of a listener that closes may go to other members of its
/// SO_REUSEPORT group (net/core/sock_reuseport.c:reuseport_stop_listen_sock, 5.14 to 7.2).
pub const MIGRATES: u16 = 1 << 11;
/// The SYN queue, not the accept queue.
pub const SYN_QUEUE: u16 = 1 << 12;
/// The queue is well below the share again.
pub const EASED: u16 = 1 << 13;

/// Those that a count is kept apart by.
pub const COUNTED_APART: u16 = !PACKET;

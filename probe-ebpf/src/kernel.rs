//! What the structs of the kernel say of sockets, requests and packets.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use probe_common::{ABSENT, Ends, Record, Segment, family, state, tcp_flag};

use crate::config::{
    BPF_ARRAY_PPTRS, DEV_NET, DST_DEV, INET_SPORT, NET_INUM, SK_FLAGS, SK_PROTOCOL, SK_SOCKET,
    SKB_DEV, SKB_HEAD, SKB_NETWORK_HEADER, SKB_PROTOCOL, SKB_REFDST, SKB_TRANSPORT_HEADER,
    SKC_COOKIE, SKC_DADDR, SKC_DPORT, SKC_FAMILY, SKC_NET, SKC_NUM, SKC_RCV_SADDR, SKC_STATE,
    SKC_V6_DADDR, SKC_V6_RCV_SADDR, SOCK_DEAD_BIT,
};
pub(crate) use crate::memory::{Ptr, copy, load, read, read_ptr};

/// What is cached per CPU to turn a per-CPU pointer into this CPU's address.
#[repr(C)]
pub(crate) struct CpuBase {
    /// This CPU's offset; 0 until computed.
    offset: u64,
    /// Addresses pass through here: the verifier allows no arithmetic with a
    /// map pointer, but it does with a number read from memory.
    scratch: u64,
}

#[btf_map]
static CPU_BASE: PerCpuArray<CpuBase, 1> = PerCpuArray::new();

/// This CPU's per-CPU offset (`__per_cpu_offset[cpu]`), 0 when it cannot be had, without kallsyms: the
/// address of this CPU's value of a per-CPU array minus the per-CPU pointer
/// that `struct bpf_array` holds for it (kernel/bpf/arraymap.c:
/// percpu_array_map_lookup_elem, 5.10 to 7.2).
#[inline(never)]
pub(crate) fn cpu_offset() -> u64 {
    let Some(slot) = CPU_BASE.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the slot belongs to this CPU, and programs here run with bottom halves off.
    unsafe {
        if (*slot).offset != 0 {
            return (*slot).offset;
        }
        let scratch = &raw mut (*slot).scratch;
        let as_number = |address: u64| {
            core::ptr::write_volatile(scratch, address);
            core::ptr::read_volatile(scratch)
        };
        let map = as_number(&raw const CPU_BASE as u64) as Ptr;
        let pointer: u64 = read(map, BPF_ARRAY_PPTRS.load());
        if pointer == 0 {
            return 0;
        }
        let offset = as_number(slot as u64).wrapping_sub(pointer);
        (*slot).offset = offset;
        offset
    }
}

#[inline(always)]
pub(crate) fn net_of(sk: Ptr) -> Ptr {
    read_ptr(sk, SKC_NET.load())
}

/// The namespace of a packet that has no socket: of its device, or of its route's.
#[inline(always)]
pub(crate) fn net_of_skb(skb: Ptr) -> Ptr {
    let mut dev = read_ptr(skb, SKB_DEV.load());
    if dev.is_null() {
        // Bit 0 of `_skb_refdst` says that no reference is held (include/linux/skbuff.h:SKB_DST_NOREF).
        let dst = (read::<u64>(skb, SKB_REFDST.load()) & !1) as Ptr;
        dev = read_ptr(dst, DST_DEV.load());
    }
    read_ptr(dev, DEV_NET.load())
}

#[inline(always)]
pub(crate) fn inum_of(net: Ptr) -> u32 {
    read(net, NET_INUM.load())
}

#[inline(always)]
pub(crate) fn state_of(sk: Ptr) -> u8 {
    read(sk, SKC_STATE.load())
}

/// A socket of any state: `true` when reading beyond `sock_common` is sound.
/// Neither a request nor what waits in TIME_WAIT is a full `struct sock`.
#[inline(always)]
pub(crate) fn is_full(sock_state: u8) -> bool {
    sock_state != state::NEW_SYN_RECV && sock_state != state::TIME_WAIT
}

#[inline(always)]
pub(crate) fn cookie_of(sk: Ptr) -> u64 {
    read(sk, SKC_COOKIE.load())
}

/// A child that waits in an accept queue has no `struct socket` yet, and it is
/// not orphaned (net/ipv4/inet_connection_sock.c:inet_csk_accept grafts it;
/// inet_child_forget orphans it after the reset is sent).
#[inline(always)]
pub(crate) fn is_unaccepted(sk: Ptr) -> bool {
    let dead = match SOCK_DEAD_BIT.load() {
        ABSENT => 0,
        bit => (read::<u64>(sk, SK_FLAGS.load()) >> (bit & 63)) & 1,
    };
    read::<u64>(sk, SK_SOCKET.load()) == 0 && dead == 0
}

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

/// Where the headers of a TCP packet on its way through TCP are. No `Option` of it is kept: the
/// compiler reads what a `None` leaves undefined, which an old verifier does not allow.
#[derive(Clone, Copy)]
pub(crate) struct Headers {
    head: Ptr,
    network: u32,
    transport: u32,
    pub family: u16,
    /// Byte 13 of the TCP header.
    pub tcp_flags: u8,
}

const IPPROTO_TCP: u8 = 6;

/// Whether it is a TCP socket: MPTCP, SCTP and DCCP pass the same places.
#[inline(always)]
pub(crate) fn is_tcp(sk: Ptr) -> bool {
    read::<u8>(sk, SK_PROTOCOL.load()) == IPPROTO_TCP && read::<u8>(sk, SK_PROTOCOL.load() + 1) == 0
}

/// The headers of a packet that may have ended anywhere on its way in, if it
/// is TCP without IPv6 extension headers: only its network header is relied upon.
#[inline(always)]
pub(crate) fn tcp_headers_of(skb: Ptr) -> Option<Headers> {
    let headers = headers_of(skb)?;
    let (head, network) = (headers.head, headers.network);
    let (protocol, length): (u8, u32) = if headers.family == family::INET6 {
        (read(head, network + 6), 40)
    } else {
        let first: u8 = read(head, network);
        (read(head, network + 9), u32::from(first & 0x0f) * 4)
    };
    if protocol != IPPROTO_TCP {
        return None;
    }
    let transport = network + length;
    Some(Headers {
        transport,
        tcp_flags: read(head, transport + 13),
        ..headers
    })
}

/// Where the headers of a packet are that has come as far as TCP.
#[inline(always)]
pub(crate) fn headers_of(skb: Ptr) -> Option<Headers> {
    let head = read_ptr(skb, SKB_HEAD.load());
    if head.is_null() {
        return None;
    }
    let network = u32::from(read::<u16>(skb, SKB_NETWORK_HEADER.load()));
    let transport = u32::from(read::<u16>(skb, SKB_TRANSPORT_HEADER.load()));
    let family = match u16::from_be(read(skb, SKB_PROTOCOL.load())) {
        ETH_P_IP => family::INET,
        ETH_P_IPV6 => family::INET6,
        _ => return None,
    };
    Some(Headers {
        head,
        network,
        transport,
        family,
        tcp_flags: read(head, transport + 13),
    })
}

/// Where [`Headers::mark`] is in the network header.
pub(crate) const MARK_AT: usize = 4;

impl Headers {
    /// Of no packet.
    pub(crate) const NONE: Self = Self {
        head: core::ptr::null(),
        network: 0,
        transport: 0,
        family: 0,
        tcp_flags: 0,
    };

    /// These, unless they are of no packet.
    #[inline(always)]
    pub(crate) fn some(&self) -> Option<&Self> {
        if self.head.is_null() {
            None
        } else {
            Some(self)
        }
    }

    /// Eight bytes by which a packet is told from another one: of IPv4 its number, protocol and
    /// checksum, of IPv6 its length, next header and the beginning of where it comes from.
    #[inline(always)]
    pub(crate) fn mark(&self) -> u64 {
        read(self.head, self.network + MARK_AT as u32)
    }

    /// Whether it is a SYN without ACK.
    #[inline(always)]
    pub(crate) fn is_syn(&self) -> bool {
        self.tcp_flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN
    }

    #[inline(always)]
    pub(crate) fn seq(&self) -> u32 {
        u32::from_be(read(self.head, self.transport + 4))
    }

    /// The address it was sent from, IPv4 as IPv4-mapped, and the last four bytes of the other one.
    #[inline(always)]
    pub(crate) fn mapped_ends(&self, remote: &mut [u8; 16]) -> u32 {
        if self.family == family::INET6 {
            copy(self.head, self.network + 8, remote);
            read(self.head, self.network + 36)
        } else {
            *remote = mapped(read(self.head, self.network + 12));
            read(self.head, self.network + 16)
        }
    }

    /// The port it was sent to.
    #[inline(always)]
    pub(crate) fn local_port(&self) -> u16 {
        u16::from_be(read(self.head, self.transport + 2))
    }

    /// The ports it was sent to and from.
    #[inline(always)]
    pub(crate) fn ports(&self) -> (u16, u16) {
        let from = u16::from_be(read(self.head, self.transport));
        (self.local_port(), from)
    }

    /// The address it was sent from, as [`Ends::remote_addr`].
    #[inline(always)]
    pub(crate) fn copy_remote(&self, to: *mut [u8; 16]) {
        if self.family == family::INET6 {
            copy(self.head, self.network + 8, to);
        } else {
            copy(self.head, self.network + 12, to.cast::<[u8; 4]>());
        }
    }

    /// Writes what the headers say: source is the other end, destination this host.
    #[inline(always)]
    pub(crate) fn fill(&self, segment: &mut Segment) {
        segment.ends.family = self.family;
        segment.tcp_flags = self.tcp_flags;
        self.copy_remote(&raw mut segment.ends.remote_addr);
        let dest = &raw mut segment.ends.local_addr;
        if self.family == family::INET6 {
            copy(self.head, self.network + 24, dest);
        } else {
            copy(self.head, self.network + 16, dest.cast::<[u8; 4]>());
        }
        let tcp: [u32; 3] = read(self.head, self.transport);
        let ports = u32::from_be(tcp[0]);
        segment.ends.remote_port = (ports >> 16) as u16;
        segment.ends.local_port = ports as u16;
        segment.seq = u32::from_be(tcp[1]);
        segment.ack_seq = u32::from_be(tcp[2]);
    }
}

/// The port of a full socket. One that is being closed has given its port
/// back; what it sent from is still there.
#[inline(always)]
pub(crate) fn port_of(sk: Ptr) -> u16 {
    match read::<u16>(sk, SKC_NUM.load()) {
        0 => u16::from_be(read(sk, INET_SPORT.load())),
        port => port,
    }
}

/// The other end's address of a socket or request, as [`Ends::remote_addr`].
#[inline(always)]
pub(crate) fn copy_remote(sk: Ptr, to: *mut [u8; 16]) {
    if read::<u16>(sk, SKC_FAMILY.load()) == family::INET6 {
        copy(sk, SKC_V6_DADDR.load(), to);
    } else {
        copy(sk, SKC_DADDR.load(), to.cast::<[u8; 4]>());
    }
}

/// Writes both ends of a socket or request as its `sock_common` holds them.
#[inline(always)]
pub(crate) fn fill_ends(ends: &mut Ends, sk: Ptr) {
    ends.family = read(sk, SKC_FAMILY.load());
    let (local, remote) = (&raw mut ends.local_addr, &raw mut ends.remote_addr);
    if ends.family == family::INET6 {
        copy(sk, SKC_V6_RCV_SADDR.load(), local);
        copy(sk, SKC_V6_DADDR.load(), remote);
    } else {
        copy(sk, SKC_RCV_SADDR.load(), local.cast::<[u8; 4]>());
        copy(sk, SKC_DADDR.load(), remote.cast::<[u8; 4]>());
    }
    (ends.local_port, ends.remote_port) = ports_of(sk);
}

const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = v4;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// As [`Headers::mapped_ends`], of a socket.
#[inline(always)]
pub(crate) fn mapped_ends_of(sk: Ptr, remote: &mut [u8; 16]) -> u32 {
    if read::<u16>(sk, SKC_FAMILY.load()) == family::INET6 {
        copy(sk, SKC_V6_DADDR.load(), remote);
        let local: [u32; 4] = read(sk, SKC_V6_RCV_SADDR.load());
        local[3]
    } else {
        *remote = mapped(read(sk, SKC_DADDR.load()));
        read(sk, SKC_RCV_SADDR.load())
    }
}

/// Both ends' ports of a socket or request, this host's first.
#[inline(always)]
pub(crate) fn ports_of(sk: Ptr) -> (u16, u16) {
    let remote = u16::from_be(read(sk, SKC_DPORT.load()));
    (read(sk, SKC_NUM.load()), remote)
}

/// The address that a socket is bound to, as [`Record::bound_addr`].
#[inline(always)]
pub(crate) fn copy_bound(sk: Ptr, to: *mut [u8; 16]) {
    if read::<u16>(sk, SKC_FAMILY.load()) == family::INET6 {
        copy(sk, SKC_V6_RCV_SADDR.load(), to);
    } else {
        copy(sk, SKC_RCV_SADDR.load(), to.cast::<[u8; 4]>());
    }
}

/// Writes the address that a socket is bound to.
#[inline(always)]
pub(crate) fn fill_bound(record: &mut Record, sk: Ptr) {
    record.sock_family = read(sk, SKC_FAMILY.load());
    copy_bound(sk, &raw mut record.bound_addr);
    record.bound_port = read(sk, SKC_NUM.load());
}

//! Answers built from snapshots in the layout of the kernel: what went in comes out, and a cut answer invents nothing.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::fuzz::{connections, listeners};
use super::wire::{AF_INET, AF_INET6, cookie_bytes};
use super::{ConnectionSnapshot, ListenerSnapshot, state_name};

const SEQUENCE: u32 = 7;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_DONE: u16 = 3;
const NLM_F_MULTI: u16 = 2;
const LISTEN: u8 = 10;

fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// What `struct inet_diag_msg` holds.
struct Header {
    state: u8,
    addr: SocketAddr,
    cookie: u64,
    ifindex: u32,
    /// Receive queue, send queue, uid, inode.
    words: [u32; 4],
}

fn payload(header: &Header, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let (family, ip) = match header.addr {
        SocketAddr::V4(v4) => (AF_INET, [&v4.ip().octets()[..], &[0; 12]].concat()),
        SocketAddr::V6(v6) => (AF_INET6, v6.ip().octets().to_vec()),
    };
    let mut bytes = vec![family, header.state, 0, 0];
    bytes.extend(header.addr.port().to_be_bytes());
    bytes.extend([0; 2]);
    bytes.extend(ip);
    bytes.extend([0; 16]);
    bytes.extend(header.ifindex.to_ne_bytes());
    bytes.extend(cookie_bytes(header.cookie));
    bytes.extend([0; 4]);
    bytes.extend(header.words.iter().flat_map(|word| word.to_ne_bytes()));
    for (kind, value) in attributes {
        bytes.extend((4 + value.len() as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// INET_DIAG_SKMEMINFO: nine words, the last one is `sk_drops`.
fn meminfo(drops: u32) -> (u16, Vec<u8>) {
    (7, [vec![0; 32], drops.to_ne_bytes().to_vec()].concat())
}

fn cgroup(id: u64) -> (u16, Vec<u8>) {
    (21, id.to_ne_bytes().to_vec())
}

fn of_listener(from: &ListenerSnapshot) -> Vec<u8> {
    let header = Header {
        state: LISTEN,
        addr: from.addr,
        cookie: from.cookie,
        ifindex: from.ifindex,
        words: [
            from.accept_queue_len,
            from.accept_queue_limit,
            from.uid,
            from.inode,
        ],
    };
    let mut attributes = vec![(8, vec![0])];
    attributes.extend(from.drops.map(meminfo));
    attributes.extend(from.v6only.map(|only| (11, vec![u8::from(only)])));
    attributes.extend(from.cgroup_id.map(cgroup));
    let payload = payload(&header, &attributes);
    message(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &payload)
}

fn done() -> Vec<u8> {
    message(NLMSG_DONE, NLM_F_MULTI, &0i32.to_ne_bytes())
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

fn any_listener() -> impl Strategy<Value = ListenerSnapshot> {
    let numbers = any::<(u64, [u32; 5])>();
    let optional = any::<(Option<bool>, Option<u32>, Option<u64>)>();
    (addresses(), numbers, optional).prop_map(|(addr, (cookie, numbers), optional)| {
        let [ifindex, inode, uid, accept_queue_len, accept_queue_limit] = numbers;
        let (v6only, drops, cgroup_id) = optional;
        ListenerSnapshot {
            cookie,
            addr,
            v6only,
            ifindex,
            inode,
            uid,
            accept_queue_len,
            accept_queue_limit,
            drops,
            cgroup_id,
            taken_mono_ns: 0,
        }
    })
}

fn read(datagram: &[u8]) -> (Vec<ListenerSnapshot>, Option<bool>) {
    let mut found = Vec::new();
    let ended = listeners(datagram, SEQUENCE, &mut found).ok();
    (found, ended)
}

proptest! {
    #[test]
    fn a_dump_is_read_back(sockets in proptest::collection::vec(any_listener(), 0..8)) {
        let datagram = [sockets.iter().flat_map(of_listener).collect(), done()].concat();
        prop_assert_eq!(read(&datagram), (sockets.clone(), Some(true)));
        let further = &datagram[..datagram.len() - done().len()];
        prop_assert_eq!(read(further), (sockets, Some(false)));
    }

    #[test]
    fn a_cut_dump_invents_nothing(sockets in proptest::collection::vec(any_listener(), 1..4)) {
        let datagram = [sockets.iter().flat_map(of_listener).collect(), done()].concat();
        for cut in 0..datagram.len() {
            let (found, ended) = read(&datagram[..cut]);
            prop_assert!(sockets.starts_with(&found), "cut at {}", cut);
            prop_assert_ne!(ended, Some(true), "cut at {}", cut);
            prop_assert!(ended.is_none() || found.iter().map(|l| of_listener(l).len()).sum::<usize>() == cut);
        }
    }

    #[test]
    fn a_changed_byte_changes_one_socket_at_most(sockets in proptest::collection::vec(any_listener(), 1..4), at in any::<proptest::sample::Index>(), value: u8) {
        let mut datagram = [sockets.iter().flat_map(of_listener).collect(), done()].concat();
        let at = at.index(datagram.len());
        datagram[at] = value;
        let (found, _) = read(&datagram);
        let before = sockets.iter().scan(0, |end, l| { *end += of_listener(l).len(); Some(*end) }).filter(|end| *end <= at).count();
        prop_assert!(found.starts_with(&sockets[..before]));
        prop_assert!(found.len() <= sockets.len());
    }

    #[test]
    fn connections_are_read_back(addr in addresses(), state in 1u8..14, cookie: u64, words: [u32; 4], drops: Option<u32>, cgroup_id: Option<u64>, info in proptest::collection::vec(any::<u8>(), 104..300)) {
        let header = Header { state, addr, cookie, ifindex: 0, words };
        let mut attributes = vec![(2, info.clone())];
        attributes.extend(drops.map(meminfo));
        attributes.extend(cgroup_id.map(cgroup));
        let datagram = message(SOCK_DIAG_BY_FAMILY, 0, &payload(&header, &attributes));
        let word = |at: usize| info[at..at + 4].try_into().ok().map(u32::from_ne_bytes);
        let rtt_us = word(68).filter(|rtt| *rtt != 0);
        let expect = ConnectionSnapshot {
            cookie,
            state: state_name(state),
            inode: Some(words[3]).filter(|inode| *inode != 0),
            uid: Some(words[2]).filter(|_| words[3] != 0),
            rtt_us,
            rttvar_us: rtt_us.and(word(72)),
            cwnd: word(80),
            retransmits: Some(info[2].into()),
            total_retrans: word(100),
            unacked: word(24),
            drops,
            cgroup_id,
            taken_mono_ns: 0,
        };
        let mut found = Vec::new();
        prop_assert!(connections(&datagram, SEQUENCE, &mut found).is_ok_and(|ended| ended));
        prop_assert_eq!(&found, &[expect]);
        for cut in 0..datagram.len() {
            let mut of_cut = Vec::new();
            let ended = connections(&datagram[..cut], SEQUENCE, &mut of_cut).is_ok_and(|ended| ended);
            // Only the padding may be missing.
            prop_assert_eq!(of_cut == found, ended, "cut at {}", cut);
            prop_assert!(ended || of_cut.is_empty());
        }
    }

    #[test]
    fn odd_datagrams_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), state in 0u8..14) {
        let header = Header { state, addr: ([1, 2, 3, 4], 5).into(), cookie: 0, ifindex: 0, words: [0; 4] };
        let tailed = [payload(&header, &[]), bytes.clone()].concat();
        for datagram in [bytes, message(SOCK_DIAG_BY_FAMILY, 0, &tailed)] {
            let (found, _) = read(&datagram);
            prop_assert!(found.len() * 88 <= datagram.len());
            prop_assert!(found.is_empty() || state == LISTEN);
            let _ = connections(&datagram, SEQUENCE, &mut Vec::new());
        }
    }
}

//! Answers built by hand in the layout of `inet_diag_msg`, with a `tcp_info` of every length, and answers no kernel should send.

use super::*;
use crate::model::socket::ListenerSnapshot;
use proptest::prelude::*;

fn answer(family: u8, state: u8, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![family, state, 1, 3];
    bytes.extend(8080u16.to_be_bytes());
    bytes.extend(5000u16.to_be_bytes());
    bytes.extend([[10, 0, 0, 1].as_slice(), &[0; 12], &[10, 0, 0, 2], &[0; 12]].concat());
    for word in [2u32, 0x11, 0x22, 0, 129, 128, 1000, 4711] {
        bytes.extend(word.to_ne_bytes());
    }
    assert_eq!(bytes.len(), HEADER_LEN);
    for (kind, value) in attributes {
        bytes.extend((4 + value.len() as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// A `tcp_info` whose word at each offset is the offset.
fn tcp_info(length: usize) -> Vec<u8> {
    let mut info: Vec<u8> = (0..length as u32 / 4)
        .flat_map(|i| (i * 4).to_ne_bytes())
        .collect();
    info.resize(length, 0);
    if let Some(retransmits) = info.get_mut(TCPI_RETRANSMITS) {
        *retransmits = 5;
    }
    info
}

#[test]
fn how_old_a_connection_is_until_something_is_sent_on_it() {
    let age = |info: Vec<u8>| {
        let found = accepted(&answer(2, 1, &[(INET_DIAG_INFO, info)])).unwrap();
        found.map(|found| (found.inode, found.age.map(|age| age.as_millis())))
    };
    let mut info = tcp_info(232);
    assert_eq!(age(info.clone()), Some((4711, None)));
    info[TCPI_DATA_SEGS_OUT..][..4].fill(0);
    assert_eq!(age(info.clone()), Some((4711, Some(44))));
    // A kernel that does not count segments.
    info.truncate(TCPI_DATA_SEGS_OUT);
    assert_eq!(age(info), Some((4711, None)));
}

#[test]
fn a_listener_with_everything() {
    let drops = [vec![0; 32], 42u32.to_ne_bytes().to_vec()].concat();
    let bytes = answer(
        2,
        10,
        &[
            (INET_DIAG_SKMEMINFO, drops),
            (INET_DIAG_SKV6ONLY, vec![1]),
            (INET_DIAG_CGROUP_ID, 77u64.to_ne_bytes().to_vec()),
            (22, vec![0; 2]),
        ],
    );
    let expect = ListenerSnapshot {
        cookie: 0x22_0000_0011,
        addr: "10.0.0.1:8080".parse().unwrap(),
        v6only: Some(true),
        ifindex: 2,
        inode: 4711,
        uid: 1000,
        accept_queue_len: 129,
        accept_queue_limit: 128,
        drops: Some(42),
        cgroup_id: Some(77),
        taken_mono_ns: 9,
    };
    assert_eq!(listener(&bytes, 9), Ok(Some(expect)));
    assert_eq!(listener(&answer(2, 1, &[]), 9), Ok(None));
    assert_eq!(
        listener(&answer(10, 10, &[]), 9)
            .unwrap()
            .unwrap()
            .addr
            .to_string(),
        "[a00:1::]:8080"
    );
}

#[test]
fn tcp_info_of_any_length() {
    for length in 0..290 {
        let got = connection(&answer(2, 1, &[(INET_DIAG_INFO, tcp_info(length))]), 9).unwrap();
        let expect = |offset: usize| (length >= offset + 4).then_some(offset as u32);
        assert_eq!(
            (
                got.unacked,
                got.rtt_us,
                got.rttvar_us,
                got.cwnd,
                got.total_retrans
            ),
            (expect(24), expect(68), expect(72), expect(80), expect(100)),
            "{length}"
        );
        // Without tcp_info, as for a request, the count in the header is taken.
        assert_eq!(
            got.retransmits,
            Some(if length > TCPI_RETRANSMITS { 5 } else { 3 })
        );
    }
}

#[test]
fn too_short_and_unknown() {
    let bytes = answer(2, 1, &[]);
    for cut in 0..bytes.len() {
        assert!(connection(&bytes[..cut], 0).is_err());
    }
    assert!(connection(&answer(1, 1, &[]), 0).is_err());
    assert_eq!(
        (state_name(3), state_name(12), state_name(0), state_name(99)),
        ("SYN_RECV", "NEW_SYN_RECV", "UNKNOWN", "UNKNOWN")
    );
}

proptest! {
    #[test]
    fn odd_payloads_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), family in 0u8..12, tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = listener(&bytes, 0);
        let _ = connection(&bytes, 0);
        let odd = [answer(family, 10, &[]), tail].concat();
        let _ = listener(&odd, 0);
        let _ = connection(&odd, 0);
    }
}

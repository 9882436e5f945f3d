//! Odd bytes for the framing, and the exact bytes of the requests.

use super::*;
use proptest::prelude::*;

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn check(datagram: &[u8], expect: &[Result<Frame<'_>, WireError>]) {
    assert_eq!(Frames::new(datagram, 7).collect::<Vec<_>>(), expect);
}

fn plain(payload: &[u8]) -> Result<Frame<'_>, WireError> {
    Ok(Frame::Message {
        payload,
        multipart: false,
        interrupted: false,
    })
}

#[test]
fn messages_follow_each_other_with_padding() {
    let datagram = [
        message(20, 0, 7, b"abcde"),
        message(20, NLM_F_MULTIPART | NLM_F_DUMP_INTR, 7, b""),
    ]
    .concat();
    check(
        &datagram,
        &[
            plain(b"abcde"),
            Ok(Frame::Message {
                payload: b"",
                multipart: true,
                interrupted: true,
            }),
        ],
    );
    // The last message may lack its padding.
    check(&message(20, 0, 7, b"abcde")[..21], &[plain(b"abcde")]);
}

#[test]
fn answers_to_earlier_requests_are_passed_over() {
    check(
        &[
            message(20, 0, 6, b"old"),
            message(NLMSG_NOOP, 0, 7, b""),
            message(20, 0, 7, b"new"),
        ]
        .concat(),
        &[plain(b"new")],
    );
}

#[test]
fn ends_and_errors() {
    check(
        &message(NLMSG_DONE, NLM_F_MULTIPART, 7, &0i32.to_ne_bytes()),
        &[Ok(Frame::Done {
            errno: 0,
            interrupted: false,
        })],
    );
    check(
        &message(NLMSG_DONE, NLM_F_DUMP_INTR, 7, &(-2i32).to_ne_bytes()),
        &[Ok(Frame::Done {
            errno: 2,
            interrupted: true,
        })],
    );
    check(
        &message(NLMSG_DONE, 0, 7, b""),
        &[Ok(Frame::Done {
            errno: 0,
            interrupted: false,
        })],
    );
    check(
        &message(NLMSG_ERROR, 0, 7, &(-1i32).to_ne_bytes()),
        &[Ok(Frame::Error { errno: 1 })],
    );
    check(
        &message(NLMSG_ERROR, 0, 7, b"ab"),
        &[Err(WireError::Short("NLMSG_ERROR without a code".into()))],
    );
    check(
        &message(NLMSG_OVERRUN, 0, 7, b""),
        &[Err(WireError::Overrun)],
    );
    check(b"", &[]);
}

#[test]
fn lengths_that_lie() {
    check(
        &message(20, 0, 7, b"abcdefgh")[..20],
        &[Err(WireError::Length {
            claimed: 24,
            left: 20,
        })],
    );
    check(
        &[5, 0, 0],
        &[Err(WireError::Length {
            claimed: 16,
            left: 3,
        })],
    );
    let mut short = message(20, 0, 7, b"");
    short[..4].copy_from_slice(&3u32.to_ne_bytes());
    check(
        &short,
        &[Err(WireError::Length {
            claimed: 3,
            left: 16,
        })],
    );
    short[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    check(
        &short,
        &[Err(WireError::Length {
            claimed: u32::MAX as usize,
            left: 16,
        })],
    );
}

#[test]
fn attributes_stop_at_nonsense() {
    let attribute = |length: u16, kind: u16, rest: &[u8]| {
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), rest].concat()
    };
    let good = attribute(5, 0x8000 | 0xb, &[1, 0, 0, 0]);
    assert_eq!(attributes(&good).collect::<Vec<_>>(), [(11, &[1u8][..])]);
    for bad in [
        attribute(3, 1, b""),
        attribute(0, 1, b"abcd"),
        attribute(90, 1, b"abcd"),
        vec![4, 0, 1],
    ] {
        assert_eq!(attributes(&[good.clone(), bad].concat()).count(), 1);
    }
}

#[test]
fn requests_have_the_kernels_layout() {
    let listen = listen_request(AF_INET6, Some(0x1234), 9);
    assert_eq!(listen.len(), 16 + 56);
    assert_eq!(listen[16..20], [AF_INET6, 6, 1 << 6, 0]);
    assert_eq!(listen[20..24], (1u32 << 10).to_ne_bytes());
    assert_eq!(listen[24..28], [0x12, 0x34, 0, 0]);

    let exact = exact_request(
        "10.0.0.1:80".parse().unwrap(),
        "10.0.0.2:258".parse().unwrap(),
        None,
        9,
    );
    assert_eq!(exact[24..28], [0, 80, 1, 2]);
    assert_eq!(exact[28..32], [10, 0, 0, 1]);
    assert_eq!(exact[44..48], [10, 0, 0, 2]);
    assert_eq!(exact[64..72], [0xff; 8]);

    let alone = listener_request("[fe80::1]:80".parse().unwrap(), 7, 9);
    assert_eq!(alone[16..20], [AF_INET6, 6, 1 << 6, 0]);
    assert_eq!(alone[24..28], [0, 80, 0, 0]);
    assert_eq!(alone[28..30], [0xfe, 0x80]);
    assert_eq!(alone[44..60], [0; 16]);
    assert_eq!(alone[64..72], cookie_bytes(7));
}

proptest! {
    #[test]
    fn cookies_survive(cookie: u64) {
        prop_assert_eq!(cookie_of(cookie_bytes(cookie)), cookie);
    }

    #[test]
    fn odd_datagrams_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Frames::new(&bytes, 0).count();
        let _ = attributes(&bytes).count();
    }

    #[test]
    fn cut_datagrams_never_panic(kinds in proptest::collection::vec((0u16..25, any::<u16>(), 0usize..90), 1..6), cut in 0usize..500, at in 0usize..500, value: u8) {
        let mut bytes: Vec<u8> = kinds.iter().flat_map(|(kind, flags, length)| message(*kind, *flags, 7, &vec![0xee; *length])).collect();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(cut);
        let _ = Frames::new(&bytes, 7).count();
    }
}

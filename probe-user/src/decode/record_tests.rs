//! Records of any content: what decodes says what the record says, and what cannot be told is an error.

use probe_common::counter;
use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes};

use super::*;

const DECISIONS: [u8; 5] = [
    hook::CONN_REQUEST,
    hook::CHECK_REQ,
    hook::COOKIE_SOCK,
    hook::REQ_ERR,
    hook::INGRESS,
];
const TRACEPOINTS: [u8; 4] = [
    hook::RETRANSMIT_SKB,
    hook::RETRANSMIT_SYNACK,
    hook::SEND_RESET,
    hook::RECEIVE_RESET,
];

fn of_bytes(bytes: &[u8]) -> Record {
    let mut record = Record::new_zeroed();
    for (to, from) in record.as_mut_bytes().iter_mut().zip(bytes) {
        *to = *from;
    }
    record
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = proptest::collection::vec(any::<u8>(), size_of::<Record>());
    // Zeros as often as anything else, else every counter has moved.
    let still = proptest::array::uniform::<_, { counter::SLOTS }>(any::<bool>());
    (bytes, still).prop_map(|(bytes, still)| {
        let mut record = of_bytes(&bytes);
        for (moved, _) in record
            .moved
            .iter_mut()
            .zip(still)
            .filter(|(_, still)| *still)
        {
            *moved = 0;
        }
        record
    })
}

#[test]
fn a_record_of_another_length_is_an_error() {
    let bytes = [0; size_of::<Record>() * 2];
    for len in (0..bytes.len()).filter(|len| *len != size_of::<Record>()) {
        assert_eq!(decode(&bytes[..len]), Err(DecodeError::Length(len)));
    }
}

proptest! {
    #[test]
    fn the_event_says_what_the_record_says(mut record in any_record(), known in proptest::sample::select([DECISIONS.as_slice(), &TRACEPOINTS].concat())) {
        record.hook = known;
        let Ok(event) = decode(record.as_bytes()) else {
            prop_assert!(DECISIONS.contains(&known));
            prop_assert_eq!(record.moved[..counter::DECISIVE].iter().max(), Some(&0));
            return Ok(());
        };
        prop_assert_eq!((event.mono_ns, event.netns, event.cpu), (record.mono_ns, record.netns, record.cpu));
        prop_assert_eq!((event.sock, event.cookie), (record.sock, record.cookie));
        let segment = event.segment().expect("a segment");
        let told: wire::Segment = zerocopy::transmute!(record.tail);
        prop_assert_eq!((segment.seq, segment.ack_seq), (told.seq, told.ack_seq));
        prop_assert_eq!(event.late, record.flags & flag::LATE != 0);
        prop_assert!(event.listener.is_none() || record.sock_state == state::LISTEN);
        prop_assert!(event.client.is_none() || event.client == event.remote || event.client == event.local);
    }

    #[test]
    fn addresses_are_read_back(mut record in any_record(), ip: std::net::IpAddr, port: u16) {
        record.hook = hook::SEND_RESET;
        let wire::Segment { ends, .. } = zerocopy::transmute_mut!(&mut record.tail);
        ends.remote_port = port;
        ends.remote_addr = [0; 16];
        ends.family = match ip {
            IpAddr::V4(v4) => {
                ends.remote_addr[..4].copy_from_slice(&v4.octets());
                family::INET
            }
            IpAddr::V6(v6) => {
                ends.remote_addr = v6.octets();
                family::INET6
            }
        };
        let event = decode(record.as_bytes()).expect("decodes");
        prop_assert_eq!(event.remote, Some(SocketAddr::new(ip.to_canonical(), port)));
    }

    #[test]
    fn an_unknown_hook_is_an_error(mut record in any_record(), odd in 64u8..) {
        record.hook = odd;
        prop_assert_eq!(decode(record.as_bytes()), Err(DecodeError::Hook(odd)));
    }
}

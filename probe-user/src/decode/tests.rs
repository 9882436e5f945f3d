//! Records that are made by hand, and what they decode to.

use probe_common::counter::{
    self, LISTEN_DROPS, LISTEN_OVERFLOWS, REQQ_FULL_DO_COOKIES, REQQ_FULL_DROP,
};
use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes, KnownLayout};

use super::*;
use crate::model::kind::Stage;

fn tail<T: wire::Part + FromBytes + IntoBytes + KnownLayout>(record: &mut Record) -> &mut T {
    T::mut_from_bytes(record.tail.as_mut_bytes()).expect("as long as every tail")
}

/// 10.0.0.7:51234 and 10.0.0.1:8080.
fn ends() -> Ends {
    let mut ends = Ends::new_zeroed();
    ends.family = family::INET;
    ends.remote_addr[..4].copy_from_slice(&[10, 0, 0, 7]);
    ends.remote_port = 51234;
    ends.local_addr[..4].copy_from_slice(&[10, 0, 0, 1]);
    ends.local_port = 8080;
    ends
}

fn record() -> Record {
    let mut record = Record::new_zeroed();
    record.hook = hook::CONN_REQUEST;
    record.flags = flag::SYN | flag::PACKET;
    record.sock_state = state::LISTEN;
    record.sock_family = family::INET6;
    let segment = tail::<wire::Segment>(&mut record);
    segment.tcp_flags = tcp_flag::SYN;
    segment.ends = ends();
    record.bound_port = 8080;
    record.accept_queue_len = 129;
    record.accept_queue_limit = 128;
    record.moved[counter::LISTEN_OVERFLOWS] = 1;
    record.moved[counter::LISTEN_DROPS] = 1;
    record
}

fn check(change: impl FnOnce(&mut Record), kind: Kind, stage: Option<Stage>) -> Event {
    let mut record = record();
    change(&mut record);
    let event = decode(record.as_bytes()).expect("decodes");
    assert_eq!((event.kind, event.stage), (kind, stage));
    event
}

#[test]
fn an_overflow_names_client_listener_and_queue() {
    let event = check(|_| {}, Kind::Overflow, Some(Stage::Syn));
    assert_eq!(event.client, "10.0.0.7:51234".parse().ok());
    let listener = event.listener.expect("a listener");
    assert_eq!(listener.addr, "[::]:8080".parse().expect("an address"));
    assert_eq!(
        (listener.accept_queue_len, listener.accept_queue_limit),
        (129, 128)
    );
}

#[test]
fn the_counters_decide_the_kind() {
    let only = |slots: &'static [usize]| {
        move |record: &mut Record| {
            record.moved = Default::default();
            for slot in slots {
                record.moved[*slot] = 1;
            }
        }
    };
    check(
        only(&[LISTEN_DROPS, REQQ_FULL_DROP]),
        Kind::RequestDrop,
        Some(Stage::Syn),
    );
    check(only(&[LISTEN_DROPS]), Kind::ListenDrop, Some(Stage::Syn));
    check(
        only(&[REQQ_FULL_DO_COOKIES]),
        Kind::CookieSent,
        Some(Stage::Syn),
    );
    check(
        only(&[REQQ_FULL_DO_COOKIES, LISTEN_DROPS, LISTEN_OVERFLOWS]),
        Kind::Overflow,
        Some(Stage::Syn),
    );
}

#[test]
fn one_hook_for_all_stages_tells_them_by_packet_and_cookie_counter() {
    let ack = |record: &mut Record| {
        record.hook = hook::INGRESS;
        record.flags = flag::PACKET;
        tail::<wire::Segment>(record).tcp_flags = tcp_flag::ACK;
    };
    check(ack, Kind::Overflow, Some(Stage::Ack));
    check(
        |record| {
            ack(record);
            record.moved[counter::SYNCOOKIES_RECV] = 1;
        },
        Kind::Overflow,
        Some(Stage::CookieAck),
    );
}

#[test]
fn a_connection_tells_when_it_was_first_refused() {
    let event = check(
        |record| {
            record.hook = hook::CONNECTED;
            record.moved = Default::default();
            let connected = tail::<wire::Connected>(record);
            connected.ends = ends();
            connected.first_ns = (2 << 32) + 7;
            connected.isn = 11;
            connected.refusals = 3;
        },
        Kind::Connected,
        None,
    );
    let refused = event.refused().expect("refused before");
    let told = (refused.first_ns, refused.isn, refused.times);
    assert_eq!(told, ((2 << 32) + 7, 11, 3));
    assert_eq!(event.client, "10.0.0.7:51234".parse().ok());
    assert_eq!(event.client, event.remote);
}

#[test]
fn who_closes_by_ending_tells_how_it_ends() {
    let ending = |code: u32| {
        let event = check(
            |record| {
                record.hook = hook::LISTENER_CLOSED;
                record.moved = Default::default();
                tail::<wire::Closed>(record).ending = wire::Closed::ENDING | code;
            },
            Kind::ListenerClosed,
            None,
        );
        event.closed_by().and_then(Task::ending)
    };
    assert_eq!(ending(9).as_deref(), Some("killed by signal 9"));
    // With a core dump.
    assert_eq!(ending(0x8b).as_deref(), Some("killed by signal 11"));
    assert_eq!(ending(0x100).as_deref(), Some("exited with status 1"));
    assert_eq!(ending(0).as_deref(), Some("exited with status 0"));
}

#[test]
fn a_closed_listener_tells_who_closed_it() {
    let event = check(
        |record| {
            record.hook = hook::LISTENER_CLOSED;
            record.moved = Default::default();
            let closed = tail::<wire::Closed>(record);
            closed.comm = *b"nginx\0of before\0";
            closed.pid = 12;
        },
        Kind::ListenerClosed,
        None,
    );
    let by = event.closed_by().expect("a task");
    assert_eq!((by.pid, by.comm.as_str()), (12, "nginx"));
    assert_eq!(by.ending(), None);
    assert_eq!(
        (event.client, event.local, event.remote),
        (None, None, None)
    );
}

#[test]
fn a_queue_tells_how_long_it_was_near_its_limit_once_it_has_eased() {
    let pressure = |flags: u16| {
        move |record: &mut Record| {
            record.hook = hook::PRESSURE;
            record.flags = flags;
            record.moved = Default::default();
            let pressure = tail::<wire::Pressure>(record);
            pressure.lasted_ns = u64::MAX;
            pressure.peak = 130;
        }
    };
    let near = check(pressure(0), Kind::NearLimit, None);
    assert_eq!((near.what, near.client), (What::NearLimit, None));
    let eased = check(pressure(flag::EASED), Kind::Eased, None);
    let (peak, lasted_ns) = (130, u64::MAX);
    assert_eq!(eased.what, What::Eased(Episode { peak, lasted_ns }));
}

/// A kind that no evidence leads to, or a hook that leads to none, was forgotten somewhere.
#[test]
fn every_hook_leads_to_a_kind_and_every_kind_comes_of_one() {
    let mut kinds = std::collections::BTreeSet::new();
    for known in hook::ALL {
        let decisive = (0..counter::DECISIVE).map(|slot| 1 << slot);
        for moved in decisive.chain([0]) {
            for flags in [0, flag::SYN, flag::EASED] {
                let evidence = Evidence {
                    hook: *known,
                    flags,
                    sock_state: 0,
                    reason: 0,
                    moved,
                };
                match classify(&evidence) {
                    Ok((kind, _)) => drop(kinds.insert(kind)),
                    Err(error) => assert_eq!((error, moved), (DecodeError::Nothing, 0)),
                }
            }
        }
    }
    assert_eq!(kinds, Kind::ALL.into());
}

#[test]
fn a_connecting_socket_is_the_client_itself() {
    let event = check(
        |record| {
            record.hook = hook::RETRANSMIT_SKB;
            record.sock_state = state::SYN_SENT;
            tail::<wire::Segment>(record).tcp_flags = 0;
        },
        Kind::Retransmit,
        None,
    );
    assert_eq!(event.client, event.local);
    assert!(event.listener.is_none());
}

#[test]
fn an_established_socket_does_not_tell_who_began() {
    let event = check(
        |record| {
            record.hook = hook::RECEIVE_RESET;
            record.sock_state = state::ESTABLISHED;
            tail::<wire::Segment>(record).tcp_flags = 0;
        },
        Kind::ResetReceived,
        None,
    );
    assert_eq!(event.client, None);
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_record_of_a_known_hook_decodes(bytes in proptest::array::uniform32(any::<u8>())) {
        let mut record = record();
        record.bound_addr.copy_from_slice(&bytes[16..]);
        let ends = &mut tail::<wire::Segment>(&mut record).ends;
        ends.remote_addr.copy_from_slice(&bytes[..16]);
        ends.family = u16::from(bytes[0]);
        record.sock_state = bytes[1];
        prop_assert!(decode(record.as_bytes()).is_ok());
    }
}

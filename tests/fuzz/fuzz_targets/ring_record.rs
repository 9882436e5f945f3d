//! Bytes of the ring: a record of another length is an error, one of the right length never invents anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_common::{Ends, Record, Told, state};
use whydrop::{
    decode::{DecodeError, decode},
    model::event::Event,
};
use zerocopy::{FromZeros, IntoBytes};

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() != size_of::<Record>() {
        assert_eq!(decode(bytes), Err(DecodeError::Length(bytes.len())));
    }
    let mut record = Record::new_zeroed();
    let len = bytes.len().min(size_of::<Record>());
    record.as_mut_bytes()[..len].copy_from_slice(&bytes[..len]);
    if let Ok(event) = decode(record.as_bytes()) {
        check(&record, &event);
    }
});

fn check(record: &Record, event: &Event) {
    assert!(event.listener.is_none() || record.sock_state == state::LISTEN);
    assert_eq!((event.mono_ns, event.netns), (record.mono_ns, record.netns));
    let ends = match record.told() {
        Told::Segment(segment) => Some(segment.ends),
        Told::Connected(connected) => Some(connected.ends),
        Told::Closed(_) | Told::Pressure(_) => None,
    };
    let of = |port: fn(&Ends) -> u16| ends.as_ref().map(port);
    for (addr, port) in [
        (event.remote, of(|ends| ends.remote_port)),
        (event.local, of(|ends| ends.local_port)),
    ] {
        assert!(addr.is_none_or(|addr| Some(addr.port()) == port));
    }
    assert!(event.client.is_none() || event.client == event.remote || event.client == event.local);
    if event.kind.is_refusal() {
        assert!(event.moved.iter().any(|moved| *moved != 0));
    }
}

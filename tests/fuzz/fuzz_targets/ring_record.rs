//! Bytes of the ring: a record of another length is an error, one of the right length never invents anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_common::{Record, state};
use whydrop::decode::{DecodeError, Event, decode};
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
    for (addr, port) in [
        (event.remote, record.remote_port),
        (event.local, record.local_port),
    ] {
        assert!(addr.is_none_or(|addr| addr.port() == port));
    }
    assert!(event.client.is_none() || event.client == event.remote || event.client == event.local);
    if event.kind.is_refusal() {
        assert!(event.moved.iter().any(|moved| *moved != 0));
    }
}

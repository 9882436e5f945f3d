//! Datagrams of sock_diag: every length may lie, and no socket comes from fewer bytes than it needs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whydrop::host::diag::fuzz::{connections, listeners};

/// `struct nlmsghdr` and `struct inet_diag_msg`.
const LEAST_BYTES: usize = 16 + 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

fuzz_target!(|bytes: &[u8]| {
    read(bytes, sequence(bytes));
    let mut framed = (16 + bytes.len() as u32).to_ne_bytes().to_vec();
    framed.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    framed.extend([0; 10]);
    framed.extend(bytes);
    read(&framed, 0);
});

/// That of the first message, so that it is taken for an answer.
fn sequence(datagram: &[u8]) -> u32 {
    let word = datagram.get(8..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

fn read(datagram: &[u8], sequence: u32) {
    let mut found = Vec::new();
    let _ = listeners(datagram, sequence, &mut found);
    assert!(found.len() * LEAST_BYTES <= datagram.len());
    let mut found = Vec::new();
    let _ = connections(datagram, sequence, &mut found);
    assert!(found.len() * LEAST_BYTES <= datagram.len());
}

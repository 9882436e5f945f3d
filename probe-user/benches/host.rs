//! What the questions cost that whydrop asks of the host, as it is: one snapshot of a listener, the listing of all of
//! a namespace, and the search for who holds a socket.
//!
//! `cargo bench -p whydrop --bench host` asks in the own namespace, about a listener of its own; with `-- PID PORT` in
//! that of a process, about a listener that is there. It prints nanoseconds, the middle of many.

use std::{
    collections::HashSet,
    fs::File,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
    time::Instant,
};

use whydrop::host::{diag::Diag, owner::Owners};

fn main() {
    let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener of our own");
    let own_port = own.local_addr().expect("its address").port();
    let asked = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let (pid, port) = match &asked.collect::<Vec<_>>()[..] {
        [] => ("self".to_owned(), own_port),
        [pid, port] => (pid.clone(), port.parse().expect("PORT is a number")),
        _ => panic!("give no PID and PORT, or both"),
    };
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the namespace of PID");
    let mut diag = Diag::open_in(namespace.as_fd()).expect("sock_diag in that namespace");
    let found = diag.listeners_of(false, port).expect("an answer");
    let inodes: HashSet<u32> = found.iter().map(|listener| listener.inode).collect();
    let one = found.first().expect("somebody listens on that port");

    let snapshot = middle_ns(1000, || {
        let found = diag.listener(one.addr, one.cookie).expect("an answer");
        assert!(
            found.is_some(),
            "it is one of a SO_REUSEPORT group, or comes and goes"
        );
    });
    let listing = middle_ns(100, || {
        diag.listeners(None).expect("a listing");
    });
    let mut owners = Owners::new();
    let search = middle_ns(20, || owners.prime(&inodes));
    println!("snapshot {snapshot} listing {listing} owners {search}");
}

fn middle_ns(turns: usize, mut turn: impl FnMut()) -> u128 {
    let mut took: Vec<u128> = (0..turns)
        .map(|_| {
            let began = Instant::now();
            turn();
            began.elapsed().as_nanos()
        })
        .collect();
    took.sort_unstable();
    took[turns / 2]
}

//! Clients that are slow, endless, old or a thousand: the others are served.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    analyse::exposed::Limits,
    serve::{Address, Daemon},
};

/// Longer than both times of a connection.
const SOON: Duration = Duration::from_secs(20);

fn served() -> (SocketAddr, Daemon) {
    let limits = Limits {
        listeners: 1,
        closed_ns: 0,
    };
    let (daemon, _) = Daemon::new(limits, None, None);
    let anywhere: Address = "127.0.0.1:0".parse().expect("an address");
    let bound = anywhere.bind().expect("a port");
    let Some(Address::Tcp(address)) = bound.address() else {
        panic!("no address");
    };
    serve(bound, daemon.shared()).expect("a thread");
    (address, daemon)
}

fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream.set_write_timeout(Some(SOON)).expect("a timeout");
    stream
}

/// What was answered until the end or a reset.
fn rest(mut stream: TcpStream) -> String {
    let (mut text, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut some) {
        text.extend_from_slice(&some[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn asked(address: SocketAddr, request: &str) -> String {
    let mut stream = client(address);
    stream.write_all(request.as_bytes()).expect("sent");
    rest(stream)
}

/// Served before long, whoever else is served meanwhile.
#[track_caller]
fn goes_on(address: SocketAddr) {
    let end = Instant::now() + SOON;
    loop {
        let answer = asked(address, "GET /healthz HTTP/1.1\r\n\r\n");
        if answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n") {
            return;
        }
        assert!(Instant::now() < end, "{answer}");
        thread::yield_now();
    }
}

#[track_caller]
fn check(address: SocketAddr, request: &str, status: &str) {
    let answer = asked(address, request);
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{request:?}: {answer}"
    );
}

#[test]
fn requests_are_answered_and_others_refused() {
    let (address, _daemon) = served();
    goes_on(address);
    check(address, "GET /readyz HTTP/1.1\r\n\r\n", "503");
    check(address, "GET /nothing HTTP/1.1\r\n\r\n", "404");
    check(address, "GET /metrics\r\n", "400");
    check(address, "DELETE /metrics HTTP/1.1\r\n\r\n", "405");
    let head = asked(address, "HEAD /healthz HTTP/1.1\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn slow_clients_are_let_go_and_a_header_has_an_end() {
    let (address, _daemon) = served();
    let mut slow: Vec<TcpStream> = (0..CONNECTIONS).map(|_| client(address)).collect();
    for stream in &mut slow {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nX: ")
            .expect("sent");
    }
    let began = Instant::now();
    goes_on(address);
    assert!(began.elapsed() < SOON);
    for stream in slow {
        assert!(rest(stream).starts_with("HTTP/1.1 408 "));
    }
    let mut endless = client(address);
    let some = vec![b'x'; 64 << 10];
    // Sooner or later it is reset.
    let sent = (0..1600)
        .take_while(|_| endless.write_all(&some).is_ok())
        .count();
    assert!(sent < 1600, "100 MB were taken");
    goes_on(address);
}

#[test]
fn a_thousand_clients_at_once_are_served_or_turned_away() {
    let (address, _daemon) = served();
    let mut clients: Vec<TcpStream> = (0..1000).map(|_| client(address)).collect();
    for stream in &mut clients {
        // One that was turned away is reset by now.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n");
    }
    let answers: Vec<String> = clients.into_iter().map(rest).collect();
    let known = |answer: &String| {
        answer.is_empty()
            || answer.starts_with("HTTP/1.1 200 ")
            || answer.starts_with("HTTP/1.1 503 ")
            || answer.starts_with("HTTP/1.1 408 ")
    };
    assert!(answers.iter().all(known), "{answers:?}");
    goes_on(address);
}

//! `sock_diag` and the counters, compared with what getsockopt(2) and the clients saw.

use super::*;
use crate::model::socket::ListenerSnapshot;

#[test]
fn listeners_of_every_family_and_each_member_of_a_group() {
    let Some(ns) = private() else { return };
    ns.inside(|| {
        let began = mono_ns();
        let any4: SocketAddr = "0.0.0.0:80".parse().unwrap();
        let any6: SocketAddr = "[::]:81".parse().unwrap();
        let sockets = [
            listener(any4, false, false, 5),
            listener(any6, true, false, 6),
            listener("[::]:82".parse().unwrap(), false, false, 7),
            listener(v4(83), false, false, 8),
        ];
        let group: Vec<OwnedFd> = (0..4).map(|_| listener(v4(90), false, true, 9)).collect();

        let mut diag = Diag::open().unwrap();
        diag.probe().unwrap();
        let all = diag.listeners(None).unwrap();
        assert_eq!(all.len(), 8);
        for (socket, (addr, v6only, limit)) in sockets.iter().zip([
            (any4, None, 5),
            (any6, Some(true), 6),
            ("[::]:82".parse().unwrap(), Some(false), 7),
            (v4(83), None, 8),
        ]) {
            let found = all
                .iter()
                .find(|l| l.cookie == socket_cookie(socket).unwrap())
                .unwrap();
            assert_eq!(
                (
                    found.addr,
                    found.v6only,
                    found.accept_queue_limit,
                    found.accept_queue_len
                ),
                (addr, v6only, limit, 0)
            );
            assert_eq!(
                (found.inode, found.uid, found.drops),
                (
                    inode_of(socket),
                    rustix::process::geteuid().as_raw(),
                    Some(0)
                )
            );
            assert!(began < found.taken_mono_ns && found.taken_mono_ns <= mono_ns());
        }
        // By itself each is what it is among all; of a group one is found, and never another one's answer.
        for known in &all {
            let alone = diag.listener(known.addr, known.cookie).unwrap();
            let same = alone.map(|alone| ListenerSnapshot {
                taken_mono_ns: known.taken_mono_ns,
                ..alone
            });
            if known.addr.port() != 90 {
                assert_eq!(same.as_ref(), Some(known));
            }
            assert!(same.is_none_or(|same| same == *known));
            assert_eq!(
                diag.listener(known.addr, known.cookie + 1000).unwrap(),
                None
            );
        }
        let found = all
            .iter()
            .filter(|l| l.addr.port() == 90)
            .filter(|l| diag.listener(l.addr, l.cookie).unwrap().is_some());
        assert_eq!(found.count(), 1);
        assert_eq!(diag.listener(v4(84), all[0].cookie).unwrap(), None);
        let cookies =
            |found: &[ListenerSnapshot]| found.iter().map(|l| l.cookie).collect::<HashSet<u64>>();
        let of_group = diag.listeners(Some(90)).unwrap();
        assert_eq!(of_group.len(), 4);
        assert_eq!(
            cookies(&of_group),
            group.iter().map(|s| socket_cookie(s).unwrap()).collect()
        );
        assert_eq!(diag.listeners(Some(82)).unwrap().len(), 1);
        assert_eq!(diag.listeners(Some(84)).unwrap(), []);
    })
    .unwrap();
}

/// More listeners than one datagram holds, so the dump goes over several.
#[test]
fn a_dump_of_many_datagrams() {
    let Some(ns) = private() else { return };
    ns.inside(|| {
        let sockets: Vec<OwnedFd> = (0..400)
            .flat_map(|i| {
                [
                    listener(v4(1000 + i), false, false, 1),
                    listener(v6(1000 + i), true, false, 1),
                ]
            })
            .collect();
        let mut diag = Diag::open().unwrap();
        let found = diag.listeners(None).unwrap();
        let expect: HashSet<u64> = sockets.iter().map(|s| socket_cookie(s).unwrap()).collect();
        assert_eq!(
            found.iter().map(|l| l.cookie).collect::<HashSet<_>>(),
            expect
        );
        assert!(!diag.is_spoiled());
    })
    .unwrap();
}

#[test]
fn connections_are_found_by_both_ends() {
    let Some(ns) = private() else { return };
    ns.inside(|| {
        let mut diag = Diag::open().unwrap();
        for (bound, to) in [
            (v4(80), v4(80)),
            ("[::]:81".parse().unwrap(), v6(81)),
            ("[::]:82".parse().unwrap(), v4(82)),
        ] {
            let server = TcpListener::from(listener(bound, false, false, 5));
            let client = TcpStream::connect(to).unwrap();
            let (child, from) = server.accept().unwrap();
            let (near, far) = (child.local_addr().unwrap(), child.peer_addr().unwrap());
            let cookie = socket_cookie(&child).unwrap();

            // `near` and `far` of a dual stack socket are v4-mapped; the packet's own addresses must do as well.
            for (local, remote) in [(near, far), (to, client.local_addr().unwrap())] {
                let found = diag
                    .connection(local, remote, Some(cookie))
                    .unwrap()
                    .unwrap();
                assert_eq!(
                    (found.cookie, found.state, found.inode),
                    (cookie, "ESTABLISHED", Some(inode_of(&child))),
                    "{local} {remote}"
                );
                assert_eq!(
                    (found.total_retrans, found.retransmits, found.unacked),
                    (Some(0), Some(0), Some(0))
                );
                assert!(found.rtt_us.is_some() && found.cwnd.is_some() && found.drops == Some(0));
                assert_eq!(
                    diag.connection(local, remote, None)
                        .unwrap()
                        .unwrap()
                        .cookie,
                    cookie
                );
            }
            let other = diag
                .connection(client.local_addr().unwrap(), to, None)
                .unwrap()
                .unwrap();
            assert_eq!(other.cookie, socket_cookie(&client).unwrap());
            assert_eq!(
                diag.connection(near, far, Some(cookie + 1_000_000))
                    .unwrap(),
                None
            );
            // Nothing there but the listener, which is no connection.
            assert_eq!(
                diag.connection(near, SocketAddr::new(from.ip(), 1), None)
                    .unwrap(),
                None
            );
            assert_eq!(
                diag.connection(SocketAddr::new(near.ip(), 9), from, None)
                    .unwrap(),
                None
            );
        }
        assert!(diag.connection(v4(1), v6(1), None).is_err());
    })
    .unwrap();
}

#[test]
fn an_overflow_shows_in_queue_drops_and_counters() {
    let Some(ns) = private() else { return };
    ns.sysctl("net.ipv4.tcp_syncookies", "0").unwrap();
    assert!(ns.sysctl("kernel/hostname", "x").is_err());
    assert!(ns.sysctl("net/../kernel/hostname", "x").is_err());
    let mut registry = Registry::new();
    let before = netstat::read(&mut registry, ns.inum()).unwrap();
    assert_eq!(
        (
            before.get("ListenOverflows"),
            before.get("OutRsts"),
            before.get("NoSuchCounter")
        ),
        (Some(0), Some(0), None)
    );

    let to = v4(80);
    let (server, attempts) = ns
        .inside(|| (listener(to, false, false, 1), clients(to, 5)))
        .unwrap();
    let mut pool = DiagPool::new();
    let diag = pool
        .get(|inum| registry.open(inum), ns.inum(), Instant::now())
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let (found, after) = loop {
        let found = diag.listeners(Some(80)).unwrap().remove(0);
        let after = netstat::read(&mut registry, ns.inum()).unwrap();
        if after.get("ListenOverflows").unwrap() >= 3 && found.drops.unwrap() >= 3 {
            break (found, after);
        }
        assert!(Instant::now() < deadline, "{found:?} {after:?}");
    };
    assert_eq!(
        (
            found.cookie,
            found.accept_queue_len,
            found.accept_queue_limit
        ),
        (socket_cookie(&server).unwrap(), 2, 1)
    );
    assert!(after.get("ListenDrops") >= after.get("ListenOverflows"));
    let local: SocketAddr = rustix::net::getsockname(&attempts[4])
        .unwrap()
        .try_into()
        .unwrap();
    let waiting = diag.connection(local, to, None).unwrap().unwrap();
    assert_eq!(
        (waiting.state, waiting.rtt_us, waiting.rttvar_us),
        ("SYN_SENT", None, None)
    );
    let waiting_for_accept: SocketAddr = rustix::net::getsockname(&attempts[0])
        .unwrap()
        .try_into()
        .unwrap();
    let child = diag
        .connection(to, waiting_for_accept, None)
        .unwrap()
        .unwrap();
    assert_eq!(
        (child.state, child.inode, child.uid),
        ("ESTABLISHED", None, None)
    );
}

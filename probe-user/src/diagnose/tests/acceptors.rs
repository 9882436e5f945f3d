//! Who accepts: what makes a cause, and beside it what looks the same and is not it.

use std::time::Duration;

use super::*;
use crate::model::{Awaits, hold::Standing, signals::Missing};

/// Somebody pressed it all the time, and it accepted nothing.
pub(super) fn standing(standing: Standing, blocking: bool) -> Signals {
    let mut signals = pinned();
    signals.processes[0].threads.clear();
    let member = &mut signals.members[0];
    member.standing = Some(standing);
    member.blocking = Some(blocking);
    member.limit_before = member.limit;
    member.served = Some(3);
    member.longest_full = Duration::from_secs(4);
    signals
}

/// A thread that did the same in all looks; the first is that of the process.
pub(super) fn with(mut signals: Signals, does: fn(&mut Thread)) -> Signals {
    let process = &mut signals.processes[0];
    let mut thread = Thread {
        tid: 7 + process.threads.len() as u32,
        comm: "server".into(),
        looks: 20,
        cpu: Some(0.0),
        delayed: Some(0.0),
        ..Thread::default()
    };
    does(&mut thread);
    process.threads.push(thread);
    signals
}

pub(super) fn epoll_elsewhere(thread: &mut Thread) {
    (thread.waiting, thread.elsewhere, thread.other_epoll) = (20, 20, 20);
}

fn polls_one(thread: &mut Thread) {
    (thread.waiting, thread.elsewhere, thread.stuck) = (20, 20, 20);
}

fn polls_several(thread: &mut Thread) {
    (thread.waiting, thread.elsewhere, thread.several) = (20, 20, 20);
}

fn epoll_here(thread: &mut Thread) {
    (thread.waiting, thread.here) = (20, 20);
}

pub(super) fn reads(thread: &mut Thread) {
    (thread.blocked, thread.stuck) = (20, 20);
    thread.blocked_in = Some("recvfrom".into());
}

pub(super) fn reads_from_client(thread: &mut Thread) {
    reads(thread);
    thread.on_client = Some(([10, 0, 0, 9], 999).into());
}

pub(super) fn idles(thread: &mut Thread) {
    thread.blocked = 20;
    thread.blocked_in = Some("futex".into());
}

pub(super) fn computes(thread: &mut Thread) {
    thread.cpu = Some(0.95);
}

fn check(id: &str, signals: &Signals) {
    let said = diagnose(signals);
    assert_eq!(found(signals), [id], "{:?}", said.ruled_out);
}

#[test]
fn paused() {
    use Standing::{Absent, Disarmed, Edge, NoEpoll};
    let paused = "accept-paused-by-application";
    // HAProxy at maxconn; memcached, whose workers and clocks sleep beside it; a loop of poll(2).
    check(paused, &with(standing(Absent, false), epoll_elsewhere));
    let memcached = with(with(standing(Absent, false), epoll_elsewhere), idles);
    check(paused, &memcached);
    check(paused, &with(standing(NoEpoll, false), polls_several));
    // It takes one when another has left; as many as the queue holds, again and again, is no pause.
    let mut some = with(standing(Absent, false), epoll_elsewhere);
    some.members[0].accepted_while_full = Some(5);
    check(paused, &some);
    some.members[0].turned_over = Some(true);
    check("undetermined", &some);
    // Beside who serves a client by a thread, with the listener in an epoll instance before.
    let mut taken_out = with(with(standing(Absent, false), epoll_elsewhere), reads);
    check("undetermined", &taken_out);
    taken_out.members[0].was_armed = true;
    check(paused, &taken_out);
    // Java NIO without interest, Erlang's one-shot; Go.
    check(
        paused,
        &with(with(standing(Disarmed, false), epoll_here), idles),
    );
    check(paused, &with(standing(Disarmed, false), idles));
    check(
        paused,
        &with(with(standing(Edge, false), epoll_here), idles),
    );
    // One thread that does all, by a listener that accept(2) would wait for.
    let mut one = with(standing(Absent, true), epoll_elsewhere);
    check(paused, &one);
    // With no more connections than threads it may have accepted one, and run a loop for that.
    one.members[0].served = Some(1);
    check("undetermined", &one);
}

#[test]
fn limit_that_fell() {
    let mut memcached = with(standing(Standing::Absent, false), epoll_elsewhere);
    memcached.members[0].limit = 0;
    memcached.members[0].limit_before = 0;
    memcached.processes[0].fds = Some((20, 20));
    let said = diagnose(&memcached);
    assert_eq!(said.verdicts.len(), 1, "{said:?}");
    assert_eq!(said.verdicts[0].id, "accept-paused-by-application");
    let evidence = format!("{:?}", said.verdicts[0].evidence);
    assert!(evidence.contains("20 of 20 descriptors"), "{evidence}");
    assert!(evidence.contains("limit of its queue is 0"), "{evidence}");
    memcached.members[0].limit_before = 10;
    let said = diagnose(&memcached).verdicts;
    let evidence = format!("{:?}", said[0].evidence);
    assert!(evidence.contains("was 10 and is 0 now"), "{evidence}");
    // Who takes connections one by one has no room for two.
    let mut zero = with(standing(Standing::Level, false), idles);
    let member = &mut zero.members[0];
    (member.limit, member.limit_before, member.peak) = (0, 0, 1);
    (member.accepted, member.accepted_while_full) = (Some(50), None);
    (member.full_looks, member.longest_full) = (2, Duration::ZERO);
    check("backlog-zero", &zero);
    zero.members[0].limit_before = 10;
    check("undetermined", &zero);
    zero.members[0].limit_before = 0;
    zero.members[0].peak = 2;
    check("undetermined", &zero);
}

#[test]
fn blocked() {
    use Standing::{Absent, Edge, Level, NoEpoll};
    let blocked = "acceptor-blocked";
    // A thread of its own accepts, in a program whose loop waits for something else.
    let metrics = with(
        with(standing(Absent, true), epoll_elsewhere),
        reads_from_client,
    );
    check(blocked, &metrics);
    let locked = with(with(standing(Absent, true), epoll_elsewhere), idles);
    check(blocked, &locked);
    // With a timeout: accept(2) does not wait, poll(2) does.
    let timeout = with(
        with(standing(Absent, false), epoll_elsewhere),
        reads_from_client,
    );
    check(blocked, &timeout);
    // It waits for a name server, and has taken one connection; one with many may be at its limit.
    let mut dns = with(with(standing(Absent, false), epoll_elsewhere), polls_one);
    check("undetermined", &dns);
    dns.members[0].served = Some(1);
    check(blocked, &dns);
    // Apache's workers wait for clients by poll(2), Node for a child by an epoll instance of its own, HAProxy by wait4(2).
    check(blocked, &with(standing(Level, false), polls_one));
    check(
        blocked,
        &with(with(standing(Level, false), epoll_elsewhere), idles),
    );
    check(
        blocked,
        &with(with(standing(Level, false), reads), epoll_elsewhere),
    );
    check(blocked, &with(standing(Edge, false), reads));
    // No epoll at all.
    check(blocked, &with(standing(NoEpoll, true), polls_one));
    check(blocked, &with(standing(NoEpoll, false), polls_one));
    // One that waits for it says otherwise.
    let waits = with(with(standing(Level, false), reads), epoll_here);
    check("undetermined", &waits);
}

#[test]
fn busy_beside_stuck() {
    use Standing::{Absent, Level};
    let one = || with(standing(Standing::NoEpoll, true), reads_from_client);
    check("acceptor-blocked", &with(one(), computes));
    // Several that serve clients beside one that never rests: that may be who accepts.
    let pool = with(with(one(), reads_from_client), computes);
    check("undetermined", &pool);
    // Nor is it told where it waits for a backend, or in a loop.
    check(
        "undetermined",
        &with(with(standing(Absent, true), reads), computes),
    );
    check(
        "undetermined",
        &with(with(standing(Level, false), idles), computes),
    );
    // A loop that computes, whose helpers have nothing to do, is who accepts.
    let node = with(with(standing(Level, false), computes), idles);
    check("acceptor-saturated", &node);
    // Something was accepted: those who serve clients do not hold it up.
    let mut threads = with(with(standing(Absent, true), computes), reads_from_client);
    threads.members[0].accepted_while_full = Some(90);
    check("acceptor-saturated", &threads);
}

#[test]
fn collectors() {
    fn collects(thread: &mut Thread) {
        (thread.comm, thread.cpu) = ("GC Thread#1".into(), Some(0.9));
    }
    fn compiles(thread: &mut Thread) {
        (thread.comm, thread.cpu) = ("C2 CompilerThre".into(), Some(0.9));
    }
    let java = || {
        with(
            with(standing(Standing::Absent, true), idles),
            epoll_elsewhere,
        )
    };
    check("garbage-collection", &with(java(), collects));
    // Who runs meanwhile was not stopped, and who compiles stops nobody.
    check("undetermined", &with(with(java(), collects), computes));
    check("undetermined", &with(java(), compiles));
}

#[test]
fn unused() {
    use Standing::{Absent, Level, NoEpoll};
    let unused = "listener-unused";
    let of = |mut signals: Signals| {
        signals.members[0].served = Some(0);
        signals.closed_here = Some(0);
        signals
    };
    let mut lately = of(with(standing(Absent, false), epoll_elsewhere));
    check(unused, &lately);
    // The kernel still knows connections that this side has closed; or they could not be asked for.
    lately.closed_here = Some(4);
    assert!(!found(&lately).contains(&unused), "{:?}", found(&lately));
    lately.closed_here = None;
    assert!(diagnose(&lately).abstained.contains(&unused));
    // Who has asked the DNS, or somebody else by UDP, waits to go on.
    let dns = Awaits::DnsAmong(([127, 0, 0, 53], 53).into());
    for awaits in [dns, Awaits::Peers(2)] {
        for does in [polls_several, epoll_elsewhere] {
            let mut asks = of(with(standing(NoEpoll, false), does));
            asks.processes[0].threads[0].awaits = Some(awaits.clone());
            check("acceptor-blocked", &asks);
            // Beside a loop that waits for whatever comes, either may be who accepts.
            let both = with(asks, epoll_elsewhere);
            assert!(!found(&both).contains(&unused), "{:?}", found(&both));
        }
    }
    // It may have, or waits for something else.
    let mut may = of(with(standing(NoEpoll, false), polls_several));
    may.processes[0].threads[0].awaits = Some(Awaits::PeersAmong(2));
    check("undetermined", &may);
    // A poll of a single socket waits for a peer.
    let mut stuck = of(with(standing(NoEpoll, false), polls_several));
    stuck.processes[0].threads[0].stuck = 20;
    assert!(!found(&stuck).contains(&unused), "{:?}", found(&stuck));
    check(
        unused,
        &of(with(with(standing(Absent, false), epoll_elsewhere), idles)),
    );
    check(unused, &of(with(standing(NoEpoll, false), polls_several)));
    // Where accept(2) waits, whoever sleeps in poll may come back to it.
    check(
        "undetermined",
        &of(with(standing(NoEpoll, true), polls_several)),
    );
    // Who has set the limit lower is somebody.
    let mut lowered = of(with(standing(Absent, false), epoll_elsewhere));
    lowered.members[0].limit_before = lowered.members[0].limit + 1;
    check("accept-paused-by-application", &lowered);
    let mut short = of(with(standing(Absent, false), epoll_elsewhere));
    (short.members[0].limit, short.members[0].limit_before) = (0, 0);
    short.processes[0].fds = Some((12, 12));
    assert!(!found(&short).contains(&unused), "{:?}", found(&short));
    // Somebody who is stuck may be about to accept, and who has a connection has accepted.
    check(
        "acceptor-blocked",
        &of(with(standing(NoEpoll, true), reads)),
    );
    check(
        "acceptor-blocked",
        &of(with(standing(NoEpoll, true), idles)),
    );
    check(
        "acceptor-blocked",
        &of(with(with(standing(Level, false), idles), epoll_elsewhere)),
    );
    // Where accept(2) waits, one that sleeps in a lock may have accepted before.
    let locked = with(with(standing(Absent, true), epoll_elsewhere), idles);
    check("undetermined", &of(locked));
    let mut not_asked = of(with(standing(Absent, false), epoll_elsewhere));
    not_asked.members[0].served = None;
    check("accept-paused-by-application", &not_asked);
}

/// A master whose workers have left: 9 were accepted before.
pub(super) fn left_by(does: fn(&mut Thread)) -> Signals {
    let mut signals = with(standing(Standing::NoEpoll, false), does);
    let member = &mut signals.members[0];
    member.served = Some(0);
    member.accepted = Some(9);
    member.missing = Some(Missing {
        gone: vec!["worker[8]".into()],
        in_all: 1,
        stayed_long: true,
        may_have_accepted: true,
        since: Duration::from_secs(3),
        accepted_before: Some(9),
        accepted_since: Some(0),
        ..Missing::default()
    });
    signals
}

#[test]
fn missing() {
    let missing = "acceptor-missing";
    check(missing, &left_by(polls_several));
    // Of looks that did not find all of them it is not known who left, and so neither that nobody did.
    let mut cut = left_by(polls_several);
    (cut.members[0].holders_cut, cut.members[0].missing) = (true, None);
    assert!(diagnose(&cut).abstained.contains(&missing));
    check(missing, &left_by(epoll_elsewhere));
    let sigsuspend = |thread: &mut Thread| {
        thread.blocked = 20;
        thread.blocked_in = Some("rt_sigsuspend (sigsuspend)".into());
    };
    check(missing, &left_by(sigsuspend));
    // Workers that crash again and again: the newest computes, and has accepted nothing.
    let mut loops = with(left_by(polls_several), |_| {});
    let worker = Process {
        pid: 30,
        threads: vec![Thread {
            tid: 30,
            looks: 5,
            cpu: Some(1.0),
            ..Thread::default()
        }],
        is_whole: true,
        ..loops.processes[0].clone()
    };
    loops.processes[0].threads.truncate(1);
    loops.processes.push(worker);
    loops.members[0].owners = 2;
    loops.members[0].accepted = Some(0);
    let of = |signals: &mut Signals, change: fn(&mut Missing)| {
        let known = signals.members[0].missing.as_mut();
        change(known.expect("somebody left"));
    };
    of(&mut loops, |m| {
        (m.newcomers, m.in_all, m.came, m.accepted_before) = (vec![30], 3, 3, Some(0));
        m.since_first = Duration::from_secs(5);
        // The last one has only just ended.
        m.since = Duration::ZERO;
    });
    check(missing, &loops);
    // Its master waits for the next of them to end.
    let mut waits = loops.clone();
    waits_for_child(&mut waits.processes[0].threads[0]);
    check(missing, &waits);
    of(&mut waits, |m| (m.in_all, m.came) = (1, 1));
    check("acceptor-saturated", &waits);
    // The same who has been there all the time, or waits for connections, is who accepts.
    let mut stayed = loops.clone();
    of(&mut stayed, |m| m.newcomers.clear());
    check("acceptor-saturated", &stayed);
    loops.processes[1].threads[0].here = 1;
    check("acceptor-saturated", &loops);
}

/// Each looks the same, but for one signal.
#[test]
fn not_missing() {
    fn known(signals: &mut Signals) -> &mut Missing {
        signals.members[0].missing.as_mut().expect("somebody left")
    }
    let but = |does, change: fn(&mut Signals)| {
        let mut signals = left_by(does);
        change(&mut signals);
        let said = diagnose(&signals);
        assert!(!found(&signals).contains(&"acceptor-missing"), "{said:?}");
    };
    // Who stayed may be who accepts: it sleeps in a call, in a lock, for a child, or runs.
    for does in [reads, idles, waits_for_child, computes] {
        but(does, |_| {});
    }
    but(polls_several, |s| known(s).accepted_since = Some(1));
    but(polls_several, |s| known(s).accepted_since = None);
    but(polls_several, |s| s.members[0].served = Some(1));
    but(polls_several, |s| s.members[0].served = None);
    // A helper that came after the last one was accepted.
    but(polls_several, |s| known(s).may_have_accepted = false);
    // Who waits for a peer by poll.
    but(polls_several, |s| s.processes[0].threads[0].stuck = 20);
    but(polls_several, |s| known(s).accepted_before = Some(0));
    but(polls_several, |s| known(s).since = Duration::from_secs(1));
    // Nor has who stayed stopped to accept.
    let mut soon = left_by(epoll_elsewhere);
    known(&mut soon).since = Duration::from_secs(1);
    check("undetermined", &soon);
    soon.members[0].served = Some(4);
    check("accept-paused-by-application", &soon);
    but(polls_several, |s| s.members[0].missing = None);
    but(polls_several, |s| {
        known(s).is_left_to_one_that_waited = true;
    });
    but(polls_several, |s| s.members[0].owners = 2);
    but(polls_several, |s| s.members[0].unsampled = 3);
}

fn waits_for_child(thread: &mut Thread) {
    (thread.blocked, thread.stuck) = (20, 20);
    (thread.waiting, thread.elsewhere, thread.several) = (0, 0, 0);
    thread.blocked_in = Some("wait4 (do_wait)".into());
}

#[test]
fn pools() {
    // Sixteen of forty were looked at.
    let mut pool = with(standing(Standing::NoEpoll, true), reads);
    (pool.members[0].owners, pool.members[0].unsampled) = (40, 39);
    let said = diagnose(&pool);
    assert_eq!(said.verdicts[0].id, "acceptor-blocked");
    let evidence = format!("{:?}", said.verdicts[0].evidence);
    assert!(evidence.contains("1 of 40 processes"), "{evidence}");
    // One that could be looked at and was not is no sample.
    pool.members[0].unsampled = 0;
    check("undetermined", &pool);
}

#[test]
fn group_whose_full_member_stands_still() {
    let beside = || Member {
        cookie: 2,
        limit: 16,
        accepted: Some(50),
        looks: 20,
        ..Member::default()
    };
    // Two of its threads: one serves the other member, the other is stuck.
    let mut haproxy = with(
        with(standing(Standing::Level, false), reads),
        epoll_elsewhere,
    );
    haproxy.members.push(beside());
    check("acceptor-blocked", &haproxy);
    // It is not known who is stuck: still no matter of balance.
    let mut unknown = with(standing(Standing::Level, false), |_| {});
    unknown.members.push(beside());
    check("undetermined", &unknown);
}

/// Two looks in a row found a queue of 5 full by chance: six came and went between them, and who accepts waited for a CPU.
pub(super) fn load() -> Signals {
    let mut load = burst();
    let member = &mut load.members[0];
    (member.limit, member.peak, member.accepted) = (5, 6, Some(4000));
    (member.full_looks, member.drained_looks) = (15, 3);
    member.longest_full = Duration::from_millis(153);
    thread(&mut load).delayed = Some(0.6);
    load
}

#[test]
fn short_queues_under_load() {
    let mut load = load();
    check("acceptor-starved", &load);
    load.members[0].turned_over = Some(true);
    check("backlog-too-small", &load);
    // One that computes all the time would not keep up with a longer queue either.
    thread(&mut load).delayed = Some(0.0);
    thread(&mut load).cpu = Some(0.95);
    check("acceptor-saturated", &load);
    // More are refused than it accepts.
    thread(&mut load).cpu = Some(0.2);
    load.members[0].refusals = 9000;
    check("undetermined", &load);
}

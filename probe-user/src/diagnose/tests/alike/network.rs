//! The SYN queue, nobody who listens, and what happens on the way.

use super::super::{
    around::published,
    network::{crowded, of, put_off},
};
use super::*;
use crate::model::{
    around::Sources,
    signals::{Death, Ending, Probe},
    socket::HalfOpen,
};

pub(super) fn syn_queue() -> Vec<Row> {
    vec![
        Row(
            "defer-accept-holds-requests",
            "syn-flood",
            "sock_diag",
            put_off(crowded(300, 4, (33, 30, 0)), 4),
            |s| {
                let requests = s.members[0].half_open.as_mut();
                requests.expect("it has some").resent = 30;
            },
        ),
        Row(
            "syn-flood",
            "path-loss",
            "SYNs, one by one",
            crowded(300, 0, (33, 30, 30)),
            |s| s.tries.repeated = 120,
        ),
        Row(
            "legitimate-burst",
            "syn-flood",
            "hooks and sock_diag",
            crowded(300, 400, (33, 2, 2)),
            |s| s.members[0].established = 4,
        ),
        Row(
            "cookies-off",
            "undetermined",
            "/proc/sys/net",
            changed(of(&[(Kind::RequestDrop, "syn-queue-full", 5)]), |s| {
                s.members.push(Member::default());
                s.sysctls.syncookies = Some(0);
            }),
            |s| s.sysctls.syncookies = Some(1),
        ),
    ]
}

pub(super) fn nobody_there() -> Vec<Row> {
    let closed = || {
        let mut signals = of(&[(Kind::Refused, "listener-closed", 9)]);
        signals.members.push(Member::default());
        signals
    };
    let mut died = closed();
    died.deaths.push(Death {
        stays: false,
        who: "server[7]".into(),
        ending: Ending::Signal(9),
        outlived: false,
        back: Some(Duration::from_secs(1)),
        by: None,
    });
    let mut elsewhere = of(&[(Kind::Refused, "listener-in-other-namespace", 9)]);
    elsewhere.elsewhere.push("10.0.0.1:80".into());
    vec![
        Row(
            "listener-closed-with-queue",
            "listener-restarting",
            "the kernel's decisions",
            changed(
                of(&[(Kind::ListenerClosed, "queued-connections-reset", 9)]),
                |s| {
                    s.members.push(Member::default());
                },
            ),
            |s| s.causes = of(&[(Kind::Refused, "listener-closed", 9)]).causes,
        ),
        Row(
            "process-died",
            "listener-restarting",
            "exit_code of the task that closed it",
            died,
            |s| s.deaths[0].ending = Ending::Signal(15),
        ),
        Row(
            "listener-elsewhere",
            "listener-restarting",
            "sock_diag",
            elsewhere,
            |s| {
                s.is_gap = true;
                s.members.push(Member::default());
            },
        ),
        Row(
            "listener-restarting",
            "no-listener",
            "the kernel's decisions",
            closed(),
            |s| s.members.clear(),
        ),
        Row(
            "no-listener",
            "listener-elsewhere",
            "the kernel's decisions",
            of(&[(Kind::Refused, "no-listener", 9)]),
            |s| s.causes = of(&[(Kind::Refused, "listener-on-other-address", 9)]).causes,
        ),
    ]
}

pub(super) fn on_the_way() -> Vec<Row> {
    let dropped = |cause| of(&[(Kind::PacketDrop, cause, 40)]);
    let mut lost = silent();
    thread(&mut lost).stopped = 20;
    lost.members[0].half_open = Some(HalfOpen {
        in_all: 9,
        aged: 6,
        resent: 6,
        clients: 1,
    });
    vec![
        Row(
            "conntrack-full",
            "rejected-by-firewall",
            "/proc/net/stat/nf_conntrack",
            changed(dropped("netfilter-drop"), |s| {
                (s.conntrack, s.untracked) = (Some((100, 100)), Some(40));
            }),
            |s| s.untracked = Some(3),
        ),
        Row(
            "rejected-by-firewall",
            "path-loss",
            "the kernel's decisions",
            changed(dropped("netfilter-drop"), |s| {
                s.probe = Some(Probe::Unanswered);
            }),
            |s| s.causes.clear(),
        ),
        Row(
            "timestamps-rejected",
            "dropped-by-kernel",
            "the kernel's decisions",
            dropped("tcp-rfc7323-paws"),
            |s| s.causes = of(&[(Kind::PacketDrop, "tcp-md5failure", 40)]).causes,
        ),
        Row(
            "dropped-by-kernel",
            "rejected-by-firewall",
            "the kernel's decisions",
            dropped("ip-rpfilter"),
            |s| s.causes = of(&[(Kind::PacketDrop, "netfilter-drop", 40)]).causes,
        ),
        Row(
            "memory-or-route",
            "path-loss",
            "the kernel's decisions",
            changed(of(&[(Kind::ListenDrop, "no-route", 9)]), |s| s.refusals = 9),
            |s| {
                (s.refusals, s.resent) = (0, 9);
                s.causes.clear();
            },
        ),
        Row(
            "path-loss",
            "acceptor-stopped",
            "the kernel's decisions",
            lost,
            |s| {
                s.refusals = 40;
                caused(s, Kind::Overflow, "accept-queue-full", 40);
            },
        ),
    ]
}

pub(super) fn elsewhere() -> Vec<Row> {
    let mut published = published();
    published.unanswered = 3;
    published.listeners.clear();
    let sources = Sources {
        from: published.from.ip(),
        to: published.from,
        taken: 10,
        time_wait: 0,
        reuses: Some(false),
    };
    vec![
        Row(
            "redirected-elsewhere",
            NONE,
            "/proc/net/nf_conntrack",
            Signals {
                redirects: Some(vec![published]),
                ..Signals::default()
            },
            |s| {
                let redirects = s.redirects.iter_mut().flatten();
                redirects.for_each(|one| one.unanswered = 0);
            },
        ),
        Row(
            "source-ports-exhausted",
            NONE,
            "sock_diag, net.ipv4.ip_local_port_range",
            Signals {
                exhausted: Some((vec![sources], 10)),
                ..Signals::default()
            },
            |s| s.exhausted = Some((Vec::new(), 10)),
        ),
    ]
}

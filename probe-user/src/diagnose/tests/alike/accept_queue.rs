//! The accept queue was full.

use super::super::{
    acceptors::{
        computes, epoll_elsewhere, idles, left_by, load, reads, reads_from_client, standing, with,
    },
    forked::forked,
    network::crowded,
};
use super::*;
use crate::model::hold::Standing;

/// Who sleeps all the time, beside a thread of the same process that collects garbage.
fn java() -> Signals {
    let idle = with(standing(Standing::Absent, true), idles);
    let mut java = with(with(idle, epoll_elsewhere), computes);
    java.processes[0].threads[2].comm = "GC Thread#1".into();
    java.members[0].accepted_while_full = Some(5);
    java
}

/// Who accepts could not run.
pub(super) fn not_running() -> Vec<Row> {
    vec![
        Row(
            "acceptor-stopped",
            "acceptor-blocked",
            "/proc/PID/task/TID/stat",
            changed(pinned(), |s| thread(s).stopped = 20),
            |s| (thread(s).stopped, thread(s).blocked) = (0, 20),
        ),
        Row(
            "cpu-throttled",
            "acceptor-saturated",
            "cpu.stat",
            changed(pinned(), |s| {
                cgroup(s).throttled = Some((0.6, 9));
                thread(s).cpu = Some(0.9);
            }),
            |s| cgroup(s).throttled = Some((0.0, 0)),
        ),
        Row(
            "memory-stalled",
            "acceptor-blocked",
            "memory.pressure",
            changed(pinned(), |s| {
                cgroup(s).memory_stalled = Some(0.5);
                thread(s).blocked = 20;
            }),
            |s| cgroup(s).memory_stalled = Some(0.0),
        ),
        Row(
            "fd-exhausted",
            "acceptor-saturated",
            "/proc/PID/fd, limits",
            changed(pinned(), |s| {
                s.processes[0].fds = Some((64, 64));
                thread(s).cpu = Some(1.0);
            }),
            |s| s.processes[0].fds = Some((64, 1024)),
        ),
        Row(
            "garbage-collection",
            "acceptor-saturated",
            "/proc/PID/task/TID/schedstat",
            java(),
            |s| s.processes[0].threads[2].comm = "worker".into(),
        ),
        Row(
            "acceptor-saturated",
            "acceptor-starved",
            "/proc/PID/task/TID/schedstat",
            changed(pinned(), |s| thread(s).cpu = Some(0.97)),
            |s| (thread(s).cpu, thread(s).delayed) = (Some(0.2), Some(0.77)),
        ),
        Row(
            "acceptor-saturated",
            "acceptor-blocked",
            "hooks and sock_diag",
            changed(
                with(
                    with(standing(Standing::NoEpoll, true), reads_from_client),
                    computes,
                ),
                |s| s.members[0].accepted_while_full = Some(90),
            ),
            |s| s.members[0].accepted_while_full = Some(0),
        ),
        Row(
            "acceptor-starved",
            "backlog-too-small",
            "hooks and sock_diag",
            load(),
            |s| s.members[0].turned_over = Some(true),
        ),
    ]
}

/// It could run, and did something else.
pub(super) fn doing_something_else() -> Vec<Row> {
    vec![
        Row(
            "reuseport-orphan",
            "acceptor-blocked",
            "/proc/PID/fdinfo",
            changed(beside(pinned()), |s| {
                s.members[0].polled = Some(false);
                thread(s).blocked = 20;
            }),
            |s| s.members[0].polled = Some(true),
        ),
        Row(
            "acceptor-missing",
            "accept-paused-by-application",
            "hooks and sock_diag",
            left_by(epoll_elsewhere),
            |s| s.members[0].served = Some(4),
        ),
        Row(
            "listener-unused",
            "accept-paused-by-application",
            "sock_diag",
            changed(
                with(standing(Standing::Absent, false), epoll_elsewhere),
                |s| {
                    s.members[0].served = Some(0);
                    s.closed_here = Some(0);
                },
            ),
            |s| s.members[0].served = Some(3),
        ),
        Row(
            "accept-paused-by-application",
            "acceptor-blocked",
            "/proc/PID/fdinfo",
            with(
                with(standing(Standing::Absent, false), epoll_elsewhere),
                idles,
            ),
            |s| s.members[0].standing = Some(Standing::Level),
        ),
        Row(
            "acceptor-blocked",
            "accept-paused-by-application",
            "/proc/PID/fdinfo",
            with(
                with(standing(Standing::Absent, true), epoll_elsewhere),
                reads,
            ),
            |s| s.members[0].was_armed = true,
        ),
        Row(
            "undetermined",
            "acceptor-blocked",
            "/proc/PID/task/TID/syscall, wchan",
            with(with(standing(Standing::Level, false), idles), |_| {}),
            |s| s.processes[0].threads[1].blocked = 20,
        ),
        Row(
            "acceptor-blocked",
            "undetermined",
            "/proc/PID/stat, tcp_info",
            changed(forked(), |s| {
                (s.processes[2].has_inherited, s.processes[2].has_accepted) = (false, true);
            }),
            |s| (s.processes[2].has_inherited, s.processes[2].has_accepted) = (true, false),
        ),
    ]
}

/// The accept queue itself.
pub(super) fn too_short() -> Vec<Row> {
    vec![
        Row(
            "backlog-zero",
            "acceptor-blocked",
            "hooks and sock_diag",
            changed(pinned(), |s| {
                let member = &mut s.members[0];
                (member.limit, member.peak) = (0, 1);
                member.accepted_while_full = Some(30);
            }),
            |s| {
                s.members[0].accepted_while_full = Some(0);
                thread(s).blocked = 20;
            },
        ),
        Row(
            "reuseport-imbalance",
            "acceptor-stopped",
            "/proc/PID/task/TID/stat",
            changed(beside(pinned()), |s| {
                s.members[0].accepted = Some(100);
                s.members[0].accepted_while_full = Some(5);
            }),
            |s| thread(s).stopped = 20,
        ),
        Row(
            "somaxconn-clamps-backlog",
            "backlog-too-small",
            "/proc/sys/net",
            changed(burst(), |s| s.sysctls.somaxconn = Some(16)),
            |s| s.sysctls.somaxconn = Some(4096),
        ),
        Row(
            "backlog-too-small",
            "acceptor-stopped",
            "sock_diag",
            changed(burst(), |s| {
                let member = &mut s.members[0];
                (member.looks, member.drained_looks) = (600, 590);
                member.full_looks = 6;
                thread(s).stopped = 20;
            }),
            |s| s.members[0].longest_full = Duration::from_millis(300),
        ),
        Row(
            "backlog-too-deep",
            NONE,
            "hooks and sock_diag",
            changed(silent(), |s| {
                let waits = (Duration::from_millis(1200), Duration::from_secs(3));
                s.members[0].wait = Some(waits);
            }),
            |s| s.members[0].wait = Some((Duration::from_millis(80), Duration::from_secs(3))),
        ),
        Row(
            "abort-on-overflow",
            "listener-closed-with-queue",
            "the kernel's decisions",
            changed(pinned(), |s| {
                caused(s, Kind::Overflow, "abort-on-overflow", 9);
            }),
            |s| {
                s.causes.clear();
                caused(s, Kind::ListenerClosed, "queued-connections-reset", 9);
            },
        ),
        Row(
            "cookies-with-full-queue",
            "legitimate-burst",
            "the kernel's decisions",
            changed(crowded(300, 400, (33, 2, 2)), |s| {
                caused(s, Kind::Overflow, "ghost-connection", 9);
            }),
            |s| caused(s, Kind::Overflow, "ghost-connection", 0),
        ),
    ]
}

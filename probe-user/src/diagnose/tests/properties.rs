//! What holds for any signals.

use proptest::prelude::*;

use super::*;
use crate::model::{
    signals::{Causes, Cgroup, Member, Process, Signals, Thread},
    sysctls::Sysctls,
    verdict::Confidence,
};

/// The kernel side's names of what can happen, each of which some rule may look at.
const CAUSES: [(Kind, &str); 15] = [
    (Kind::Overflow, "accept-queue-full"),
    (Kind::Overflow, "abort-on-overflow"),
    (Kind::Overflow, "ghost-connection"),
    (Kind::RequestDrop, "syn-queue-full"),
    (Kind::ListenDrop, "max-syn-backlog"),
    (Kind::ListenDrop, "no-memory"),
    (Kind::Refused, "no-listener"),
    (Kind::Refused, "listener-closed"),
    (Kind::Refused, "listener-on-other-address"),
    (Kind::PacketDrop, "netfilter-drop"),
    (Kind::PacketDrop, "tcp-rfc7323-paws"),
    (Kind::ListenerClosed, "queued-connections-reset"),
    (Kind::RequestExpired, "no-ack"),
    (Kind::CookieSent, "syn-queue-full"),
    (Kind::ResetReceived, "reset-by-client"),
];

prop_compose! {
    fn any_thread()(
        tid in 1..99_u32, looks in 0..30_u32, stopped in 0..30_u32, blocked in 0..30_u32, waiting in 0..30_u32,
        cpu in proptest::option::of(0.0..1.0), delayed in proptest::option::of(0.0..1.0),
    ) -> Thread {
        Thread { tid, looks, stopped, blocked, waiting, cpu, delayed, ..Thread::default() }
    }
}

prop_compose! {
    fn any_process()(
        pid in 1..99_u32, threads in proptest::collection::vec(any_thread(), 0..4), is_whole: bool,
        fds in proptest::option::of((0..9_u64, 0..9_u64)), throttled in proptest::option::of((0.0..1.0, 0..9_u64)),
        memory_stalled in proptest::option::of(0.0..1.0), frozen in 0..20_u32,
    ) -> Process {
        let cgroup = Some(Cgroup { throttled, memory_stalled, frozen, looks: 20, ..Cgroup::default() });
        Process { pid, threads, is_whole, fds, cgroup, ..Process::default() }
    }
}

prop_compose! {
    fn any_member()(
        limit in 0..40_u32, refusals in 0..4_u64, accepted in proptest::option::of(0..99_u64), established in 0..99_u64,
        looks in 0..30_u32, full_looks in 0..30_u32, drained_looks in 0..30_u32, longest_ms in 0..300_u64,
        accepted_while_full in proptest::option::of(0..9_u64), owners in 0..3_usize, polled: Option<bool>, peak in 0..40_u32,
    ) -> Member {
        Member {
            limit, refusals, accepted, established, looks, full_looks, drained_looks, accepted_while_full, owners, polled,
            peak, longest_full: std::time::Duration::from_millis(longest_ms),
            ..Member::default()
        }
    }
}

prop_compose! {
    fn any_signals()(
        mut members in proptest::collection::vec(any_member(), 0..4),
        processes in proptest::collection::vec(any_process(), 0..4),
        counts in proptest::collection::vec(0..3_u64, CAUSES.len()), scale in prop_oneof![Just(0_u64), Just(1), Just(60)],
        somaxconn in proptest::option::of(0..40_u32), syncookies in proptest::option::of(0..3_u32),
        conntrack in proptest::option::of((0..3_u32, 1..3_u32)), blind: bool,
    ) -> Signals {
        for (member, cookie) in members.iter_mut().zip(1..) {
            member.cookie = cookie;
        }
        let causes: Causes = CAUSES
            .iter()
            .zip(counts)
            .map(|((kind, cause), n)| ((*kind, (*cause).to_owned()), n * scale))
            .collect();
        let refusals = causes.iter().filter(|((kind, _), _)| kind.is_refusal()).map(|(_, n)| n).sum();
        let blind = if blind { vec!["refused", "packet-drop", "request-expired"] } else { Vec::new() };
        let sysctls = Sysctls { somaxconn, syncookies, ..Sysctls::default() };
        Signals { causes, refusals, members, processes, sysctls, conntrack, blind, ..Signals::default() }
    }
}

proptest! {
    #[test]
    fn never_a_verdict_without_evidence(signals in any_signals()) {
        let diagnosis = diagnose(&signals);
        for verdict in &diagnosis.verdicts {
            prop_assert!(!verdict.evidence.is_empty(), "{}", verdict.id);
        }
        let of_overflow = diagnosis.verdicts.iter().filter(|verdict| rules::explains_overflow(verdict.id));
        let may_be_zero = signals.of_kind(Kind::CookieSent) + signals.refusals > 0;
        prop_assert!(of_overflow.count() == 0 || signals.overflows() > 0 || may_be_zero);
    }

    #[test]
    fn what_was_refused_has_a_verdict_and_nothing_has_none(signals in any_signals()) {
        let found = found(&signals);
        if signals.causes.values().all(|n| *n == 0) {
            prop_assert!(found.is_empty(), "{found:?}");
        }
        let missed = [Kind::Refused, Kind::PacketDrop].map(|kind| signals.of_kind(kind));
        if signals.refusals + missed.iter().sum::<u64>() > 0 {
            prop_assert!(!found.is_empty());
        }
    }

    #[test]
    fn order_does_not_matter(
        (signals, shuffled) in any_signals().prop_flat_map(|signals| {
            let members = Just(signals.members.clone()).prop_shuffle();
            let processes = Just(signals.processes.clone()).prop_shuffle();
            let as_it_was = signals.clone();
            let shuffled = (members, processes).prop_map(move |(members, mut processes)| {
                for process in &mut processes {
                    process.threads.reverse();
                }
                Signals { members, processes, ..as_it_was.clone() }
            });
            (Just(signals), shuffled)
        }),
    ) {
        prop_assert_eq!(found(&signals), found(&shuffled));
    }

    /// What was not looked at has no cause in whoever accepts.
    #[test]
    fn without_looks_only_the_kernel_speaks(signals in any_signals()) {
        let causes_only = Signals { causes: signals.causes, refusals: signals.refusals, ..Signals::default() };
        for verdict in diagnose(&causes_only).verdicts {
            prop_assert!(!rules::explains_overflow(verdict.id), "{}", verdict.id);
            let is_sure = verdict.confidence == Confidence::Certain
                || matches!(verdict.id, "path-loss" | "memory-or-route");
            prop_assert!(is_sure, "{}", verdict.id);
        }
    }

    /// Who was not refused has no verdict, whatever happened to others.
    #[test]
    fn only_the_client_that_is_asked_about(signals in any_signals()) {
        let waits = |id: &&str| *id == "backlog-too-deep";
        let of_client = Signals {
            everybody: Some(signals.causes.clone()),
            causes: Causes::default(),
            refusals: 0,
            ..signals
        };
        let found = found(&of_client);
        prop_assert!(found.iter().all(waits), "{found:?}");
    }
}

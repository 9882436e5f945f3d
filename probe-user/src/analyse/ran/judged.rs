//! What is made of what was counted: whether anything was dropped, and the status to end with.

use crate::{
    analyse::judge::{self, Scope},
    model::{Dropped, Ended, Summary, status, tier::Tier},
};

/// Whether anything was dropped, and why that may not be all.
pub(crate) fn judge(summary: &Summary, scope: Scope<'_>) -> (Dropped, Vec<String>) {
    let doubts = judge::doubts(summary, scope);
    let is_dropped_before = summary.dropped_before().next().is_some();
    let dropped = match summary.refusals() {
        // No client cares who threw its SYN away.
        0 if is_dropped_before => Dropped::Something,
        0 if doubts.is_empty() => Dropped::Nothing,
        0 => Dropped::CannotTell,
        // Without hooks, one of several candidates: it may have been another listener.
        _ if scope.picks_listeners && summary.tier == Tier::Counters => Dropped::CannotTell,
        _ => Dropped::Something,
    };
    (dropped, doubts)
}

/// What whydrop ends with.
pub(crate) fn status_of(ended: Ended, dropped: Dropped, fail_on_drop: bool) -> u8 {
    match ended.status() {
        status::OK if fail_on_drop && dropped != Dropped::Nothing => status::FAILED,
        status => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyse::judge::tests::summary,
        model::kind::{Kind, Stage},
    };

    fn check(summary: &Summary, picks_listeners: bool, expect: Dropped) {
        let scope = Scope {
            namespaces: None,
            picks_listeners,
            reads_all: true,
        };
        assert_eq!(judge(summary, scope).0, expect);
    }

    #[test]
    fn refusals_are_drops_and_other_events_are_not() {
        let mut quiet = summary(Tier::Cgroup, Some(0), Some(0));
        check(&quiet, false, Dropped::Nothing);
        quiet.counts.insert((Kind::Retransmit, None), 4);
        quiet.counts.insert((Kind::CookieSent, Some(Stage::Syn)), 4);
        check(&quiet, false, Dropped::Nothing);
        quiet.counts.insert((Kind::Overflow, Some(Stage::Syn)), 1);
        check(&quiet, false, Dropped::Something);
    }

    #[test]
    fn what_a_firewall_dropped_is_dropped_and_a_stray_packet_is_not() {
        let mut quiet = summary(Tier::Cgroup, Some(0), Some(0));
        let mut drop = |reason: &str, expect| {
            let what = (Kind::PacketDrop, Some(Stage::Syn));
            *quiet.counts.entry(what).or_default() += 1;
            let name = (Kind::PacketDrop, reason.to_owned());
            quiet.causes.insert(name, 1);
            check(&quiet, false, expect);
            check(&quiet, true, expect);
        };
        drop("tcp-flags", Dropped::Nothing);
        drop("netfilter-drop", Dropped::Something);
    }

    #[test]
    fn what_cannot_be_told_is_not_nothing() {
        check(
            &summary(Tier::Cgroup, Some(1), Some(1)),
            false,
            Dropped::CannotTell,
        );
        check(
            &summary(Tier::Cgroup, None, None),
            false,
            Dropped::CannotTell,
        );
        let mut counted = summary(Tier::Counters, Some(1), Some(1));
        counted.counts.insert((Kind::Overflow, None), 1);
        check(&counted, false, Dropped::Something);
        check(&counted, true, Dropped::CannotTell);
    }

    #[test]
    fn the_command_s_own_status_comes_first() {
        use Dropped::{CannotTell, Nothing, Something};
        let check = |ended, dropped, fail, expect| {
            assert_eq!(
                status_of(ended, dropped, fail),
                expect,
                "{ended:?} {dropped:?} {fail}"
            );
        };
        check(Ended::Code(0), Something, false, 0);
        check(Ended::Code(0), Nothing, true, 0);
        check(Ended::Code(0), Something, true, 1);
        check(Ended::Code(0), CannotTell, true, 1);
        check(Ended::Code(7), Something, true, 7);
        check(Ended::Signal(9), Something, true, 137);
    }
}

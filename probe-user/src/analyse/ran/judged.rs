//! What is made of what was counted: whether anything was dropped, and the status to end with.

use std::borrow::Cow;

use crate::{
    analyse::judge::{self, Scope},
    filter::ListenerFilter,
    model::{
        Dropped, Ended, Summary, WithoutListener,
        astray::Astray,
        rows::{NoKernel, Row},
        status,
        tier::Tier,
    },
};

/// Whether anything was dropped, and why that may not be all. Where nobody listens nothing can be: that says nothing of
/// the listener that was meant.
pub(crate) fn judge(
    summary: &Summary,
    scope: Scope<'_>,
    without_listener: &[WithoutListener],
    astray: &Astray,
) -> (Dropped, Vec<String>) {
    let mut doubts = judge::doubts(summary, scope);
    let silent = without_listener
        .iter()
        .filter(|asked| !was_heard_of(summary, astray, asked));
    doubts.extend(silent.flat_map(in_sentences));
    let is_dropped_before = summary.dropped_before().next().is_some();
    let dropped = match summary.refusals() {
        // No client cares who threw its SYN away.
        0 if is_dropped_before => Dropped::Something,
        0 if astray.own > 0 => Dropped::Refused,
        0 if doubts.is_empty() => Dropped::Nothing,
        0 => Dropped::CannotTell,
        // Without hooks, one of several candidates: it may have been another listener.
        _ if scope.picks_listeners && summary.tier == Tier::Counters => Dropped::CannotTell,
        _ => Dropped::Something,
    };
    (dropped, doubts)
}

/// A namespace whose number was another's before, or that moved when it was read, is no matter of who listens elsewhere: what is
/// not known of it is left out. `None` where it is not known who listens where.
pub(crate) fn without_others<'a>(
    summary: &'a Summary,
    listening_in: Option<&[u32]>,
) -> Cow<'a, Summary> {
    let Some(listening_in) = listening_in else {
        return Cow::Borrowed(summary);
    };
    let is_own = |netns: u32| {
        let mut stats = summary.stats.iter();
        let mut tallies = summary.listeners.iter();
        listening_in.contains(&netns)
            || stats.any(|row| row.netns == netns)
            || tallies.any(|tally| tally.netns == netns)
    };
    let is_of_another = |row: &Row| {
        matches!(
            row.no_kernel,
            Some(NoKernel::NumberReused | NoKernel::Moving)
        ) && !is_own(row.netns)
    };
    if !summary.rows.iter().any(is_of_another) {
        return Cow::Borrowed(summary);
    }
    let mut own = summary.clone();
    own.rows.retain(|row| !is_of_another(row));
    Cow::Owned(own)
}

/// Whether somebody listened there meanwhile, and something came; or whether nobody did, which is told by who came.
fn was_heard_of(summary: &Summary, astray: &Astray, asked: &WithoutListener) -> bool {
    let rows = summary.stats.iter().filter_map(|row| row.addr);
    let tallies = summary.listeners.iter().filter_map(|tally| tally.addr);
    let came = astray.places.iter().map(|place| place.addr);
    let came = came.filter(|_| asked.unasked.is_empty());
    let listener: Result<ListenerFilter, _> = asked.listener.parse();
    listener.is_ok_and(|listener| {
        let mut heard = rows.chain(tallies).chain(came);
        heard.any(|addr| listener.takes_listener(addr))
    })
}

fn in_sentences(asked: &WithoutListener) -> Vec<String> {
    let listener = &asked.listener;
    if asked.unasked.is_empty() {
        return vec![format!(
            "nobody listens on {listener}; `whydrop list` shows who listens where"
        )];
    }
    let why = asked.unasked.iter();
    why.map(|why| format!("whether anybody listens on {listener} is not known: {why}"))
        .collect()
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
        model::{
            ListenerStatsRow,
            incident::Place,
            kind::{Kind, Stage},
        },
    };

    fn check(summary: &Summary, picks_listeners: bool, expect: Dropped) {
        let scope = Scope {
            namespaces: None,
            picks_listeners,
            reads_all: true,
        };
        assert_eq!(judge(summary, scope, &[], &Astray::default()).0, expect);
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
    fn a_number_that_was_used_again_elsewhere_is_no_doubt() {
        let check = |listening_in: Option<&[u32]>, why, expect| {
            let mut reused = summary(Tier::Cgroup, None, None);
            reused.accounted.insert(8);
            for row in &mut reused.rows {
                row.no_kernel = why;
            }
            let scope = Scope {
                namespaces: None,
                picks_listeners: true,
                reads_all: true,
            };
            let judged = without_others(&reused, listening_in);
            assert_eq!(
                judge(&judged, scope, &[], &Astray::default()).0,
                expect,
                "{listening_in:?}"
            );
        };
        let reused = Some(NoKernel::NumberReused);
        check(Some(&[8]), reused, Dropped::Nothing);
        check(Some(&[7, 8]), reused, Dropped::CannotTell);
        check(None, reused, Dropped::CannotTell);
        check(Some(&[8]), Some(NoKernel::Ended), Dropped::CannotTell);
    }

    #[test]
    fn where_nobody_listens_it_cannot_be_told() {
        let scope = Scope {
            namespaces: None,
            picks_listeners: true,
            reads_all: true,
        };
        let mut quiet = summary(Tier::Cgroup, Some(0), Some(0));
        let without = |unasked: &[&str]| WithoutListener {
            listener: ":80".into(),
            unasked: unasked.iter().map(|why| (*why).to_owned()).collect(),
        };
        let nobody = Astray::default();
        let (dropped, doubts) = judge(&quiet, scope, &[without(&[])], &nobody);
        assert_eq!(dropped, Dropped::CannotTell);
        assert!(doubts[0].starts_with("nobody listens on :80"), "{doubts:?}");
        let (dropped, doubts) = judge(&quiet, scope, &[without(&["netns 7: denied"])], &nobody);
        assert_eq!(dropped, Dropped::CannotTell);
        assert!(doubts[0].contains("is not known: netns 7"), "{doubts:?}");
        // One that the command has started and ended again.
        quiet.stats.push(ListenerStatsRow {
            addr: Some(([10, 0, 0, 1], 80).into()),
            ..ListenerStatsRow::default()
        });
        let (dropped, doubts) = judge(&quiet, scope, &[without(&[])], &nobody);
        assert_eq!((dropped, doubts), (Dropped::Nothing, Vec::new()));
    }

    #[test]
    fn who_found_nobody_says_that_nobody_listens() {
        let scope = Scope {
            namespaces: None,
            picks_listeners: true,
            reads_all: true,
        };
        let quiet = summary(Tier::Cgroup, Some(0), Some(0));
        let without = WithoutListener {
            listener: ":80".into(),
            unasked: Vec::new(),
        };
        let at = |port: u16| Astray {
            own: 3,
            places: [Place {
                netns: 7,
                addr: ([127, 0, 0, 1], port).into(),
            }]
            .into(),
            ..Astray::default()
        };
        let told = judge(&quiet, scope, std::slice::from_ref(&without), &at(80));
        assert_eq!(told, (Dropped::Refused, Vec::new()), "one statement");
        let (dropped, doubts) = judge(&quiet, scope, &[without], &at(81));
        assert_eq!((dropped, doubts.len()), (Dropped::Refused, 1));
        let early = Astray {
            early: 3,
            others: 2,
            ..Astray::default()
        };
        assert_eq!(judge(&quiet, scope, &[], &early).0, Dropped::Nothing);
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
        use Dropped::{CannotTell, Nothing, Refused, Something};
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
        check(Ended::Code(0), Refused, true, 1);
        check(Ended::Code(0), Refused, false, 0);
        check(Ended::Code(7), Something, true, 7);
        check(Ended::Signal(9), Something, true, 137);
    }
}

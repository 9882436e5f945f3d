//! What became of a listener: the summary of a watch comes in, the verdict and
//! what it rests on go out. Does no I/O and reads no clock.

use std::time::Duration;

use crate::{
    analyse::judge::{self, Scope},
    model::{
        ListenerStatsRow, Summary, Verdict, Verified, astray::Astray, counts_in_words, kind::Kind,
        name_of,
    },
};

/// A watch may end this much before the time that was asked for.
const SLACK: Duration = Duration::from_millis(100);

/// What a summary cannot say there.
const NOT_SEEN: &str = "what is dropped before a listener cannot be seen here";

/// What it takes to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Share of the accept queue's limit that has to stay free, between 0 and 1.
    pub headroom: f64,
    /// Fewer connections prove nothing.
    pub at_least: u64,
}

impl Default for Bar {
    fn default() -> Self {
        Self {
            headroom: 0.25,
            at_least: 10,
        }
    }
}

/// Of so short a queue no share is a number of connections.
const SHORT_LIMIT: u32 = 4;

impl Bar {
    /// The longest queue that still holds.
    fn longest(self, limit: u32) -> u32 {
        if limit <= SHORT_LIMIT {
            return limit;
        }
        (f64::from(limit) * (1.0 - self.headroom)).floor() as u32
    }
}

/// What was asked for, and where listeners of it were found.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The listener, as it was given.
    pub listener: String,
    /// How long, at most.
    pub time: Duration,
    pub bar: Bar,
    /// Namespaces in which somebody listens there, at the end or at the beginning; `None` where nobody looked.
    pub listening_in: Option<Vec<u32>>,
    /// Why some namespaces could not be asked who listens there.
    pub unasked: Vec<String>,
    /// Whether every namespace that was asked for can be found and read.
    pub reads_all: bool,
}

/// The verdict on what was asked, by the summary of the watch.
pub fn judge(asked: Asked, summary: Summary, astray: &Astray) -> Verified {
    let namespaces = namespaces(&asked, &summary);
    let established = summary.stats.iter().map(|row| row.established).sum();
    let accepted = summary.stats.iter().map(|row| row.accepted.number()).sum();
    let (verdict, reasons) = verdict(&asked, &summary, &namespaces, (established, astray));
    Verified {
        notes: notes(&asked, &summary, astray, verdict),
        listener: asked.listener,
        asked: asked.time,
        verdict,
        reasons,
        namespaces,
        established,
        accepted,
        summary,
        against: None,
    }
}

/// Where its listeners are or were.
fn namespaces(asked: &Asked, summary: &Summary) -> Vec<u32> {
    let busy = summary.stats.iter().map(|row| row.netns);
    let refusing = summary.listeners.iter().map(|tally| tally.netns);
    let mut all: Vec<u32> = busy
        .chain(refusing)
        .chain(asked.listening_in.iter().flatten().copied())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn verdict(
    asked: &Asked,
    summary: &Summary,
    namespaces: &[u32],
    (established, astray): (u64, &Astray),
) -> (Verdict, Vec<String>) {
    let faults: Vec<String> = refusals(summary)
        .chain(summary.dropped_before_in_words())
        .chain(full(&summary.stats, asked.bar))
        .collect();
    if !faults.is_empty() {
        return (Verdict::NotHeld, faults);
    }
    let is_placed = asked.listening_in.is_some() || !namespaces.is_empty();
    let mut doubts = asked.unasked.clone();
    doubts.extend(judge::doubts(
        summary,
        Scope {
            // Where nobody knows who listened, each of them matters.
            namespaces: is_placed.then_some(namespaces),
            picks_listeners: true,
            reads_all: asked.reads_all,
        },
    ));
    if summary.health.stats_full > 0 {
        doubts.push("figures of some listeners found no room in the kernel side's maps".into());
    }
    if summary.stats.iter().any(|row| row.addr.is_none()) {
        doubts.push("the address of a listener to which something came is not known".into());
    }
    if !doubts.is_empty() {
        return (Verdict::CannotTell, doubts);
    }
    if established < asked.bar.at_least.max(1) {
        let found_nobody = astray.in_sentences();
        let mut why = vec![match established {
            0 if !found_nobody.is_empty() => return (Verdict::NotProved, found_nobody),
            0 => "no connection came".to_owned(),
            n => format!(
                "{n} connected, and fewer than {} prove nothing (--at-least)",
                asked.bar.at_least
            ),
        }];
        if namespaces.is_empty() && asked.listening_in.is_some() {
            why.push(format!(
                "nobody listens on {}; `ss -ltn` shows who listens where",
                asked.listener
            ));
        }
        return (Verdict::NotProved, why);
    }
    let reason = format!("{established} connected and nobody was refused");
    (Verdict::Held, vec![reason])
}

fn refusals(summary: &Summary) -> impl Iterator<Item = String> {
    summary
        .listeners
        .iter()
        .filter(|tally| tally.refusals() > 0)
        .map(|tally| {
            let causes = tally.causes.iter();
            let causes: Vec<String> = causes.map(|((_, why), n)| format!("{why} {n}")).collect();
            format!(
                "{} refused {}: {}",
                name_of(tally),
                counts_in_words(&tally.counts),
                causes.join(", ")
            )
        })
}

/// Accept queues that had less room left than they should have.
fn full(rows: &[ListenerStatsRow], bar: Bar) -> impl Iterator<Item = String> {
    rows.iter().filter_map(move |row| {
        let (peak, limit) = row.accept_queue;
        let name = row.addr.map_or_else(|| "?".into(), |addr| addr.to_string());
        if peak == 0 || peak <= bar.longest(limit) {
            return None;
        }
        Some(if peak >= limit {
            format!("the accept queue of {name} came to its limit: {peak}/{limit}")
        } else {
            let percent = bar.headroom * 100.0;
            format!("the accept queue of {name} had less than {percent:.0}% of its room left: {peak}/{limit} (--headroom)")
        })
    })
}

fn notes(asked: &Asked, summary: &Summary, astray: &Astray, verdict: Verdict) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.duration + SLACK < asked.time {
        notes.push(format!(
            "ended early: {:.1} s of {:.1} s are judged",
            summary.duration.as_secs_f64(),
            asked.time.as_secs_f64()
        ));
    }
    if summary.unseen.contains(&Kind::PacketDrop) {
        notes.push(NOT_SEEN.to_owned());
    }
    let is_judged = summary.dropped_before().next().is_some();
    let mut harm = summary.counts.clone();
    // A listener that closed is told below, by the connections that it reset.
    let is_told = |kind: Kind| kind.is_other_harm() && kind != Kind::ListenerClosed;
    harm.retain(|(kind, _), n| {
        let is_judged = is_judged && *kind == Kind::PacketDrop;
        *n > 0 && is_told(*kind) && !is_judged
    });
    if *astray != Astray::default() {
        harm.retain(|(kind, _), _| *kind != Kind::Refused);
    }
    let mut not_judged = astray.not_judged();
    // Else it is the reason.
    if verdict != Verdict::NotProved && astray.own > 0 {
        not_judged.push(astray.in_sentences().join("; "));
    }
    notes.extend(not_judged.iter().map(|what| format!("not judged: {what}")));
    if !harm.is_empty() {
        notes.push(format!("not judged: {}", counts_in_words(&harm)));
    }
    let reset: u64 = summary.stats.iter().map(|row| row.reset).sum();
    if reset > 0 {
        notes.push(format!(
            "not judged: {reset} in a queue were reset when its listener was closed"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        analyse::judge::tests::summary,
        model::{Accepted, ListenerTally, incident::Place, kind::Stage, tier::Tier},
    };

    const ADDR: std::net::SocketAddr =
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80);

    fn asked(seconds: u64) -> Asked {
        Asked {
            listener: ":80".into(),
            time: Duration::from_secs(seconds),
            bar: Bar {
                at_least: 1,
                ..Bar::default()
            },
            listening_in: Some(vec![7]),
            unasked: Vec::new(),
            reads_all: true,
        }
    }

    fn row(established: u64, accept_queue: (u32, u32)) -> ListenerStatsRow {
        ListenerStatsRow {
            netns: 7,
            cookie: 5,
            addr: Some(ADDR),
            established,
            accepted: Accepted::Counted(established),
            accept_queue,
            ..ListenerStatsRow::default()
        }
    }

    /// Two seconds, with these rows.
    fn quiet(stats: Vec<ListenerStatsRow>) -> Summary {
        Summary {
            stats,
            ..summary(Tier::Cgroup, Some(0), Some(0))
        }
    }

    fn check(summary: Summary, expect: Verdict, reason: &str) {
        let verified = judge(asked(2), summary, &Astray::default());
        assert_eq!(verified.verdict, expect, "{:?}", verified.reasons);
        assert_eq!(verified.reasons[0], reason);
        assert!(verified.notes.is_empty(), "{:?}", verified.notes);
    }

    #[test]
    fn connections_without_a_refusal_hold() {
        let both = quiet(vec![row(3, (1, 4)), row(4, (3, 4))]);
        check(both, Verdict::Held, "7 connected and nobody was refused");
    }

    #[test]
    fn a_queue_without_room_to_spare_does_not_hold() {
        let name = "the accept queue of 127.0.0.1:80";
        let full = |accept_queue| quiet(vec![row(9, (1, 4)), row(9, accept_queue)]);
        let check_full = |accept_queue, reason: &str| {
            check(
                full(accept_queue),
                Verdict::NotHeld,
                &format!("{name} {reason}"),
            );
        };
        check_full((8, 8), "came to its limit: 8/8");
        check_full((5, 4), "came to its limit: 5/4");
        check_full(
            (7, 8),
            "had less than 25% of its room left: 7/8 (--headroom)",
        );
        for holds in [(6, 8), (4, 4), (0, 0)] {
            check(
                full(holds),
                Verdict::Held,
                "18 connected and nobody was refused",
            );
        }
    }

    #[test]
    fn fewer_connections_than_asked_for_prove_nothing() {
        let few = Asked {
            bar: Bar::default(),
            ..asked(2)
        };
        let verified = judge(few, quiet(vec![row(9, (1, 4))]), &Astray::default());
        assert_eq!(verified.verdict, Verdict::NotProved);
        let reason = "9 connected, and fewer than 10 prove nothing (--at-least)";
        assert_eq!(verified.reasons, [reason]);
    }

    #[test]
    fn a_refusal_does_not_hold_whoever_was_served_besides() {
        let mut refused = quiet(vec![row(9, (1, 4))]);
        let overflow = (Kind::Overflow, Some(Stage::Syn));
        refused.counts.insert(overflow, 2);
        refused.listeners.push(ListenerTally {
            cookie: 5,
            netns: 7,
            addr: Some(ADDR),
            owner: Arc::from([]),
            cgroup: None,
            counts: [(overflow, 2)].into(),
            causes: [((Kind::Overflow, "accept-queue-full".into()), 2)].into(),
        });
        let reason = "127.0.0.1:80 refused 2 overflow (2 syn): accept-queue-full 2";
        check(refused, Verdict::NotHeld, reason);
    }

    #[test]
    fn what_was_dropped_before_it_does_not_hold() {
        let mut dropped = quiet(vec![row(9, (1, 4))]);
        let syn = (Kind::PacketDrop, Some(Stage::Syn));
        dropped.counts.insert(syn, 3);
        let stray = (Kind::PacketDrop, "tcp-flags".to_owned());
        dropped.causes.insert(stray, 1);
        let of = |summary: &Summary| judge(asked(2), summary.clone(), &Astray::default());
        assert_eq!(of(&dropped).verdict, Verdict::Held);
        let name = (Kind::PacketDrop, "netfilter-drop".to_owned());
        dropped.causes.insert(name, 2);
        let reason = "2 SYNs were dropped before the listener: netfilter-drop 2";
        check(dropped, Verdict::NotHeld, reason);
    }

    #[test]
    fn nothing_that_came_proves_nothing() {
        check(quiet(Vec::new()), Verdict::NotProved, "no connection came");
        check(
            quiet(vec![row(0, (0, 4))]),
            Verdict::NotProved,
            "no connection came",
        );
        let nobody = Asked {
            listening_in: Some(Vec::new()),
            ..asked(2)
        };
        let reasons = judge(nobody, quiet(Vec::new()), &Astray::default()).reasons;
        assert!(
            reasons[1].starts_with("nobody listens on :80"),
            "{reasons:?}"
        );
    }

    #[test]
    fn who_found_nobody_has_come() {
        let astray = Astray {
            own: 3,
            places: [Place {
                netns: 7,
                addr: ([10, 0, 0, 1], 80).into(),
            }]
            .into(),
            elsewhere: ["127.0.0.1:80, nginx[4]".to_owned()].into(),
            ..Astray::default()
        };
        let found = "3 attempts to connect found no listener at 10.0.0.1:80";
        let mut none = quiet(Vec::new());
        none.counts.insert((Kind::Refused, None), 3);
        let verified = judge(asked(2), none, &astray);
        assert_eq!(verified.verdict, Verdict::NotProved);
        let elsewhere = "listening on that port: 127.0.0.1:80, nginx[4]";
        assert_eq!(verified.reasons, [found, elsewhere]);
        assert!(verified.notes.is_empty(), "{:?}", verified.notes);
        let verified = judge(asked(2), quiet(vec![row(9, (1, 4))]), &astray);
        assert_eq!(verified.verdict, Verdict::Held);
        assert_eq!(
            verified.notes[0],
            format!("not judged: {found}; {elsewhere}")
        );
    }

    #[test]
    fn a_counter_that_nobody_explains_is_no_pass() {
        let mut unexplained = summary(Tier::Cgroup, Some(1), Some(1));
        unexplained.stats.push(row(9, (1, 4)));
        let reason = "no hook saw 1 of the kernel's ListenOverflows in netns 7";
        check(unexplained, Verdict::CannotTell, reason);
        let mut elsewhere = summary(Tier::Cgroup, Some(1), Some(1));
        elsewhere.stats.push(row(9, (1, 4)));
        for row in &mut elsewhere.rows {
            row.netns = 8;
        }
        check(
            elsewhere,
            Verdict::Held,
            "9 connected and nobody was refused",
        );
    }

    #[test]
    fn what_is_not_judged_is_said() {
        let mut short = quiet(vec![ListenerStatsRow {
            reset: 2,
            ..row(9, (1, 4))
        }]);
        short.counts.insert((Kind::Refused, Some(Stage::Syn)), 3);
        short.counts.insert((Kind::ListenerClosed, None), 1);
        short.counts.insert((Kind::RequestExpired, None), 4);
        let verified = judge(asked(60), short, &Astray::default());
        assert_eq!(verified.verdict, Verdict::Held);
        assert_eq!(
            verified.notes,
            [
                "ended early: 2.0 s of 60.0 s are judged",
                "not judged: 3 refused (3 syn), 4 request-expired",
                "not judged: 2 in a queue were reset when its listener was closed"
            ]
        );
    }
}

//! What there was around a port: a reading before the watch and one after it come in; where its connections are sent instead, and
//! what became of those that came, go out.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::model::{
    Summary,
    around::{Around, Ends, How, Redirect},
    incident::Place,
    kind::Kind,
    netns_name::NetnsName,
    signals::Signals,
};

/// Redirected addresses that are told of.
const PLACES_AT_MOST: usize = 8;

/// Whom one process waits for that is told of.
const WAITS_AT_MOST: usize = 4;

/// Redirects that are named.
const REDIRECTS_AT_MOST: usize = 4;

/// The first reading, and the last one.
#[derive(Clone, Default)]
pub struct Surroundings(Option<(Around, Around)>);

impl Surroundings {
    /// To be told of each reading.
    pub fn take(&mut self, around: &Around) {
        match &mut self.0 {
            None => self.0 = Some((around.clone(), around.clone())),
            Some((first, last)) => *last = around.clone().since(first),
        }
    }

    /// Addresses of which there is something to be said.
    pub fn places(&self) -> BTreeSet<Place> {
        let last = self.0.iter().map(|(_, last)| last);
        let redirects = last
            .clone()
            .flat_map(|last| last.redirects.iter().flatten());
        let troubled = redirects.filter(|one| one.is_troubled());
        let exhausted = last.flat_map(|last| &last.ends).flat_map(|ends| {
            let netns = ends.netns;
            ends.exhausted().map(move |one| Place {
                netns,
                addr: one.to,
            })
        });
        let all = troubled.map(Redirect::place).chain(exhausted);
        all.take(PLACES_AT_MOST).collect()
    }

    /// What the namespaces are called from which connections are sent elsewhere.
    pub fn names(&self) -> impl Iterator<Item = (u32, Arc<NetnsName>)> {
        let last = self.0.iter().map(|(_, last)| last);
        let redirects = last.flat_map(|last| last.redirects.iter().flatten());
        redirects.filter_map(|one| Some((one.netns, one.netns_name.clone()?)))
    }

    /// Adds what is known of this place.
    pub fn add(&self, signals: &mut Signals, place: Place) {
        let Some((first, last)) = &self.0 else {
            return;
        };
        let closed = |around: &Around| {
            let mut ends = around.ends.iter();
            let ends = ends.find(|ends| ends.netns == place.netns);
            ends.map(|ends| ends.closed_here)
        };
        signals.closed_here = closed(first).zip(closed(last)).map(|(a, b)| a.max(b));
        let redirects = last.redirects.iter().flatten();
        let here = redirects.filter(|one| one.place() == place);
        let here: Vec<Redirect> = here.cloned().collect();
        // That none was found says something where everything could be read.
        let is_known = !here.is_empty() || last.redirects.is_some() && last.unread.is_empty();
        signals.redirects = is_known.then_some(here);
        let mut ends = last.ends.iter();
        if let Some(ends) = ends.find(|ends| ends.netns == place.netns) {
            let here = ends.exhausted().filter(|one| one.to == place.addr);
            signals.exhausted = ends.ports().map(|ports| (here.cloned().collect(), ports));
        }
    }

    /// What happened that no listener decided on, in sentences.
    pub fn notes(&self, summary: &Summary) -> Vec<String> {
        let mut notes = Vec::new();
        let reset = (Kind::ResetReceived, "reset-by-client".to_owned());
        let half_open = summary.causes.get(&reset).copied().unwrap_or(0);
        // Beside refusals it may be anybody who gave up.
        if half_open > 0 && summary.refusals() == 0 {
            notes.push(format!(
                "{half_open} attempt{} reset by the client after the listener had answered, before anybody accepted them: health checks and scanners that never mean to connect do so, and nothing was lost by it",
                if half_open == 1 { " was" } else { "s were" }
            ));
        }
        notes.extend(refused_by_another(summary));
        let Some((first, last)) = &self.0 else {
            return notes;
        };
        let unread = last.unread.iter();
        notes.extend(unread.map(|why| format!("not read: {why}")));
        notes.extend(sound_redirects(last));
        for ends in &last.ends {
            let before = first.ends.iter().find(|one| one.netns == ends.netns);
            let of_netns = summary.stats.iter().filter(|row| row.netns == ends.netns);
            // `None` where it is not known of one of them.
            let accepted: Option<u64> = of_netns.map(|row| row.accepted.number()).sum();
            if let Some(before) = before
                && accepted != Some(0)
            {
                let apart = last.mono_ns.saturating_sub(first.mono_ns);
                let apart = Duration::from_nanos(apart);
                notes.extend(closings(before, ends, accepted, apart));
            }
            for wait in ends.waits.iter().take(WAITS_AT_MOST) {
                notes.push(format!(
                    "{}[{}], which listens there, waits for an answer of {} itself: {} connection{} in SYN_SENT, {} with a SYN that was sent again; ask there: whydrop why {}",
                    wait.comm,
                    wait.pid,
                    wait.to,
                    wait.connections,
                    if wait.connections == 1 { "" } else { "s" },
                    wait.resent,
                    wait.to
                ));
            }
        }
        notes
    }
}

/// Clients of this host that were refused, where nobody here has refused them.
fn refused_by_another(summary: &Summary) -> Option<String> {
    let name = (Kind::ResetReceived, "refused-by-peer".to_owned());
    let refused = summary.causes.get(&name).copied().filter(|n| *n > 0)?;
    let is_harm = |kind: Kind| {
        let is_other = matches!(kind, Kind::Refused | Kind::PacketDrop | Kind::ResetSent);
        kind.is_refusal() || is_other
    };
    let mut harm = summary.causes.iter();
    if harm.any(|((kind, _), n)| *n > 0 && is_harm(*kind)) {
        return None;
    }
    Some(format!(
        "{refused} connections of this host's own were answered with a reset that nobody who was asked about has sent: another host has, or the port is translated (DNAT) to one where nobody listens"
    ))
}

/// Ports whose connections come out elsewhere, where nothing is wrong with that.
fn sound_redirects(around: &Around) -> Vec<String> {
    let redirects = around.redirects.iter().flatten();
    let sound: Vec<&Redirect> = redirects.filter(|one| !one.is_troubled()).collect();
    let named = sound.iter().take(REDIRECTS_AT_MOST);
    let mut notes: Vec<String> = named.map(|one| in_words(one)).collect();
    if sound.len() > REDIRECTS_AT_MOST {
        let more = sound.len() - REDIRECTS_AT_MOST;
        notes.push(format!("{more} more addresses are redirected"));
    }
    notes
}

fn in_words(redirect: &Redirect) -> String {
    let Redirect {
        from,
        to,
        connections,
        ..
    } = redirect;
    let s = if *connections == 1 { "" } else { "s" };
    let says = match redirect.how {
        How::Translated => format!(
            "{from} is translated to {to} (DNAT, REDIRECT): {connections} connection{s}, none of them without an answer"
        ),
        How::Transparent => format!(
            "{connections} connection{s} to {from} {} here, to which nobody is bound: a listener with IP_TRANSPARENT takes them (TPROXY)",
            if *connections == 1 { "is" } else { "are" }
        ),
    };
    let Some(taker) = redirect.listeners.first() else {
        return match (redirect.how, redirect.unasked) {
            (How::Translated, false) => format!("{says}; nobody on this host listens at {to}"),
            _ => says,
        };
    };
    let (at, netns) = (redirect.reaches(taker), taker.netns_argument());
    format!("{says}; who takes them is asked by: whydrop why {at}{netns}")
}

/// Who has closed what was accepted.
fn closings(before: &Ends, ends: &Ends, accepted: Option<u64>, apart: Duration) -> Option<String> {
    // Of TIME_WAIT the kernel forgets each after a minute, and keeps so many at most.
    let closed = ends.closed_here.saturating_sub(before.closed_here);
    let aborted = ends.aborted.zip(before.aborted);
    let aborted = aborted.map(|(now, then)| now.saturating_sub(then));
    let mut did = Vec::new();
    if closed > 0 {
        // Both readings are outside of the watch.
        let earlier = match accepted {
            Some(n) if closed > n => ", some of which were accepted before the watch or after it",
            _ => "",
        };
        did.push(format!(
            "closed {closed} connection{} or more before their clients did{earlier}",
            if closed == 1 { "" } else { "s" }
        ));
    }
    match aborted {
        Some(0) => {}
        Some(n) => did.push(format!(
            "reset {n} of its namespace, by closing them with data that nobody had read (TCPAbortOnClose)"
        )),
        None if closed > 0 => did.push(
            "how many it reset, by closing them with data that nobody had read, is not known".into(),
        ),
        None => {}
    }
    if did.is_empty() {
        return None;
    }
    let accepted = match accepted {
        Some(n) => format!("{n} accepted"),
        None => "how many were accepted is not known".to_owned(),
    };
    Some(format!(
        "{accepted}; in {:.1} s, between two readings, the application itself {}; {} are open now",
        apart.as_secs_f64(),
        did.join(", and "),
        ends.open
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyse::judge::tests::summary,
        model::{
            Accepted, ListenerStatsRow,
            around::{Taker, Wait},
            tier::Tier,
        },
    };

    const NETNS: u32 = 7;
    const PEER: std::net::SocketAddr =
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9000);

    fn reading(mono_ns: u64, closed_here: u64, aborted: Option<u64>) -> Around {
        Around {
            mono_ns,
            port: 80,
            redirects: Some(Vec::new()),
            ends: vec![Ends {
                netns: NETNS,
                closed_here,
                aborted,
                ..Ends::default()
            }],
            unread: Vec::new(),
        }
    }

    fn notes(first: &Around, last: &Around, causes: &[(Kind, &str, u64)]) -> String {
        let mut seen = summary(Tier::Cgroup, Some(0), Some(0));
        seen.stats.push(ListenerStatsRow {
            netns: NETNS,
            accepted: Accepted::Counted(20),
            ..ListenerStatsRow::default()
        });
        for (kind, cause, n) in causes {
            seen.causes.insert((*kind, (*cause).to_owned()), *n);
        }
        let mut surroundings = Surroundings::default();
        surroundings.take(first);
        surroundings.take(last);
        surroundings.notes(&seen).join("\n")
    }

    #[test]
    fn more_closed_than_accepted_is_explained() {
        let first = reading(0, 5, Some(3));
        let says = notes(&first, &reading(2_000_000_000, 26, Some(3)), &[]);
        let why = "closed 21 connections or more before their clients did, some of which were accepted before the watch or after it; ";
        assert!(says.contains(why), "{says}");
    }

    #[test]
    fn a_redirect_that_is_well_is_a_note() {
        let redirect = |how, unanswered| Redirect {
            netns: NETNS,
            netns_name: None,
            how,
            from: ([10, 0, 0, 1], 80).into(),
            to: PEER,
            connections: 9,
            unanswered,
            listeners: vec![Taker {
                netns: 4_026_532_999,
                netns_name: None,
                owner: [].into(),
                cookie: 5,
                addr: PEER,
                accept_queue_len: 0,
                accept_queue_limit: 4,
                drops: None,
                refused: None,
            }],
            unasked: false,
        };
        let says = |redirect| {
            let last = Around {
                redirects: Some(vec![redirect]),
                ..reading(2_000_000_000, 5, Some(3))
            };
            notes(&reading(0, 5, Some(3)), &last, &[])
        };
        let translated = "10.0.0.1:80 is translated to 127.0.0.1:9000 (DNAT, REDIRECT): 9 connections, none of them without an answer; who takes them is asked by: whydrop why 127.0.0.1:9000 --netns 4026532999";
        assert_eq!(says(redirect(How::Translated, 0)), translated);
        assert_eq!(says(redirect(How::Translated, 2)), "", "it has a verdict");
        let transparent = says(redirect(How::Transparent, 0));
        assert!(transparent.contains("(TPROXY)"), "{transparent}");
    }

    #[test]
    fn who_closes_what_was_accepted_is_said() {
        let first = reading(0, 5, Some(3));
        let check = |last: &Around, expect: &str| assert_eq!(notes(&first, last, &[]), expect);
        check(&reading(2_000_000_000, 5, Some(3)), "");
        check(
            &reading(2_000_000_000, 15, Some(3)),
            "20 accepted; in 2.0 s, between two readings, the application itself closed 10 connections or more before their clients did; 0 are open now",
        );
        check(
            &reading(2_000_000_000, 4, Some(9)),
            "20 accepted; in 2.0 s, between two readings, the application itself reset 6 of its namespace, by closing them with data that nobody had read (TCPAbortOnClose); 0 are open now",
        );
        let unknown = notes(&first, &reading(2_000_000_000, 15, None), &[]);
        assert!(unknown.contains("is not known"), "{unknown}");
    }

    #[test]
    fn what_was_accepted_is_not_known_where_one_listener_cannot_tell() {
        let (first, last) = (reading(0, 5, Some(3)), reading(2_000_000_000, 15, Some(3)));
        let mut seen = summary(Tier::Cgroup, Some(0), Some(0));
        for accepted in [Accepted::Counted(20), Accepted::Unknown] {
            seen.stats.push(ListenerStatsRow {
                netns: NETNS,
                accepted,
                ..ListenerStatsRow::default()
            });
        }
        let mut surroundings = Surroundings::default();
        surroundings.take(&first);
        surroundings.take(&last);
        let says = surroundings.notes(&seen).join("\n");
        assert!(
            says.starts_with("how many were accepted is not known; in 2.0 s"),
            "{says}"
        );
    }

    #[test]
    fn that_nothing_is_redirected_is_known_where_all_could_be_read() {
        let place = Place {
            netns: NETNS,
            addr: PEER,
        };
        let redirects = |last: &Around| {
            let mut surroundings = Surroundings::default();
            surroundings.take(&reading(0, 0, None));
            surroundings.take(last);
            let mut signals = Signals::default();
            surroundings.add(&mut signals, place);
            signals.redirects
        };
        let mut last = reading(1, 0, None);
        assert_eq!(redirects(&last), Some(Vec::new()));
        last.unread
            .push("the table of netns 9 could not be read".into());
        assert_eq!(redirects(&last), None);
    }

    #[test]
    fn whom_the_owner_waits_for_and_what_was_not_read_is_said() {
        let first = reading(0, 0, Some(0));
        let mut last = first.clone();
        last.ends[0].waits.push(Wait {
            comm: "haproxy".into(),
            pid: 5,
            to: PEER,
            connections: 3,
            resent: 2,
        });
        last.unread.push("no table".into());
        let says = notes(&first, &last, &[]);
        assert!(
            says.contains("haproxy[5], which listens there, waits"),
            "{says}"
        );
        assert!(says.contains("whydrop why 127.0.0.1:9000"), "{says}");
        assert!(says.contains("not read: no table"), "{says}");
    }

    #[test]
    fn a_reset_that_nobody_here_has_sent_came_from_elsewhere() {
        let reading = reading(0, 0, Some(0));
        let by_peer = (Kind::ResetReceived, "refused-by-peer", 4);
        let says = notes(&reading, &reading, &[by_peer]);
        assert!(
            says.starts_with("4 connections of this host's own"),
            "{says}"
        );
        let by_nobody = (Kind::Refused, "no-listener", 4);
        assert_eq!(notes(&reading, &reading, &[by_peer, by_nobody]), "");
    }

    #[test]
    fn a_half_open_check_is_no_loss_and_beside_refusals_nobody_s_matter() {
        let reading = reading(0, 0, Some(0));
        let reset = (Kind::ResetReceived, "reset-by-client", 4);
        let says = notes(&reading, &reading, &[reset]);
        assert!(
            says.starts_with("4 attempts were reset by the client"),
            "{says}"
        );
    }
}

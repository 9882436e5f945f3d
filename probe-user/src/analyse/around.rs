//! What there was around a port: a reading before the watch and one after it come in; where its connections are sent instead, and
//! what became of those that came, go out.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::model::{
    Summary,
    around::{Around, Ends},
    incident::Place,
    kind::Kind,
    netns_name::NetnsName,
    signals::Signals,
};

/// Redirected addresses that are told of.
const PLACES_AT_MOST: usize = 8;

/// Whom one process waits for that is told of.
const WAITS_AT_MOST: usize = 4;

/// The first reading, and the last one.
#[derive(Default)]
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
        let all = troubled.map(|one| one.place()).chain(exhausted);
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
        let Some((_, last)) = &self.0 else { return };
        signals.redirects = last.redirects.as_ref().map(|all| {
            let here = all.iter().filter(|one| one.place() == place);
            here.cloned().collect()
        });
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
        for ends in &last.ends {
            let before = first.ends.iter().find(|one| one.netns == ends.netns);
            let of_netns = summary.stats.iter().filter(|row| row.netns == ends.netns);
            let accepted: u64 = of_netns.filter_map(|row| row.accepted.number()).sum();
            if let Some(before) = before
                && accepted > 0
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

/// Who has closed what was accepted.
fn closings(before: &Ends, ends: &Ends, accepted: u64, apart: Duration) -> Option<String> {
    // Of TIME_WAIT the kernel forgets each after a minute, and keeps so many at most.
    let closed = ends.closed_here.saturating_sub(before.closed_here);
    let aborted = ends.aborted.zip(before.aborted);
    let aborted = aborted.map(|(now, then)| now.saturating_sub(then));
    if closed == 0 && aborted.unwrap_or(0) == 0 {
        return None;
    }
    let seconds = apart.as_secs_f64();
    let mut says = format!(
        "{accepted} accepted; within {seconds:.1} s the application closed {closed} connections or more itself, before their clients did; {} are open now",
        ends.open
    );
    match aborted {
        Some(0) => {}
        Some(n) => says.push_str(&format!(
            "; {n} connections of the namespace were closed with data that nobody had read, and so reset (TCPAbortOnClose)"
        )),
        None => says.push_str("; how many were reset since nobody had read their data is not known"),
    }
    Some(says)
}

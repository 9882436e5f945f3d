//! The answer of `whydrop why`: for people, for machines, and as a report for a ticket.

mod markdown;
mod place;
mod view;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use self::place::{INCIDENTS_AT_MOST, in_words};
pub(super) use self::{
    place::{Known, PlaceView, indent},
    view::AnswerView,
};
use super::{
    incident::write_worst,
    json::append_line,
    text::{Clean, name_netns, plural, whose, write_netns},
    ticket::Ticket,
};
use crate::model::{
    Answer, HostFacts, ListenerAnswer, Listening, Now,
    incident::{Incident, Place},
    sysctls::Sysctls,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AnswerFormat {
    Text,
    Json,
    Markdown,
}

impl Now {
    /// As lines for people.
    pub fn write(&self, to: &mut String) {
        // Writing to a String cannot fail.
        let _ = self.write_to(to);
    }

    fn write_to(&self, to: &mut String) -> fmt::Result {
        if self.listeners.is_empty() && self.unasked.is_empty() {
            writeln!(to, "nobody listens there now")?;
        }
        for unasked in &self.unasked {
            writeln!(to, "who listens there is not known: {}", Clean(unasked))?;
        }
        for listening in &self.listeners {
            listening.write(to)?;
        }
        for listening in &self.elsewhere {
            write!(to, "elsewhere: ")?;
            listening.write(to)?;
        }
        writeln!(to, "{}", in_a_line(self.sysctls))?;
        let differs = |host: &&HostFacts| host.sysctls != self.sysctls;
        for host in self.others.iter().filter(differs) {
            write!(to, "in ")?;
            let mut there = self.listeners.iter().filter(|one| one.netns == host.netns);
            let name = there.next().and_then(|one| one.netns_name.as_deref());
            name_netns(host.netns, name, to);
            writeln!(to, ": {}", in_a_line(host.sysctls))?;
        }
        for unread in &self.unread {
            writeln!(to, "not read: {}", Clean(unread))?;
        }
        for line in &self.kernel_log {
            writeln!(to, "kernel log: {}", Clean(line))?;
        }
        Ok(())
    }
}

fn in_a_line(sysctls: Sysctls) -> String {
    let known = |value: Option<u32>| value.map_or_else(|| "?".into(), |n| n.to_string());
    format!(
        "somaxconn {}, tcp_syncookies {}, tcp_abort_on_overflow {}, tcp_max_syn_backlog {}",
        known(sysctls.somaxconn),
        known(sysctls.syncookies),
        known(sysctls.abort_on_overflow),
        known(sysctls.max_syn_backlog)
    )
}

impl Listening {
    fn write(&self, to: &mut String) -> fmt::Result {
        let owner = whose(&self.owner, self.cgroup.as_deref());
        let drops = self
            .snapshot
            .drops
            .map_or_else(|| "?".into(), |drops| drops.to_string());
        write!(
            to,
            "{}  queue {}/{}  sk_drops {drops}",
            self.snapshot.addr, self.snapshot.accept_queue_len, self.snapshot.accept_queue_limit,
        )?;
        write_netns(self.netns, self.netns_name.as_deref(), to);
        writeln!(to, "  {owner}")
    }
}

impl Answer {
    /// Appends the answer, with its newline.
    pub fn write(&self, format: AnswerFormat, to: &mut String) {
        let _ = match format {
            AnswerFormat::Text => self.write_text(to),
            AnswerFormat::Markdown => self.write_markdown(to),
            AnswerFormat::Json => {
                append_line(to, &self.object());
                Ok(())
            }
        };
    }

    /// As JSON, with a scene of the demo and the verdicts that are right.
    pub fn write_scene(&self, scene: &str, truth: &[&str], to: &mut String) {
        let view = self.scene(scene, truth);
        append_line(to, &view);
    }

    fn known(&self) -> Known<'_> {
        Known {
            incidents: &self.incidents,
            names: &self.netns_names,
            own_netns: self.own_netns,
            only: self.now.as_ref().and_then(|now| now.only),
            client: self.client.as_ref().map(|client| client.who.as_str()),
            clock: self.clock,
        }
    }

    fn in_a_sentence(&self) -> String {
        let happened = in_words(&self.seen.causes);
        let time = self.seen.watched.as_secs_f64();
        let to_whom = self.client.as_ref();
        let to_whom = to_whom.map_or_else(String::new, |client| format!(" to {}", client.who));
        if !happened.is_empty() {
            return format!("in {time:.1} s{to_whom}: {}", happened.join(", "));
        }
        // What was counted happened, whatever it was.
        let is_counted = self.client.is_none() && self.seen.refusals > 0;
        let what = if is_counted || self.may_be_more() {
            "cannot tell whether anything happened"
        } else if self.verdicts().next().is_some() {
            // What is wrong is so elsewhere, and is told below.
            "no listener refused anybody"
        } else {
            "nothing was refused or dropped"
        };
        let target = Clean(&self.target);
        format!("{what}{to_whom} at {target} in {time:.1} s")
    }

    /// Whether that nothing was seen of somebody does not mean that nothing happened.
    fn may_be_more(&self) -> bool {
        let untold = self.client.as_ref().map_or(0, |client| client.untold);
        let unplaced = self.answers.iter().any(|answer| answer.place.is_none());
        unplaced || untold > 0 || self.lost > 0 || !self.doubts.is_empty()
    }

    fn write_untold(&self, to: &mut String) -> fmt::Result {
        match &self.client {
            Some(client) if client.untold > 0 => writeln!(
                to,
                "\n{} event{} had no client or no line of {} own: some may be of {} too",
                client.untold,
                plural(client.untold as usize),
                if client.untold == 1 { "its" } else { "their" },
                client.who
            ),
            _ => Ok(()),
        }
    }

    fn write_early(&self, to: &mut String) -> fmt::Result {
        let Some(early) = self.early else {
            return Ok(());
        };
        writeln!(
            to,
            "the answer had been the same for {:.1} s, so the watch ended before its {:?} were over (--full takes all of it)",
            early.same_for.as_secs_f64(),
            early.of
        )
    }

    fn write_tried(&self, to: &mut String) -> fmt::Result {
        let Some(tried) = &self.tried else {
            return Ok(());
        };
        let Some(addr) = tried.to else {
            return writeln!(to, "no own attempt: {}", tried.outcome);
        };
        writeln!(
            to,
            "own attempt to {addr}: {} after {} ms",
            tried.outcome,
            tried.took.as_millis()
        )
    }

    /// Where and when it was given, and by what.
    fn write_ticket(&self, to: &mut String) -> fmt::Result {
        let only = self.now.as_ref().and_then(|now| now.only);
        let name = |netns: &u32| self.netns_names.get(netns).map(|name| &**name);
        Ticket {
            origin: &self.origin,
            clock: self.clock,
            mono_ns: self.mono_ns,
            tier: self.tier,
            only: only.map(|netns| (netns, name(&netns))),
        }
        .write(to)
    }

    /// What did not happen, and what to try next.
    fn without_verdict(&self) -> String {
        if self.is_recorded {
            return "it may not have happened while this was recorded".into();
        }
        if self.seen.accepted > 0 {
            return self.of_accepted();
        }
        match self.tried {
            Some(_) => "watch while it happens (--for 10m)".into(),
            None => "watch while it happens (--for 10m), or try --probe".into(),
        }
    }

    /// Connections were accepted and there is no verdict: whom nobody refused. That is said only where nothing may be missing.
    fn of_accepted(&self) -> String {
        let of = match self.seen.accepted {
            1 => "one connection was accepted".to_owned(),
            n => format!("{n} connections were accepted"),
        };
        if self.may_be_more() {
            return format!("{of}, and whether anybody was refused cannot be told, as said above");
        }
        let (of, whom, clients) = match &self.client {
            Some(client) => (
                format!("{of} of all clients"),
                format!("{} was not", Clean(&client.who)),
                "these clients",
            ),
            None => (of, "nobody was".to_owned(), "clients"),
        };
        format!(
            "{of}, and {whom} refused here: if {clients} fail, look at what the application does with what it accepts (its log), and at where {clients} look"
        )
    }

    fn write_text(&self, to: &mut String) -> fmt::Result {
        to.push('\n');
        self.write_ticket(to)?;
        writeln!(to, "\n{}", self.in_a_sentence())?;
        self.write_early(to)?;
        self.write_tried(to)?;
        for answer in &self.answers {
            self.write_answer(answer, to)?;
        }
        self.write_others(to)?;
        self.write_log(to)?;
        self.write_end(to)
    }

    /// What happened at listeners that have no answer, since it happened to others than those who are asked about.
    fn write_others(&self, to: &mut String) -> fmt::Result {
        let mut by_place: BTreeMap<Place, Vec<&Incident>> = BTreeMap::new();
        for incident in &self.incidents.incidents {
            let is_answered = |answer: &ListenerAnswer| answer.place == Some(incident.place);
            if !self.answers.iter().any(is_answered) {
                by_place.entry(incident.place).or_default().push(incident);
            }
        }
        for (place, incidents) in by_place {
            write!(to, "\n{}", place.addr)?;
            if place.netns != self.own_netns {
                let name = self.netns_names.get(&place.netns);
                write_netns(place.netns, name.map(|name| &**name), to);
            }
            writeln!(to, ", of all clients:")?;
            let mut text = String::new();
            let drops = incidents.iter().map(|incident| incident.drops()).sum();
            write_worst(&incidents, drops, INCIDENTS_AT_MOST, self.clock, &mut text)?;
            indent(&text, to)?;
        }
        Ok(())
    }

    fn write_answer(&self, answer: &ListenerAnswer, to: &mut String) -> fmt::Result {
        writeln!(to, "\n{}", answer.title(self.known()))?;
        let mut text = String::new();
        if self.answers.len() > 1 {
            answer.write_counts(&mut text)?;
        }
        answer.write_members(&mut text)?;
        answer.write_top_clients(&mut text)?;
        answer.write_verdicts(&mut text)?;
        let mut incidents = String::new();
        answer.write_incidents(self.known(), &mut incidents)?;
        if self.client.is_some() && !incidents.is_empty() {
            writeln!(text, "of all clients:")?;
        }
        text.push_str(&incidents);
        answer.write_rest(self.known(), &mut text)?;
        indent(&text, to)
    }

    /// What was said before stands with what was there.
    fn write_log(&self, to: &mut String) -> fmt::Result {
        let mut lines = self.kernel_log.iter();
        lines.try_for_each(|line| writeln!(to, "kernel log: {}", Clean(line)))
    }

    /// Those of which nothing else is said.
    fn write_quiet(&self, to: &mut String) -> fmt::Result {
        if self.quiet == 0 || self.answers.is_empty() {
            return Ok(());
        }
        let listens = |answer: &ListenerAnswer| !answer.members.is_empty();
        let other = if self.answers.iter().any(listens) {
            "other "
        } else {
            ""
        };
        let whom = match &self.client {
            Some(_) => "none of these clients",
            None => "nobody",
        };
        let known = if self.may_be_more() {
            ", as far as is known"
        } else {
            ""
        };
        let port = self.target.rsplit_once(':').map_or("", |(_, port)| port);
        writeln!(
            to,
            "\n{} {other}listener{} on port {} refused {whom}{known}.",
            self.quiet,
            plural(self.quiet),
            Clean(port)
        )
    }

    fn write_end(&self, to: &mut String) -> fmt::Result {
        self.write_quiet(to)?;
        self.write_notes(to)?;
        if !self.missing.is_empty() {
            let missing = self.missing.join("; ");
            writeln!(
                to,
                "\nnot recorded, so no rule could use it: {}",
                Clean(&missing)
            )?;
        }
        self.write_untold(to)?;
        self.write_doubts(to)?;
        if !self.seen.adds_up && self.doubts.is_empty() {
            writeln!(
                to,
                "\nwhat the kernel counted is not what was seen, or still moved at the end: verdicts may miss a part (`whydrop watch` shows the rows)"
            )?;
        }
        if self.lost > 0 {
            writeln!(to, "{} line{} lost", self.lost, plural(self.lost as usize))?;
        }
        if self.verdicts().next().is_none() {
            return writeln!(to, "no verdict: {}", self.without_verdict());
        }
        Ok(())
    }

    /// What happened that no listener decided on.
    fn write_notes(&self, to: &mut String) -> fmt::Result {
        if !self.notes.is_empty() {
            writeln!(to)?;
        }
        let mut notes = self.notes.iter();
        notes.try_for_each(|note| writeln!(to, "{}", Clean(note)))
    }

    fn write_doubts(&self, to: &mut String) -> fmt::Result {
        if !self.doubts.is_empty() {
            writeln!(to, "\nthere may be more than this:")?;
        }
        for doubt in &self.doubts {
            writeln!(to, "  {}", Clean(doubt))?;
        }
        Ok(())
    }
}

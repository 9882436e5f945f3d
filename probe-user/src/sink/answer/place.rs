//! What is said of one listener, of an SO_REUSEPORT group, or of an address where nobody listens: as lines for people, and
//! as JSON. `why`, `run` and `verify` say it alike.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    diagnose::explains_overflow,
    model::{
        Causes, Clock, Holding, ListenerAnswer, NetnsNames, Others,
        incident::{Incident, Told},
        kind::Kind,
        netns_name::NetnsName,
        verdict::RuledOut,
    },
    sink::{
        clients::{TopClientView, top_clients},
        incident::write_worst,
        json::{Cookie, Whose, name_and_pid},
        text::{Clean, plural, whose, write_netns},
        verdict::{VerdictView, write_verdict},
    },
};

/// Incidents of one place that are shown for people.
pub(super) const INCIDENTS_AT_MOST: usize = 3;

/// What is known beside one answer.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub incidents: &'a Told,
    pub names: &'a NetnsNames,
    /// The namespace that needs no mention.
    pub own_netns: u32,
    /// The one that was asked about, if only one was.
    pub only: Option<u32>,
    /// The clients that were asked about, if not all were.
    pub client: Option<&'a str>,
    pub clock: Clock,
}

impl Known<'_> {
    fn name(&self, netns: u32) -> Option<&NetnsName> {
        self.names.get(&netns).map(|name| &**name)
    }

    /// So that `--netns` finds it again: by its name, or by a process in it. Where there are others, without it every
    /// listener of that port would be meant. `None` where nothing finds it.
    fn argument(&self, netns: u32) -> Option<String> {
        // The one that was asked about needs no mention either, and need not be whydrop's.
        if netns == self.own_netns && self.only != Some(netns) {
            let has_others = self.names.keys().any(|known| *known != netns);
            return Some(if has_others { " --netns self" } else { "" }.to_owned());
        }
        match self.name(netns)? {
            NetnsName::Given(name) => Some(format!(" --netns {}", Clean(name))),
            NetnsName::Process { pid, .. } => Some(format!(" --netns {pid}")),
        }
    }
}

/// `overflow accept-queue-full 70`, and so on.
pub(super) fn in_words(causes: &Causes) -> Vec<String> {
    let happened = causes.iter().filter(|(_, n)| **n > 0);
    happened
        .map(|((kind, cause), n)| format!("{n} {kind} {cause}"))
        .collect()
}

impl ListenerAnswer {
    /// Where, whose, and in which namespace.
    pub fn title(&self, known: Known<'_>) -> String {
        let Some(place) = self.place else {
            return "where it was is not known".to_owned();
        };
        let mut title = place.addr.to_string();
        match self.members.as_slice() {
            // A packet is told of as dropped only where somebody listens, whoever that is.
            [] if self.signals.of_kind(Kind::PacketDrop) > 0 => {}
            [] => title.push_str("  nobody listens there"),
            [only] => {
                title.push_str("  ");
                title.push_str(&whose(&only.owner, only.cgroup.as_deref()));
            }
            [..] => {
                let all = self.members.len() + self.others.listeners;
                title.push_str(&format!("  {all} listeners"));
                if self.others.are_in_turn {
                    title.push_str(", one after another");
                }
            }
        }
        if place.netns != known.own_netns {
            write_netns(place.netns, known.name(place.netns), &mut title);
        }
        title
    }

    /// Of a group, whose each member is and what it has of the refusals.
    pub fn write_members(&self, to: &mut String) -> fmt::Result {
        if self.members.len() < 2 {
            return Ok(());
        }
        self.members.iter().try_for_each(|member| {
            let owner = whose(&member.owner, member.cgroup.as_deref());
            writeln!(to, "refused {}: {owner}", member.refusals)
        })?;
        let Others {
            listeners,
            refusals,
            are_in_turn: _,
        } = self.others;
        if listeners > 0 {
            writeln!(
                to,
                "refused {refusals}: {listeners} other{}",
                plural(listeners)
            )?;
        }
        Ok(())
    }

    /// What happened there.
    pub fn write_counts(&self, to: &mut String) -> fmt::Result {
        let causes = in_words(&self.signals.causes).join(", ");
        if causes.is_empty() {
            return Ok(());
        }
        let clients = self.signals.clients;
        writeln!(
            to,
            "{}; {clients} client{}",
            Clean(&causes),
            plural(clients)
        )
    }

    /// Who was refused most: address, how often, and which share that is.
    pub fn write_top_clients(&self, to: &mut String) -> fmt::Result {
        match self.top_clients.as_slice() {
            [] => Ok(()),
            clients => writeln!(to, "refused most: {}", top_clients(clients, self.harm())),
        }
    }

    fn incidents<'a>(&self, told: &'a Told) -> Vec<&'a Incident> {
        let all = told.incidents.iter();
        all.filter(|incident| Some(incident.place) == self.place)
            .collect()
    }

    pub fn write_incidents(&self, known: Known<'_>, to: &mut String) -> fmt::Result {
        let incidents = self.incidents(known.incidents);
        let named: u64 = self.members.iter().map(|member| member.refusals).sum();
        let refusals = named + self.others.refusals;
        write_worst(&incidents, refusals, INCIDENTS_AT_MOST, known.clock, to)
    }

    pub fn write_verdicts(&self, to: &mut String) -> fmt::Result {
        let mut verdicts = self.diagnosis.verdicts.iter();
        verdicts.try_for_each(|verdict| write_verdict(verdict, to))
    }

    /// What it is not, what nobody could judge, and how to see whether a change has helped.
    pub fn write_rest(&self, known: Known<'_>, to: &mut String) -> fmt::Result {
        let mut ruled_out = self.ruled_out().peekable();
        if ruled_out.peek().is_some() {
            writeln!(to, "ruled out:")?;
        }
        for ruled_out in ruled_out {
            writeln!(to, "  {:<28} {}", ruled_out.id, ruled_out.why)?;
        }
        if self.diagnosis.verdicts.is_empty() {
            return Ok(());
        }
        if !self.diagnosis.abstained.is_empty() {
            let abstained = self.diagnosis.abstained.join(", ");
            writeln!(
                to,
                "not judged, because their signals are missing: {abstained}"
            )?;
        }
        let Some(verify) = self.verify(known) else {
            return Ok(());
        };
        writeln!(to, "after the change: {verify}")?;
        match self.why_again(known) {
            Some((client, why)) => writeln!(to, "the same of {} alone: {why}", Clean(client)),
            None => Ok(()),
        }
    }

    /// Where a queue was full, what did not keep it so is worth knowing.
    fn ruled_out(&self) -> impl Iterator<Item = &RuledOut> {
        let is_about_queue = self.signals.overflows() > 0;
        let all = self.diagnosis.ruled_out.iter();
        all.filter(move |ruled_out| is_about_queue && explains_overflow(ruled_out.id))
    }

    /// The command that shows whether a change has helped.
    fn verify(&self, known: Known<'_>) -> Option<String> {
        let place = self.place?;
        let redirects = self.signals.redirects.iter().flatten();
        let mut takers =
            redirects.filter_map(|one| one.listeners.first().map(|taker| (one, taker)));
        if let (true, Some((redirect, taker))) = (self.members.is_empty(), takers.next_back()) {
            let to = redirect.reaches(taker);
            let netns = taker.netns_argument();
            return Some(format!("whydrop verify {to}{netns} --for 60s"));
        }
        let netns = known.argument(place.netns)?;
        Some(format!("whydrop verify {}{netns} --for 60s", place.addr))
    }

    /// What `verify` judges is everybody's: the clients that were asked about, and the command that asks about them.
    fn why_again<'a>(&self, known: Known<'a>) -> Option<(&'a str, String)> {
        let (place, client) = (self.place?, known.client?);
        let netns = known.argument(place.netns)?;
        let (addr, client_argument) = (place.addr, Clean(client));
        let command = format!("whydrop why {addr}{netns} --client {client_argument} --for 60s");
        Some((client, command))
    }
}

/// Each line with two spaces before it.
pub(crate) fn indent(text: &str, to: &mut String) -> fmt::Result {
    text.lines().try_for_each(|line| match line {
        "" => writeln!(to),
        line => writeln!(to, "  {line}"),
    })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct PlaceView<'a> {
    netns: Option<u32>,
    netns_name: Option<&'a str>,
    netns_pid: Option<u32>,
    addr: Option<SocketAddr>,
    ip: Option<IpAddr>,
    port: Option<u16>,
    listeners: Vec<HoldingView<'a>>,
    other_listeners: usize,
    refusals: u64,
    causes: BTreeMap<String, u64>,
    clients: usize,
    top_clients: Vec<TopClientView>,
    somaxconn: Option<u32>,
    syncookies: Option<u32>,
    abort_on_overflow: Option<u32>,
    max_syn_backlog: Option<u32>,
    verdicts: Vec<VerdictView<'a>>,
    ruled_out: BTreeMap<&'static str, &'a str>,
    abstained: &'a [&'static str],
}

#[derive(Serialize, JsonSchema)]
struct HoldingView<'a> {
    cookie: Cookie,
    #[serde(flatten)]
    whose: Whose<'a>,
    refusals: u64,
}

impl<'a> HoldingView<'a> {
    fn of(member: &'a Holding) -> Self {
        Self {
            cookie: Cookie(member.cookie),
            whose: Whose::of(&member.owner, member.cgroup.as_deref()),
            refusals: member.refusals,
        }
    }
}

impl<'a> PlaceView<'a> {
    pub(crate) fn of(answer: &'a ListenerAnswer, known: Known<'a>) -> Self {
        let addr = answer.place.map(|place| place.addr);
        let netns = answer.place.map(|place| place.netns);
        let name = netns.and_then(|netns| known.names.get(&netns));
        let (netns_name, netns_pid) = name_and_pid(name.map(|name| &**name));
        let signals = &answer.signals;
        let verify = || answer.verify(known);
        let verdicts = answer.diagnosis.verdicts.iter();
        let ruled_out = answer.diagnosis.ruled_out.iter();
        Self {
            netns,
            netns_name,
            netns_pid,
            addr,
            ip: addr.map(|addr| addr.ip()),
            port: addr.map(|addr| addr.port()),
            listeners: answer.members.iter().map(HoldingView::of).collect(),
            other_listeners: answer.others.listeners,
            refusals: signals.refusals,
            causes: named(&signals.causes),
            clients: signals.clients,
            top_clients: TopClientView::all(&answer.top_clients, answer.harm()),
            somaxconn: signals.sysctls.somaxconn,
            syncookies: signals.sysctls.syncookies,
            abort_on_overflow: signals.sysctls.abort_on_overflow,
            max_syn_backlog: signals.sysctls.max_syn_backlog,
            verdicts: verdicts.map(|v| VerdictView::of(v, verify())).collect(),
            ruled_out: ruled_out.map(|rule| (rule.id, rule.why.as_str())).collect(),
            abstained: &answer.diagnosis.abstained,
        }
    }
}

/// By `kind/cause`.
pub(super) fn named(causes: &Causes) -> BTreeMap<String, u64> {
    let causes = causes.iter();
    causes
        .map(|((kind, cause), n)| (format!("{kind}/{cause}"), *n))
        .collect()
}

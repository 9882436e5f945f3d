//! The answer of `whydrop why`: for people, for machines, and as a report for a ticket.

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    incident::{IncidentView, write_worst},
    json::{At, Cookie, Head, NetnsView, Whose},
    text::{Clean, plural, whose},
    verdict::{VerdictView, write_verdict},
};
use crate::{
    diagnose::explains_overflow,
    model::{Answer, Listening, Now, incident::Incident, verdict::RuledOut},
};

/// Incidents that are shown for people.
const INCIDENTS_AT_MOST: usize = 3;

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
        let known = |value: Option<u32>| value.map_or_else(|| "?".into(), |n| n.to_string());
        writeln!(
            to,
            "somaxconn {}, tcp_syncookies {}, tcp_abort_on_overflow {}, tcp_max_syn_backlog {}",
            known(self.sysctls.somaxconn),
            known(self.sysctls.syncookies),
            known(self.sysctls.abort_on_overflow),
            known(self.sysctls.max_syn_backlog)
        )?;
        for unread in &self.unread {
            writeln!(to, "not read: {}", Clean(unread))?;
        }
        for line in &self.kernel_log {
            writeln!(to, "kernel log: {}", Clean(line))?;
        }
        Ok(())
    }
}

impl Listening {
    fn write(&self, to: &mut String) -> fmt::Result {
        let owner = whose(&self.owner, self.cgroup.as_deref());
        let drops = self
            .snapshot
            .drops
            .map_or_else(|| "?".into(), |drops| drops.to_string());
        writeln!(
            to,
            "{}  queue {}/{}  sk_drops {drops}  netns {}  {owner}",
            self.snapshot.addr,
            self.snapshot.accept_queue_len,
            self.snapshot.accept_queue_limit,
            self.netns,
        )
    }
}

impl Answer {
    /// Appends the answer, with its newline.
    pub fn write(&self, format: AnswerFormat, to: &mut String) {
        let _ = match format {
            AnswerFormat::Text => self.write_text(to),
            AnswerFormat::Markdown => self.write_markdown(to),
            AnswerFormat::Json => {
                let json = serde_json::to_string(&self.object()).unwrap_or_default();
                writeln!(to, "{json}")
            }
        };
    }

    /// As JSON, with a scene of the demo and the verdicts that are right.
    pub fn write_scene(&self, scene: &str, truth: &[&str], to: &mut String) {
        let view = AnswerView {
            scene: Some(scene),
            truth: Some(truth),
            ..self.object()
        };
        to.push_str(&serde_json::to_string(&view).unwrap_or_default());
        to.push('\n');
    }

    fn in_a_sentence(&self) -> String {
        let signals = &self.signals;
        let happened: Vec<String> = signals
            .causes
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|((kind, cause), n)| format!("{n} {kind} {cause}"))
            .collect();
        let time = signals.watched.as_secs_f64();
        let to_whom = self.client.as_ref();
        let to_whom = to_whom.map_or_else(String::new, |client| format!(" to {}", client.who));
        if happened.is_empty() && !self.doubts.is_empty() {
            return format!(
                "cannot tell whether anything happened{to_whom} at {} in {time:.1} s",
                Clean(&self.target)
            );
        }
        if happened.is_empty() {
            return format!(
                "nothing happened{to_whom} at {} in {time:.1} s",
                Clean(&self.target)
            );
        }
        format!("in {time:.1} s{to_whom}: {}", happened.join(", "))
    }

    fn write_untold(&self, to: &mut String) -> fmt::Result {
        match &self.client {
            Some(client) if client.untold > 0 => writeln!(
                to,
                "\n{} event{} without a client or a line of {} own: some may be of {} too",
                client.untold,
                plural(client.untold as usize),
                if client.untold == 1 { "its" } else { "their" },
                client.who
            ),
            _ => Ok(()),
        }
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

    /// What did not happen, and what to try next.
    fn without_verdict(&self) -> String {
        if self.is_recorded {
            return "it may not have happened while this was recorded".into();
        }
        let members = self.signals.members.iter();
        let accepted: u64 = members.filter_map(|member| member.accepted).sum();
        // Nobody was refused is said only where nothing may be missing.
        if accepted > 0 && self.doubts.is_empty() && self.lost == 0 {
            let of = match accepted {
                1 => "one connection was accepted".to_owned(),
                n => format!("{n} connections were accepted"),
            };
            return format!(
                "{of}, and nobody was refused here: if clients fail, look at what the application does with what it accepts (its log), and at where clients look"
            );
        }
        match self.tried {
            Some(_) => "watch while it happens (--for 10m)".into(),
            None => "watch while it happens (--for 10m), or try --probe".into(),
        }
    }

    fn write_text(&self, to: &mut String) -> fmt::Result {
        writeln!(to, "\n{}", self.in_a_sentence())?;
        self.write_tried(to)?;
        for verdict in &self.diagnosis.verdicts {
            writeln!(to)?;
            write_verdict(verdict, to)?;
        }
        if !self.incidents.incidents.is_empty() {
            writeln!(to)?;
        }
        self.write_incidents(to)?;
        self.write_log(to)?;
        self.write_end(to)
    }

    /// What was said before stands with what was there.
    fn write_log(&self, to: &mut String) -> fmt::Result {
        let mut lines = self.kernel_log.iter();
        lines.try_for_each(|line| writeln!(to, "kernel log: {}", Clean(line)))
    }

    fn write_incidents(&self, to: &mut String) -> fmt::Result {
        let all: Vec<&Incident> = self.incidents.incidents.iter().collect();
        let refusals = self.signals.refusals;
        if self.client.is_some() && !all.is_empty() {
            writeln!(to, "of all clients:")?;
        }
        write_worst(&all, refusals, INCIDENTS_AT_MOST, self.clock, to)
    }

    fn write_end(&self, to: &mut String) -> fmt::Result {
        let mut ruled_out = self.ruled_out().peekable();
        if ruled_out.peek().is_some() {
            writeln!(to, "\nruled out:")?;
            for ruled_out in ruled_out {
                writeln!(to, "  {:<28} {}", ruled_out.id, ruled_out.why)?;
            }
        }
        if !self.diagnosis.verdicts.is_empty() && !self.diagnosis.abstained.is_empty() {
            writeln!(
                to,
                "\nnot judged for want of signals: {}",
                self.diagnosis.abstained.join(", ")
            )?;
        }
        if !self.missing.is_empty() {
            let missing = self.missing.join("; ");
            writeln!(to, "\nnot recorded, and not judged by: {}", Clean(&missing))?;
        }
        self.write_untold(to)?;
        self.write_doubts(to)?;
        if !self.signals.adds_up && self.doubts.is_empty() {
            writeln!(
                to,
                "\nwhat the kernel counted is not what was seen, or still moved at the end: verdicts may miss a part (`whydrop watch` shows the rows)"
            )?;
        }
        if self.lost > 0 {
            writeln!(to, "{} line{} lost", self.lost, plural(self.lost as usize))?;
        }
        if self.diagnosis.verdicts.is_empty() {
            return writeln!(to, "no verdict: {}", self.without_verdict());
        }
        writeln!(to, "\nafter the change: {}", self.verify())
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

    /// Where a queue was full, what did not keep it so is worth knowing.
    fn ruled_out(&self) -> impl Iterator<Item = &RuledOut> {
        let is_about_queue = self.signals.overflows() > 0;
        self.diagnosis
            .ruled_out
            .iter()
            .filter(move |ruled_out| is_about_queue && explains_overflow(ruled_out.id))
    }

    fn verify(&self) -> String {
        format!("whydrop verify {} --for 60s", Clean(&self.target))
    }

    fn write_markdown(&self, to: &mut String) -> fmt::Result {
        writeln!(to, "# Why {} refuses connections\n", Clean(&self.target))?;
        writeln!(
            to,
            "whydrop {} on tier {}.\n",
            env!("CARGO_PKG_VERSION"),
            self.tier
        )?;
        if let Some(now) = &self.now {
            writeln!(to, "Before:\n\n```")?;
            now.write_to(to)?;
            writeln!(to, "```\n\nThen {}.\n", self.in_a_sentence())?;
        } else {
            writeln!(to, "What was there before is not recorded.\n")?;
            writeln!(to, "Seen: {}.\n", self.in_a_sentence())?;
        }
        self.write_tried(to)?;
        for verdict in &self.diagnosis.verdicts {
            writeln!(
                to,
                "## {} ({})\n\n{}.\n\nEvidence:\n",
                verdict.id,
                verdict.confidence.name(),
                verdict.says
            )?;
            for evidence in &verdict.evidence {
                writeln!(to, "- {} ({})", Clean(&evidence.says), evidence.from)?;
            }
            writeln!(to, "\nWhat to do:\n")?;
            for (n, advice) in verdict.advice.iter().enumerate() {
                writeln!(to, "{}. {advice}", n + 1)?;
            }
            writeln!(to)?;
        }
        if !self.incidents.incidents.is_empty() {
            writeln!(to, "## When\n\n```")?;
            self.write_incidents(to)?;
            writeln!(to, "```\n")?;
        }
        self.write_log(to)?;
        writeln!(to, "## The rest\n\n```")?;
        self.write_end(to)?;
        writeln!(to, "```")
    }

    fn object(&self) -> AnswerView<'_> {
        let now = self.now.as_ref();
        // Those of before, or else those that were recorded last.
        let sysctls = now.map_or(self.signals.sysctls, |now| now.sysctls);
        AnswerView {
            r#type: "diagnosis",
            head: Head::of(&self.origin),
            ts: self.clock.at(self.mono_ns).to_string(),
            target: &self.target,
            client: self.client.as_ref().map(|client| client.who.as_str()),
            untold: self.client.as_ref().map(|client| client.untold),
            tier: self.tier.name(),
            watched_s: self.signals.watched.as_secs_f64(),
            first_drop_s: self.first_drop.map(|first| first.as_secs_f64()),
            listeners: now.map(|now| now.listeners.iter().map(ListeningView::of).collect()),
            elsewhere: now.map(|now| now.elsewhere.iter().map(ListeningView::of).collect()),
            somaxconn: sysctls.somaxconn,
            syncookies: sysctls.syncookies,
            abort_on_overflow: sysctls.abort_on_overflow,
            max_syn_backlog: sysctls.max_syn_backlog,
            kernel_log: now.map_or(&self.kernel_log, |now| &now.kernel_log),
            causes: self
                .signals
                .causes
                .iter()
                .map(|((kind, cause), n)| (format!("{kind}/{cause}"), *n))
                .collect(),
            clients: self.signals.clients,
            verdicts: self
                .diagnosis
                .verdicts
                .iter()
                .map(|verdict| VerdictView::of(verdict, self.verify()))
                .collect(),
            ruled_out: self
                .diagnosis
                .ruled_out
                .iter()
                .map(|ruled_out| (ruled_out.id, ruled_out.why.as_str()))
                .collect(),
            abstained: &self.diagnosis.abstained,
            incidents: self
                .incidents
                .incidents
                .iter()
                .map(|incident| IncidentView::of(incident, self.clock, &self.netns_names))
                .collect(),
            incidents_let_go: self.incidents.let_go,
            adds_up: self.signals.adds_up,
            doubts: &self.doubts,
            missing: &self.missing,
            lost: self.lost,
            probe: self.tried.as_ref().map(|tried| TriedView {
                to: tried.to,
                to_addr: tried.to.map(|to| to.ip()),
                to_port: tried.to.map(|to| to.port()),
                took_ms: tried.took.as_millis() as u64,
                outcome: &tried.outcome,
            }),
            scene: None,
            truth: None,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AnswerView<'a> {
    #[schemars(extend("const" = "diagnosis"))]
    r#type: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    ts: String,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    untold: Option<u64>,
    tier: &'static str,
    watched_s: f64,
    first_drop_s: Option<f64>,
    listeners: Option<Vec<ListeningView<'a>>>,
    elsewhere: Option<Vec<ListeningView<'a>>>,
    somaxconn: Option<u32>,
    syncookies: Option<u32>,
    abort_on_overflow: Option<u32>,
    max_syn_backlog: Option<u32>,
    kernel_log: &'a [String],
    causes: std::collections::BTreeMap<String, u64>,
    clients: usize,
    verdicts: Vec<VerdictView<'a>>,
    ruled_out: std::collections::BTreeMap<&'static str, &'a str>,
    abstained: &'a [&'static str],
    incidents: Vec<IncidentView<'a>>,
    incidents_let_go: u64,
    adds_up: bool,
    doubts: &'a [String],
    missing: &'a [String],
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<TriedView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<&'a [&'a str]>,
}

#[derive(Serialize, JsonSchema)]
struct TriedView<'a> {
    to: Option<SocketAddr>,
    to_addr: Option<IpAddr>,
    to_port: Option<u16>,
    took_ms: u64,
    outcome: &'a str,
}

#[derive(Serialize, JsonSchema)]
struct ListeningView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: At,
    cookie: Cookie,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    sk_drops: Option<u32>,
    #[serde(flatten)]
    whose: Whose<'a>,
}

impl<'a> ListeningView<'a> {
    fn of(listening: &'a Listening) -> Self {
        Self {
            netns: NetnsView::of(listening.netns, listening.netns_name.as_deref()),
            at: listening.snapshot.addr.into(),
            cookie: Cookie(listening.snapshot.cookie),
            accept_queue_len: listening.snapshot.accept_queue_len,
            accept_queue_limit: listening.snapshot.accept_queue_limit,
            sk_drops: listening.snapshot.drops,
            whose: Whose::of(&listening.owner, listening.cgroup.as_deref()),
        }
    }
}

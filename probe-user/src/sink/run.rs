//! The report of a command that was watched: what it went through, and whether anything was dropped meanwhile.

mod diagnosed;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use self::diagnosed::DiagnosedView;
use super::{
    Reporter,
    against::AgainstView,
    answer::{Known, indent},
    json::{AtOrNull, Cookie, Head, NetnsView, TotalsView, Whose, append_line, by_cause, by_kind},
    text::{Clean, plural, whose, write_netns, write_rows, write_totals},
    verify::{counted, dropped_before},
};
use crate::model::{
    Diagnosed, Dropped, Ended, Hurt, ListenerAnswer, NetnsNames, Ran, Summary,
    astray::Astray,
    counts_in_words,
    incident::Place,
    kind::{Kind, Stage},
    name_of,
    tier::Tier,
};

pub(super) fn write_text(reporter: &Reporter, mono_ns: u64, ran: &Ran, to: &mut String) {
    // Writing to a String cannot fail.
    let _ = write_all(reporter, ran, to);
    if let Some(against) = &ran.against {
        let _ = against.write(to);
    }
    // Who reads that nothing was dropped needs no more.
    if ran.dropped != Dropped::Nothing {
        to.push('\n');
        let _ = reporter.ticket(mono_ns).write(to);
    }
}

fn write_all(reporter: &Reporter, ran: &Ran, to: &mut String) -> fmt::Result {
    write_headline(ran, to)?;
    for doubt in &ran.doubts {
        writeln!(to, "  {doubt}")?;
    }
    for (n, hurt) in ran.hurt.iter().enumerate() {
        write_hurt(reporter, ran, hurt, to)?;
        let place = hurt.place();
        // What is said of a place stands behind the last of those that listen there.
        let is_last = ran.hurt[n + 1..].iter().all(|next| next.place() != place);
        if let (Some(place), Some(diagnosed), true) = (place, &ran.diagnosed, is_last) {
            diagnosed.write_place(place, known(reporter, ran, diagnosed), to)?;
        }
    }
    write_unheard(reporter, ran, to)?;
    write_unknown(ran, to)?;
    if ran.dropped == Dropped::Nothing {
        return Ok(());
    }
    if let Some(stories) = &ran.summary.stories
        && stories.stories() > 0
    {
        write_totals(stories, to)?;
    }
    if ran.doubts.is_empty() && ran.summary.tier != Tier::Counters {
        let all = if ran.filters.is_empty() {
            ""
        } else {
            " of all listeners"
        };
        let counted = counted(ran.summary.rows.iter());
        let nobody = match ran.dropped {
            Dropped::Refused => "no listener refused anybody: ",
            _ => "",
        };
        writeln!(
            to,
            "\n{nobody}the kernel counted {counted}{all}: every one was seen"
        )
    } else {
        write_rows(&ran.summary, to)
    }
}

/// Whether a packet that was dropped before a listener could decide would have been seen, and none was.
fn is_nothing_before(ran: &Ran) -> bool {
    let counts = ran.summary.counts.iter();
    let mut dropped = counts.filter(|((kind, _), n)| *kind == Kind::PacketDrop && **n > 0);
    !ran.summary.unseen.contains(&Kind::PacketDrop) && dropped.next().is_none()
}

/// What was refused or dropped, where anything was.
fn in_words(summary: &Summary, astray: &Astray) -> String {
    let refused = match summary.refusals() {
        0 => None,
        n => Some(format!("{n} refusal{}", plural(n as usize))),
    };
    let before = summary.dropped_before_in_words();
    let all: Vec<String> = [refused, before, astray.in_words()]
        .into_iter()
        .flatten()
        .collect();
    all.join(", and ")
}

/// Those before which something was dropped, and which refused nothing themselves.
fn write_unheard(reporter: &Reporter, ran: &Ran, to: &mut String) -> fmt::Result {
    let Some(diagnosed) = &ran.diagnosed else {
        return Ok(());
    };
    let is_told = |answer: &&ListenerAnswer| {
        let mut hurt = ran.hurt.iter();
        hurt.any(|hurt| hurt.place() == answer.place)
    };
    let known = known(reporter, ran, diagnosed);
    for answer in diagnosed.answers.iter().filter(|one| !is_told(one)) {
        writeln!(to, "\n{}", answer.title(known))?;
        let mut counts = String::new();
        answer.write_counts(&mut counts)?;
        indent(&counts, to)?;
        if let Some(place) = answer.place {
            diagnosed.write_place(place, known, to)?;
        }
    }
    match diagnosed.more_places {
        0 => Ok(()),
        n => writeln!(
            to,
            "\nand {n} more place{}, for which no reason was looked for: there are too many",
            plural(n)
        ),
    }
}

fn known<'a>(reporter: &Reporter, ran: &'a Ran, diagnosed: &'a Diagnosed) -> Known<'a> {
    Known {
        incidents: &diagnosed.incidents,
        names: &ran.summary.netns_names,
        own_netns: reporter.own_netns,
        only: None,
        client: None,
        clock: reporter.clock,
    }
}

fn write_headline(ran: &Ran, to: &mut String) -> fmt::Result {
    let what = match ran.dropped {
        Dropped::Nothing if is_nothing_before(ran) => "nothing was dropped".to_owned(),
        Dropped::Nothing => "no listener refused anybody".to_owned(),
        Dropped::CannotTell => "cannot tell whether anything was dropped".to_owned(),
        Dropped::Something | Dropped::Refused => in_words(&ran.summary, &ran.astray),
    };
    let command = ran.command.first().map_or("", String::as_str);
    write!(
        to,
        "whydrop: {what} in {:.1} s of {}, which {}",
        ran.lasted.as_secs_f64(),
        Clean(command),
        ran.ended
    )?;
    for filter in &ran.filters {
        write!(to, "; only {}", Clean(filter))?;
    }
    if ran.dropped == Dropped::Nothing {
        to.push_str("; the kernel's counters agree");
        if ran.summary.unseen.contains(&Kind::PacketDrop) {
            to.push_str("; what is dropped before a listener cannot be seen here");
        }
    }
    let mut harm = ran.summary.counts.clone();
    let is_judged = ran.summary.dropped_before().next().is_some();
    harm.retain(|(kind, _), n| {
        let is_judged = is_judged && *kind == Kind::PacketDrop;
        *n > 0 && kind.is_other_harm() && !is_judged
    });
    // Lines tell whose those were.
    if ran.astray != Astray::default() {
        harm.remove(&(Kind::Refused, Some(Stage::Syn)));
    }
    let mut others = ran.astray.not_judged();
    if !harm.is_empty() {
        others.push(counts_in_words(&harm));
    }
    if !others.is_empty() {
        write!(to, "; not judged: {}", others.join(", "))?;
    }
    if let Some(counted) = counted_around(ran) {
        write!(
            to,
            "; counted for {:.1} s, from just before it began until just after it had ended",
            counted.as_secs_f64()
        )?;
    }
    to.push('\n');
    Ok(())
}

/// For how long it was counted, where that is noticeably longer than the command ran: what others on the host refused before and
/// after is among the refusals.
fn counted_around(ran: &Ran) -> Option<Duration> {
    const NOTICEABLE: Duration = Duration::from_millis(100);
    let around = ran.summary.duration.saturating_sub(ran.lasted);
    let is_noticeable = around >= NOTICEABLE && around * 10 >= ran.lasted;
    (ran.dropped == Dropped::Something && is_noticeable).then_some(ran.summary.duration)
}

fn write_hurt(reporter: &Reporter, ran: &Ran, hurt: &Hurt, to: &mut String) -> fmt::Result {
    let tally = &hurt.tally;
    write!(
        to,
        "\n{}  {}",
        name_of(tally),
        whose(&tally.owner, tally.cgroup.as_deref())
    )?;
    if tally.netns != reporter.own_netns {
        let name = ran.summary.netns_names.get(&tally.netns);
        write_netns(tally.netns, name.map(|name| &**name), to);
    }
    let causes = tally.causes.iter();
    let causes: Vec<String> = causes.map(|((_, why), n)| format!("{why} {n}")).collect();
    writeln!(
        to,
        "\n  {}: {}",
        counts_in_words(&tally.counts),
        Clean(&causes.join(", "))
    )?;
    let Some(moments) = &hurt.moments else {
        return writeln!(to, "  no line says when, and to whom");
    };
    let at_least = |exact| if exact { "" } else { "at least " };
    let (len, limit) = moments.accept_queue;
    write!(
        to,
        "  {}{} client{}, queue {len}/{limit}",
        at_least(moments.clients_exact),
        moments.clients,
        plural(moments.clients as usize),
    )?;
    if moments.syn_queue_len > 0 {
        write!(to, " syn {}", moments.syn_queue_len)?;
    }
    let (second, n) = moments.busiest;
    writeln!(
        to,
        "\n  first {:#}, last {:#}{}, busiest second from {:#}: {}{n}",
        reporter.clock.at(moments.first_ns),
        reporter.clock.at(moments.last_ns),
        if moments.exact { "" } else { " or later" },
        reporter.clock.at(second),
        at_least(moments.exact),
    )
}

/// Refusals of which the listener is not known.
fn write_unknown(ran: &Ran, to: &mut String) -> fmt::Result {
    let of_listeners: u64 = ran.hurt.iter().map(|hurt| hurt.tally.refusals()).sum();
    let unknown = ran.summary.refusals().saturating_sub(of_listeners);
    if unknown > 0 {
        writeln!(to, "\nat a listener that is not known: {unknown}")?;
    }
    if !ran.candidates.is_empty() {
        writeln!(to, "may have been: {}", ran.candidates.join(", "))?;
    }
    Ok(())
}

impl Hurt {
    fn place(&self) -> Option<Place> {
        Some(Place {
            netns: self.tally.netns,
            addr: self.tally.addr?,
        })
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct RanView<'a> {
    #[serde(rename = "type")]
    #[schemars(extend("const" = "run"))]
    kind: &'static str,
    #[serde(flatten)]
    head: Head<'a>,
    ts: String,
    command: &'a [String],
    duration_s: f64,
    exit_code: Option<u8>,
    signal: Option<i32>,
    status: u8,
    tier: &'a str,
    filters: &'a [String],
    verdict: &'static str,
    doubts: &'a [String],
    refusals: u64,
    /// By drop reason; `null` where it cannot be seen.
    dropped_before: Option<BTreeMap<&'a str, u64>>,
    no_listener: AstrayView,
    listeners: Vec<HurtView<'a>>,
    candidates: &'a [String],
    #[serde(flatten)]
    diagnosed: Option<DiagnosedView<'a>>,
    stories: Option<TotalsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<AgainstView<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct AstrayView {
    attempts: u64,
    before_it_listened: u64,
    of_other_hosts: u64,
    exact: bool,
}

#[derive(Serialize, JsonSchema)]
struct HurtView<'a> {
    cookie: Cookie,
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: AtOrNull,
    #[serde(flatten)]
    whose: Whose<'a>,
    refusals: u64,
    events: BTreeMap<&'a str, u64>,
    causes: BTreeMap<String, u64>,
    moments: Option<MomentsView>,
}

#[derive(Serialize, JsonSchema)]
struct MomentsView {
    first_ts: String,
    first_mono_ns: u64,
    last_ts: String,
    last_mono_ns: u64,
    busiest_second_ts: String,
    busiest_second_mono_ns: u64,
    busiest_second_refusals: u64,
    exact: bool,
    clients: u64,
    clients_exact: bool,
    accept_queue_len: u32,
    accept_queue_limit: u32,
    syn_queue_len: u32,
}

pub(super) fn write_json(reporter: &Reporter, mono_ns: u64, ran: &Ran, to: &mut String) {
    let (exit_code, signal) = match ran.ended {
        Ended::Code(code) => (Some(code), None),
        Ended::Signal(signal) => (None, Some(signal)),
    };
    let diagnosed = ran.diagnosed.as_ref();
    let view = RanView {
        kind: "run",
        head: Head::of(&reporter.origin),
        ts: reporter.clock.at(mono_ns).to_string(),
        command: &ran.command,
        duration_s: ran.lasted.as_secs_f64(),
        exit_code,
        signal,
        status: ran.status,
        tier: ran.summary.tier.name(),
        filters: &ran.filters,
        verdict: ran.dropped.name(),
        doubts: &ran.doubts,
        refusals: ran.summary.refusals(),
        dropped_before: dropped_before(&ran.summary),
        no_listener: AstrayView {
            attempts: ran.astray.own,
            before_it_listened: ran.astray.early,
            of_other_hosts: ran.astray.others,
            exact: !ran.astray.is_part,
        },
        listeners: ran
            .hurt
            .iter()
            .map(|hurt| hurt_view(reporter, hurt, &ran.summary.netns_names))
            .collect(),
        candidates: &ran.candidates,
        diagnosed: diagnosed.map(|all| DiagnosedView::of(all, known(reporter, ran, all))),
        stories: ran.summary.stories.as_ref().map(TotalsView::from),
        against: ran.against.as_ref().map(AgainstView::of),
    };
    append_line(to, &view);
}

fn hurt_view<'a>(reporter: &Reporter, hurt: &'a Hurt, names: &'a NetnsNames) -> HurtView<'a> {
    let tally = &hurt.tally;
    let at = |mono_ns| reporter.clock.at(mono_ns).to_string();
    HurtView {
        cookie: Cookie(tally.cookie),
        netns: NetnsView::among(tally.netns, names),
        at: tally.addr.into(),
        whose: Whose::of(&tally.owner, tally.cgroup.as_deref()),
        refusals: tally.refusals(),
        events: by_kind(&tally.counts),
        causes: by_cause(&tally.causes),
        moments: hurt.moments.map(|moments| MomentsView {
            first_ts: at(moments.first_ns),
            first_mono_ns: moments.first_ns,
            last_ts: at(moments.last_ns),
            last_mono_ns: moments.last_ns,
            busiest_second_ts: at(moments.busiest.0),
            busiest_second_mono_ns: moments.busiest.0,
            busiest_second_refusals: moments.busiest.1,
            exact: moments.exact,
            clients: moments.clients,
            clients_exact: moments.clients_exact,
            accept_queue_len: moments.accept_queue.0,
            accept_queue_limit: moments.accept_queue.1,
            syn_queue_len: moments.syn_queue_len,
        }),
    }
}

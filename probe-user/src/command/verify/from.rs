//! `whydrop verify --from`: a listener is judged by a recording alone.

use super::{Judged, VerifyArgs};
use crate::{
    analyse::{
        astray::Strays,
        narrow::{Rest, narrowed, takes},
        verify::{Asked, Bar, judge},
    },
    command::{
        Failure,
        recorded::{Hears, netns_of, read},
    },
    filter::Filter,
    model::{Line, Observed, ToldVerified, tier::Tier},
    sink::Reporter,
};

/// What a recording says of the listener beside its counts.
struct Heard {
    filter: Filter,
    rest: Rest,
    strays: Strays,
    /// What `verify` itself has recorded.
    told: Option<ToldVerified>,
}

impl Hears for Heard {
    fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        if let Line::Observed(Observed::Verified(told)) = line {
            self.told = Some(ToldVerified::clone(told));
        }
        if takes(&self.filter, line) {
            self.rest.line(line);
            self.strays.line(mono_ns, line);
        }
    }
}

/// By what else it was judged when it was recorded, where that is known.
fn other_bar(told: &ToldVerified, bar: Bar) -> Option<String> {
    let (headroom, at_least) = (told.headroom?, told.at_least?);
    let then = Bar { headroom, at_least };
    let words = |bar: Bar| format!("--headroom {} --at-least {}", bar.headroom, bar.at_least);
    (then != bar).then(|| {
        let (then, now) = (words(then), words(bar));
        format!(
            "judged with {now}; when it was recorded with {then}, which came to {}",
            told.verdict
        )
    })
}

pub(super) fn verified(args: &VerifyArgs) -> Result<Judged, Failure> {
    let filter = Filter {
        listeners: vec![args.listener],
        netns: netns_of(&args.netns)?,
        ..Filter::default()
    };
    let read = read(&args.from, |_| Heard {
        filter: filter.clone(),
        rest: Rest::default(),
        strays: Strays::default(),
        told: None,
    })?;
    if read.summary.tier == Tier::Counters {
        return Err(Failure::failed(
            "cannot tell: it was recorded on the counters tier, without hooks",
        ));
    }
    let name = args.listener.to_string();
    let mut reporter = Reporter::of(args.format, &read.start);
    let mut told_ns = read.ended_ns;
    let heard = read.heard;
    let is_own = |told: &ToldVerified| told.listener == name && filter.netns.is_none();
    let told = heard.told.filter(is_own);
    let other_bar = told.as_ref().and_then(|told| other_bar(told, args.bar()));
    let (asked, summary) = if let Some(told) = told {
        reporter.set_clock(told.clock);
        told_ns = told.mono_ns;
        let asked = Asked {
            listener: name,
            time: told.asked,
            bar: args.bar(),
            listening_in: Some(told.listening_in),
            unasked: told.unasked,
            reads_all: read.start.reads_all,
        };
        (asked, read.summary)
    } else {
        let is_there = |netns, addr| filter.takes_netns(netns) && filter.takes_listener(addr);
        let asked = Asked {
            time: read.summary.duration,
            bar: args.bar(),
            listening_in: None,
            unasked: heard.rest.doubts(&read.start, &read.summary, &name),
            reads_all: read.start.reads_all,
            listener: name,
        };
        (asked, narrowed(&read.summary, is_there, heard.rest.others))
    };
    let astray = heard.strays.of_anybody(&summary.stats);
    let mut verified = judge(asked, summary, &astray);
    verified.notes.extend(other_bar);
    Ok(Judged {
        verified,
        reporter,
        told_ns,
        start: Some(read.start),
        recorded: Ok(()),
    })
}

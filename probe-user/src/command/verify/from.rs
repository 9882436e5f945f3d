//! `whydrop verify --from`: a listener is judged by a recording alone.

use super::{Judged, VerifyArgs};
use crate::{
    analyse::{
        narrow::{Rest, narrowed, takes},
        verify::{Asked, judge},
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
    /// What `verify` itself has recorded.
    told: Option<ToldVerified>,
}

impl Hears for Heard {
    fn line(&mut self, _: u64, line: &Line<'_>) {
        if let Line::Observed(Observed::Verified(told)) = line {
            self.told = Some(ToldVerified::clone(told));
        }
        if takes(&self.filter, line) {
            self.rest.line(line);
        }
    }
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
    let (asked, summary) = if let Some(told) = heard.told.filter(is_own) {
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
    Ok((judge(asked, summary), reporter, told_ns, Ok(())))
}

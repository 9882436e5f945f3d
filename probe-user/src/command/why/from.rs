//! `whydrop why --from`: the answer is made from a recording alone.

use super::WhyArgs;
use crate::{
    analyse::inquiry::{Asked, Inquiry},
    command::{
        Failure,
        recorded::{Hears, netns_of, read},
    },
    model::{Answer, Line, tier::Tier},
};

impl Hears for Inquiry {
    fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        Self::line(self, mono_ns, line);
    }
}

pub(super) fn answer(args: &WhyArgs) -> Result<Answer, Failure> {
    let asked = Asked {
        target: args.target.filter(),
        client: args.client,
        netns: netns_of(&args.netns)?,
    };
    let read = read(&args.from, |start| Inquiry::new(&asked, start))?;
    if read.summary.tier == Tier::Counters {
        return Err(Failure::failed(
            "cannot tell: it was recorded on the counters tier, without hooks",
        ));
    }
    Ok(Answer {
        is_recorded: true,
        ..read.heard.answer(&read.summary)
    })
}

#[cfg(test)]
mod tests;

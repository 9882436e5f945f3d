//! `whydrop run --from`: the report on a command that was recorded.

use std::sync::Arc;

use super::{RunArgs, report::Report};
use crate::{
    analyse::ran::Heard,
    command::{Failure, recorded},
    model::{Line, Origin},
    sink::Reporter,
};

pub(crate) fn of_recording(args: &RunArgs) -> Result<Report, Failure> {
    let mut read = recorded::read(&args.from, |start| {
        let mut heard = Heard::new(Arc::default());
        heard.line(start.mono_ns, &Line::Start(start));
        heard
    })?;
    let told = read.heard.told.take().ok_or_else(|| {
        Failure::failed(
            "no command was run while this was recorded; `whydrop run --record FILE` records one",
        )
    })?;
    Ok(Report {
        reporter: Reporter::new(
            args.format,
            read.start.tier,
            told.own_netns,
            told.clock,
            Origin::of(&read.start),
        ),
        told_ns: told.mono_ns,
        start: read.start.clone(),
        ran: read
            .heard
            .ran(told, &read.start, read.summary, args.fail_on_drop),
        recorded: Ok(()),
    })
}

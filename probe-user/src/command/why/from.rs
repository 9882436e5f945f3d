//! `whydrop why --from`: the answer is made from a recording alone.

use super::WhyArgs;
use crate::{
    analyse::inquiry::{Asked, Inquiry},
    command::Failure,
    loader::Tier,
    model::{Answer, Line, Summary},
    source::replay::{Source, Told},
};

/// Of the last recording that was closed, where there are several.
pub fn answer(args: &WhyArgs) -> Result<Answer, Failure> {
    let asked = Asked {
        target: args.target.filter(),
        client: args.client,
        netns: netns_of(&args.netns)?,
    };
    let source = Source::open(&args.from).map_err(Failure::usage)?;
    let mut recordings = 0;
    let mut open = None;
    let mut closed: Option<(Inquiry, Summary)> = None;
    for told in source {
        let recorded = match told {
            // What is odd about a recording is told beside it.
            Told::Note(note) => {
                eprintln!("whydrop: {note}");
                continue;
            }
            Told::Item(recorded) => recorded,
        };
        match (recorded.line(), &mut open, &mut closed) {
            (Line::Start(start), ..) => {
                recordings += 1;
                open = Some(Inquiry::new(&asked, start));
            }
            (Line::Summary(summary), ..) => {
                if let Some(inquiry) = open.take() {
                    closed = Some((inquiry, Summary::clone(summary)));
                }
            }
            (line, Some(inquiry), _) | (line, None, Some((inquiry, _))) => {
                inquiry.line(recorded.mono_ns(), &line);
            }
            (_, None, None) => {}
        }
    }
    if recordings == 0 {
        return Err(Failure::failed(
            "there is no start of a recording in it; was it made by `whydrop record`?",
        ));
    }
    let Some((inquiry, summary)) = closed else {
        return Err(Failure::failed(
            "cannot tell: the recording was not closed, so what the kernel counted is not in it; `whydrop replay` shows its lines",
        ));
    };
    if summary.tier == Tier::Counters {
        return Err(Failure::failed(
            "cannot tell: it was recorded on the counters tier, without hooks",
        ));
    }
    if recordings > 1 {
        eprintln!(
            "whydrop: these are {recordings} recordings; the answer is of the last that was closed"
        );
    }
    Ok(inquiry.answer(&summary))
}

/// Names and processes of then are not there any more.
fn netns_of(spec: &str) -> Result<Option<u32>, Failure> {
    match spec {
        "all" => Ok(None),
        spec => spec.parse().map(Some).map_err(|_| {
            Failure::usage(format!(
                "`{spec}` is no number; with --from, --netns takes the number that lines show"
            ))
        }),
    }
}

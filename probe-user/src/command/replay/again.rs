//! `replay --again`: what `why` answered when it was recorded is answered anew, by the rules of this version.

use super::ReplayArgs;
use crate::{
    analyse::inquiry::{Asked, Inquiry},
    command::{Failure, write},
    model::{Answer, Answered, Line, Observed},
    sink::{Format, answer::AnswerFormat},
    source::replay::{Source, Told, last},
};

/// Answers what was answered last; nothing where nobody asked.
pub(super) fn answer(args: &ReplayArgs) -> Result<(), Failure> {
    let Some(then) = answered(args)? else {
        return Ok(());
    };
    let wrong = |what: &str| {
        Failure::failed(format!(
            "`{what}` was asked about, which this version does not know"
        ))
    };
    let asked = Asked {
        target: then.target.parse().map_err(|_| wrong(&then.target))?,
        client: match &then.client {
            Some(who) => Some(who.parse().map_err(|_| wrong(who))?),
            None => None,
        },
        netns: None,
    };
    // What is odd about the recording was said when its lines were told.
    let closed = last(&args.files, |start| Inquiry::new(&asked, start), |_| {});
    let closed = closed.map_err(Failure::failed)?;
    let answer = Answer {
        is_recorded: true,
        ..closed.heard.answer(&closed.summary)
    };
    let format = match args.format {
        Format::Text => AnswerFormat::Text,
        Format::Json => AnswerFormat::Json,
    };
    let mut text = String::new();
    answer.write(format, &mut text);
    write(&format!("{}\n", text.trim_end()))
}

fn answered(args: &ReplayArgs) -> Result<Option<Answered>, Failure> {
    let all = Source::open(&args.files).map_err(Failure::usage)?;
    let found = all.filter_map(|told| match told {
        Told::Item(recorded) => match recorded.line() {
            Line::Observed(Observed::Answered(answered)) => Some(Answered::clone(answered)),
            _ => None,
        },
        Told::Note(_) => None,
    });
    Ok(found.last())
}

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
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::*;
    use crate::{
        filter::ListenerFilter,
        model::{Answered, Observed},
        source::replay::{Source, Told},
    };

    /// What was answered when it was recorded.
    fn answered(path: &Path) -> Answered {
        let all = Source::open(&[path.to_owned()]).expect("a recording");
        let found = all.filter_map(|told| match told {
            Told::Item(recorded) => match recorded.line() {
                Line::Observed(Observed::Answered(answered)) => Some(Answered::clone(answered)),
                _ => None,
            },
            Told::Note(note) => panic!("{}: {note}", path.display()),
        });
        found.last().expect("an answer")
    }

    fn again(path: &Path, then: &Answered) -> Answered {
        let asked = Asked {
            target: then.target.parse::<ListenerFilter>().expect("a target"),
            client: then
                .client
                .as_ref()
                .map(|who| who.parse().expect("a client")),
            netns: None,
        };
        let read = read(&[path.to_owned()], |start| Inquiry::new(&asked, start));
        let read = read.unwrap_or_else(|failure| panic!("{}: {}", path.display(), failure.message));
        Answered::of(then.mono_ns, &read.heard.answer(&read.summary))
    }

    /// Then one answer may have been of all listeners.
    fn as_then(now: Answered, then: &Answered) -> Answered {
        if !then.answers.is_empty() || then.ruled_out.is_empty() {
            return now;
        }
        // What was ruled out by others on the port was said, too, where nobody listens or nothing happened.
        let own = now.answers.first().filter(|_| !now.verdicts.is_empty());
        let is_all = own.is_some_and(|own| own.ruled_out.len() == then.ruled_out.len());
        let (ruled_out, abstained) = match own.filter(|_| is_all) {
            Some(own) => (own.ruled_out.clone(), own.abstained.clone()),
            None => (then.ruled_out.clone(), then.abstained.clone()),
        };
        Answered {
            ruled_out,
            abstained,
            answers: Vec::new(),
            ..now
        }
    }

    /// `SCENARIO.VERDICT+VERDICT.whydrop`, as `cargo xtask lab --record` names them.
    #[test]
    fn every_recorded_scene_has_its_verdicts_again() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings/scenes");
        let files = fs::read_dir(folder).expect("a folder of recordings");
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "whydrop"));
        files.sort();
        assert!(files.len() >= 20, "{} recordings", files.len());
        for path in files {
            let name = path.file_stem().expect("a name").to_string_lossy();
            let (_, named) = name.split_once('.').expect("verdicts in its name");
            let then = answered(&path);
            let now = again(&path, &then);
            let ids: Vec<&str> = now.verdicts.iter().map(|verdict| &*verdict.id).collect();
            let ids = if ids.is_empty() {
                "none".to_owned()
            } else {
                ids.join("+")
            };
            assert_eq!(ids, named, "{name}");
            let text = |answered: &Answered| format!("{answered:#?}");
            assert_eq!(text(&as_then(now, &then)), text(&then), "{name}");
        }
    }
}

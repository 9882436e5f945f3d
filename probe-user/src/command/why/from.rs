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

    /// `SCENARIO.VERDICT+VERDICT.whydrop`, as `cargo xtask lab --record` names them. What was answered when it was
    /// recorded does not bind: rules learn.
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
        }
    }
}

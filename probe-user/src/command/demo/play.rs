//! Plays a scene while `why` watches, and compares what it answers with what was made.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsFd, AsRawFd},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{DemoArgs, private_namespace, scenes::Scene, socket::place, stage::Stage};
use crate::{
    command::{
        Failure, say, status,
        why::{self, WhyArgs},
    },
    diagnose::UNDETERMINED,
    host::threads::spawn_scoped,
    model::Answer,
    sink::{Format, RecordArgs, answer::AnswerFormat},
};

/// Long enough for the first retry of a dropped SYN, and for some fifty looks.
const DURATION: Duration = Duration::from_secs(3);

/// Less was watched: a signal ended it.
const EARLY: Duration = Duration::from_millis(2900);

pub(super) fn play(scene: &Scene, args: &DemoArgs) -> Result<(), Failure> {
    let namespace = private_namespace(args.tier)?;
    let format = match args.format {
        Format::Text => AnswerFormat::Text,
        Format::Json => AnswerFormat::Json,
    };
    let target = format!("{}:{}", scene.at, place().port());
    if format == AnswerFormat::Text {
        say(format_args!("demo: {}", scene.does))?;
        say(format_args!(
            "demo: `whydrop why {target}` watches it in a private namespace for {DURATION:?}; {}\n",
            scene.look_at
        ))?;
    }
    let why_args = WhyArgs {
        client: None,
        target: target.parse().map_err(Failure::failed)?,
        duration: DURATION,
        netns: format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd()),
        probe: false,
        format,
        tier: args.tier,
        from: Vec::new(),
        record: RecordArgs {
            path: args.record.clone(),
            ..RecordArgs::default()
        },
    };
    let (is_set, set) = mpsc::channel();
    let (go, watch) = mpsc::channel();
    let stage = Stage { is_set, watch };
    let answer = thread::scope(|scope| {
        // The stage ends with the scene, so that nobody waits for one that failed.
        let play = || namespace.inside(move || (scene.play)(&stage));
        let played = spawn_scoped(scope, "to play the scene on", play)?;
        let answer = set.recv().ok().map(|()| {
            why::answer(&why_args, || {
                let _ = go.send(());
            })
        });
        drop(go);
        match played.join() {
            Ok(Ok(Ok(()))) => answer.unwrap_or_else(|| Err(Failure::failed("nothing was played"))),
            Ok(Ok(Err(error)) | Err(error)) => Err(not_played(&error)),
            Err(_) => Err(Failure::failed("the scene panicked")),
        }
    })?;
    let mut text = String::new();
    match format {
        AnswerFormat::Json => answer.write_scene(scene.name, scene.truth, &mut text),
        format => answer.write(format, &mut text),
    }
    say(text.trim_end())?;
    judge(scene, &answer, format)
}

fn not_played(error: &io::Error) -> Failure {
    let status = match error.kind() {
        ErrorKind::Unsupported => status::KERNEL,
        _ => status::FAILED,
    };
    Failure::new(status, format_args!("the scene cannot be made: {error}"))
}

fn judge(scene: &Scene, answer: &Answer, format: AnswerFormat) -> Result<(), Failure> {
    let found: Vec<&str> = answer.verdicts().map(|verdict| verdict.id).collect();
    let outcome = format!("made {}, found {}", joined(scene.truth), joined(&found));
    let comment = match compare(scene.truth, &found) {
        _ if answer.seen.watched < EARLY => ": ended early, so it says nothing",
        Compared::Right => "",
        _ if is_untold(scene, answer) => {
            return Err(Failure::new(
                status::KERNEL,
                format_args!(
                    "demo: {outcome}: the hooks of tier {} do not show it here (not visible: {}); try a kernel where `whydrop check` finds a higher tier",
                    answer.tier,
                    answer.seen.blind.join(", ")
                ),
            ));
        }
        Compared::Undetermined => ": no wrong verdict, and not the right one either",
        Compared::Wrong => {
            return Err(Failure::failed(format_args!(
                "demo: {outcome}: that is wrong"
            )));
        }
    };
    if format == AnswerFormat::Text {
        say(format_args!("\ndemo: {outcome}{comment}"))?;
    }
    Ok(())
}

/// Whether nothing else was found, and what was made needs a hook that is not there.
fn is_untold(scene: &Scene, answer: &Answer) -> bool {
    answer.verdicts().next().is_none()
        && !answer.seen.blind.is_empty()
        && scene.truth.iter().all(|id| answer.abstained.contains(id))
}

fn joined(ids: &[&str]) -> String {
    if ids.is_empty() {
        "nothing wrong".into()
    } else {
        ids.join(" + ")
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Compared {
    Right,
    Undetermined,
    Wrong,
}

fn compare(truth: &[&str], found: &[&str]) -> Compared {
    let may_be = |id: &&str| *id == UNDETERMINED || truth.contains(id);
    if found == truth {
        Compared::Right
    } else if found.contains(&UNDETERMINED) && found.iter().all(may_be) {
        Compared::Undetermined
    } else {
        Compared::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_truth_or_a_doubt_will_do() {
        let check = |truth: &[&str], found: &[&str], expect| {
            assert_eq!(compare(truth, found), expect, "{truth:?} {found:?}");
        };
        check(&[], &[], Compared::Right);
        check(&["a", "b"], &["a", "b"], Compared::Right);
        check(&["a"], &["undetermined"], Compared::Undetermined);
        check(&["a", "b"], &["b", "undetermined"], Compared::Undetermined);
        check(&["a"], &[], Compared::Wrong);
        check(&["a"], &["a", "b"], Compared::Wrong);
        check(&["a"], &["b", "undetermined"], Compared::Wrong);
        check(&[], &["a"], Compared::Wrong);
    }
}

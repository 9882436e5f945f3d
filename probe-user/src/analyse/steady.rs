//! Whether an answer that is made again and again has been the same for long enough to end with: answers come in with
//! how long was watched, and how long nothing has changed goes out. It does no I/O and reads no clock.

use std::time::Duration;

use crate::{
    diagnose::UNDETERMINED,
    model::{
        ListenerAnswer,
        incident::Place,
        verdict::{Confidence, Verdict},
    },
};

/// So long has an answer to be the same that is certain everywhere, of listeners that refused.
const CERTAIN: Duration = Duration::from_secs(3);

/// Any other: a part of what it rests on are looks, or somebody may listen there a moment later.
const LIKELY: Duration = Duration::from_secs(10);

/// What was said of one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    place: Place,
    verdicts: Vec<(&'static str, Confidence)>,
    refused: bool,
}

/// The last answer, and since when it is the same.
#[derive(Debug, Default)]
pub struct Steady {
    last: Option<(Duration, Vec<Said>)>,
}

impl Steady {
    /// To be told of every answer, with how long was watched until then. How long it has been the same, where that is
    /// enough.
    pub fn hear(&mut self, watched: Duration, answers: &[ListenerAnswer]) -> Option<Duration> {
        let said = said(answers);
        match (&self.last, said) {
            (Some((since, last)), Some(said)) if *last == said => {
                let same_for = watched.saturating_sub(*since);
                (same_for >= wanted(&said)).then_some(same_for)
            }
            (_, said) => {
                self.last = said.map(|said| (watched, said));
                None
            }
        }
    }

    /// Begins anew: there was a reason not to end with it.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

/// `None` where more looks may tell more: nobody has refused anything yet, or what one of them is about is not known.
fn said(answers: &[ListenerAnswer]) -> Option<Vec<Said>> {
    let all: Option<Vec<Said>> = answers.iter().map(said_of).collect();
    let mut all = all.filter(|all| !all.is_empty())?;
    // Which of them is the worst may change.
    all.sort();
    Some(all)
}

fn said_of(answer: &ListenerAnswer) -> Option<Said> {
    let verdicts = &answer.diagnosis.verdicts;
    let is_open = |verdict: &Verdict| verdict.id == UNDETERMINED;
    if verdicts.is_empty() || verdicts.iter().any(is_open) {
        return None;
    }
    Some(Said {
        place: answer.place?,
        verdicts: verdicts
            .iter()
            .map(|one| (one.id, one.confidence))
            .collect(),
        refused: answer.signals.refusals > 0,
    })
}

fn wanted(all: &[Said]) -> Duration {
    let is_certain = |said: &Said| {
        let verdicts = &mut said.verdicts.iter();
        said.refused && verdicts.all(|(_, confidence)| *confidence == Confidence::Certain)
    };
    if all.iter().all(is_certain) {
        CERTAIN
    } else {
        LIKELY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{signals::Signals, verdict::Diagnosis};

    type Of<'a> = (&'a str, u64, &'a [(&'static str, Confidence)]);

    fn answer((addr, refusals, verdicts): Of<'_>) -> ListenerAnswer {
        let verdict = |(id, confidence): &(&'static str, Confidence)| Verdict {
            id,
            confidence: *confidence,
            says: "",
            evidence: Vec::new(),
            advice: &[],
        };
        ListenerAnswer {
            place: addr.parse().ok().map(|addr| Place { netns: 7, addr }),
            members: Vec::new(),
            others: Default::default(),
            signals: Signals {
                refusals,
                ..Signals::default()
            },
            diagnosis: Diagnosis {
                verdicts: verdicts.iter().map(verdict).collect(),
                ..Diagnosis::default()
            },
            first_drop_ns: None,
            top_clients: Vec::new(),
        }
    }

    /// After how many seconds it is enough, of answers that are made each second; the last one stays.
    fn enough_after(each_second: &[&[Of<'_>]]) -> Option<u64> {
        let mut steady = Steady::default();
        let mut now = each_second.first()?;
        (0..60).find(|second| {
            now = each_second.get(*second as usize).unwrap_or(now);
            let answers: Vec<ListenerAnswer> = now.iter().copied().map(answer).collect();
            steady
                .hear(Duration::from_secs(*second), &answers)
                .is_some()
        })
    }

    const BACKLOG: &[(&str, Confidence)] = &[("backlog-zero", Confidence::Certain)];
    const BLOCKED: &[(&str, Confidence)] = &[("acceptor-blocked", Confidence::Likely)];
    const OPEN: &[(&str, Confidence)] = &[(UNDETERMINED, Confidence::Likely)];
    const ONE: &str = "127.0.0.1:80";
    const TWO: &str = "127.0.0.2:80";

    #[test]
    fn what_is_certain_is_enough_sooner_than_what_is_likely() {
        assert_eq!(enough_after(&[&[(ONE, 1, BACKLOG)]]), Some(3));
        assert_eq!(enough_after(&[&[(ONE, 1, BLOCKED)]]), Some(10));
        let both: &[Of<'_>] = &[(ONE, 1, BACKLOG), (TWO, 1, BLOCKED)];
        assert_eq!(enough_after(&[both]), Some(10));
        // Who listens nowhere may do so a moment later.
        assert_eq!(enough_after(&[&[(ONE, 0, BACKLOG)]]), Some(10));
    }

    #[test]
    fn what_may_become_known_is_never_enough() {
        assert_eq!(enough_after(&[&[]]), None);
        assert_eq!(enough_after(&[&[(ONE, 1, OPEN)]]), None);
        assert_eq!(enough_after(&[&[(ONE, 1, &[])]]), None);
        assert_eq!(enough_after(&[&[("nowhere", 1, BACKLOG)]]), None);
        let both: &[Of<'_>] = &[(ONE, 1, BACKLOG), (TWO, 1, OPEN)];
        assert_eq!(enough_after(&[both]), None);
    }

    #[test]
    fn what_changes_begins_anew() {
        let one: &[Of<'_>] = &[(ONE, 1, BACKLOG)];
        let other: &[Of<'_>] = &[(ONE, 1, BLOCKED)];
        assert_eq!(enough_after(&[one, one, one, other]), Some(13));
        let more: &[Of<'_>] = &[(ONE, 1, BACKLOG), (TWO, 1, BACKLOG)];
        assert_eq!(enough_after(&[one, one, more]), Some(5));
        let open: &[Of<'_>] = &[(ONE, 1, OPEN)];
        assert_eq!(enough_after(&[one, one, open, one]), Some(6));
    }

    #[test]
    fn the_worst_may_be_another_one() {
        let one: &[Of<'_>] = &[(ONE, 2, BACKLOG), (TWO, 1, BACKLOG)];
        let other: &[Of<'_>] = &[(TWO, 3, BACKLOG), (ONE, 2, BACKLOG)];
        assert_eq!(enough_after(&[one, other, one, other]), Some(3));
    }

    #[test]
    fn what_there_was_a_reason_against_begins_anew() {
        let mut steady = Steady::default();
        let answers = [answer((ONE, 1, BACKLOG))];
        let mut hear = |second| {
            let same_for = steady.hear(Duration::from_secs(second), &answers);
            if same_for.is_some() {
                steady.forget();
            }
            same_for.is_some()
        };
        let enough: Vec<u64> = (0..10).filter(|second| hear(*second)).collect();
        assert_eq!(enough, [3, 7]);
    }
}

//! What looks the same and is not it: the table of docs/verdicts.md, row by row. What a row says to tell the two apart is
//! changed, and what follows from it: the verdict goes to the other side.

mod accept_queue;
mod network;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use super::*;

/// A verdict, what the look-alike is, and where the signal that tells them apart is from; what makes the first, and what makes
/// the second of it.
#[derive(Clone)]
struct Row(
    &'static str,
    &'static str,
    &'static str,
    Signals,
    fn(&mut Signals),
);

/// That nothing is to be said.
const NONE: &str = "none";

fn caused(signals: &mut Signals, kind: Kind, cause: &str, n: u64) {
    signals.causes.insert((kind, cause.to_owned()), n);
}

fn cgroup(signals: &mut Signals) -> &mut Cgroup {
    let cgroup = signals.processes[0].cgroup.as_mut();
    cgroup.expect("it has one")
}

fn beside(mut signals: Signals) -> Signals {
    signals.members.push(served());
    signals
}

fn changed(mut signals: Signals, change: fn(&mut Signals)) -> Signals {
    change(&mut signals);
    signals
}

/// A listener that refused nothing, at which nothing was established.
fn silent() -> Signals {
    let mut signals = pinned();
    signals.causes.clear();
    signals.refusals = 0;
    signals.put_off = Some((0, 0));
    signals.members[0].established = 0;
    signals
}

fn rows() -> Vec<Row> {
    [
        accept_queue::not_running(),
        accept_queue::doing_something_else(),
        accept_queue::too_short(),
        network::syn_queue(),
        network::nobody_there(),
        network::on_the_way(),
        network::elsewhere(),
    ]
    .concat()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Verdict, look-alike and signal, as the page has them.
fn described() -> Vec<(String, String, String)> {
    let (_, chapter) = DOCS
        .split_once("\n# Looks the same and is not it\n")
        .expect("a chapter");
    let lines = chapter.lines().take_while(|line| !line.starts_with("# "));
    let rows = lines.filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [verdict, _, then, told] = cells[..] else {
            panic!("not four cells: {line}");
        };
        let signal = quoted(told).pop().expect("a signal");
        (
            quoted(verdict)[0].to_owned(),
            quoted(then)[0].to_owned(),
            signal.to_owned(),
        )
    })
    .collect()
}

#[test]
fn each_row_of_the_page_is_held_and_each_verdict_has_one() {
    let held: BTreeSet<_> = rows()
        .into_iter()
        .map(|Row(id, then, from, ..)| (id.to_owned(), then.to_owned(), from.to_owned()))
        .collect();
    let described = described();
    assert_eq!(described.len(), held.len());
    for row in &described {
        assert!(held.contains(row), "{row:?}");
    }
    for id in ids() {
        assert!(described.iter().any(|(of, ..)| of == id), "{id}");
    }
}

#[test]
fn the_signal_tells_them_apart() {
    for Row(id, then, from, it, other) in rows() {
        let not_it = changed(it.clone(), other);
        let says = |signals: &Signals, id: &str| match id {
            NONE => found(signals).is_empty(),
            id => found(signals).contains(&id),
        };
        assert!(says(&it, id), "{id}: {:?}", diagnose(&it));
        assert!(!says(&it, then), "{id} is {then} too: {:?}", found(&it));
        assert!(says(&not_it, then), "{id}, {then}: {:?}", diagnose(&not_it));
        assert!(
            !says(&not_it, id),
            "{id} beside {then}: {:?}",
            found(&not_it)
        );
        // It is what one of the two rests on.
        let of = |signals: &Signals, id: &str| {
            let verdicts = diagnose(signals).verdicts.into_iter();
            let mut those = verdicts.filter(|verdict| verdict.id == id);
            those.any(|verdict| verdict.evidence.iter().any(|one| one.from == from))
        };
        assert!(of(&it, id) || of(&not_it, then), "{id}, {then}: {from}");
    }
}

/// Recordings of both sides are answered again elsewhere (`command/why/from`): here, that there are any.
#[test]
fn both_sides_are_recorded() {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings");
    let mut recorded = BTreeSet::new();
    for folder in ["scenes", "scenes-6.12"] {
        for file in fs::read_dir(recordings.join(folder)).expect("a folder") {
            let name = file.expect("a file").file_name();
            let name = name.to_string_lossy();
            if let Some((_, named)) = name
                .strip_suffix(".whydrop")
                .and_then(|n| n.rsplit_once('.'))
            {
                recorded.extend(named.split('+').map(str::to_owned));
            }
        }
    }
    for Row(id, then, ..) in rows() {
        for id in [id, then] {
            assert!(recorded.contains(id), "no recording of {id}");
        }
    }
}

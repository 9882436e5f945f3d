//! What the recorder wrote is what the reader gives, however it was cut into batches and parts.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::source::replay::{ProblemKind, Read, Reader, identify};

fn head() -> Head {
    Box::new(|info| {
        let (id, part) = (info.recording, info.part);
        format!(
            "{{\"type\":\"start\",\"recording\":{{\"id\":\"{id}\",\"part\":{part}}}}}\nnote {part}\n"
        )
    })
}

/// Lines without those of heads, and problems; each part begins with its head.
fn reread(path: &Path) -> (Vec<String>, Vec<(ProblemKind, Option<u32>)>) {
    let mut reader = Reader::open(&[path.to_owned()], identify).unwrap();
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    while let Some(read) = reader.advance() {
        match read {
            Read::Line { line, part, .. } => {
                let line = str::from_utf8(line).unwrap();
                let number = part.id.as_ref().unwrap().part;
                if !line.starts_with("{\"type\":\"start\"") && line != format!("note {number}") {
                    lines.push(line.to_owned());
                }
            }
            Read::Problem(problem) => problems.push((problem.kind, problem.part)),
        }
    }
    (lines, problems)
}

#[derive(Clone, Debug)]
enum Act {
    Line(String),
    Flood(String, usize),
    Tick,
}

fn act() -> impl Strategy<Value = Act> {
    let line = r#"\{"[a-z]{1,20}":"\PC{0,60}"\}"#;
    prop_oneof![
        8 => line.prop_map(Act::Line),
        1 => (line, 1..3000_usize).prop_map(|(line, times)| Act::Flood(line, times)),
        2 => Just(Act::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_goes_in_comes_out(
        acts in prop::collection::vec(act(), 0..60),
        rotate in prop::option::of(1..5000_u64),
        in_folder in any::<bool>(),
    ) {
        let scratch = Scratch::new();
        let path = if in_folder { scratch.0.clone() } else { scratch.file() };
        let options = options(rotate, None);
        let mut recorder: Recorder = Recorder::create(&Target::of(&path), &options, head()).unwrap();
        let mut expect = Vec::new();
        for act in acts {
            let (line, times) = match act {
                Act::Line(line) => (line, 1),
                Act::Flood(line, times) => (line, times),
                Act::Tick => {
                    // As if it had been due long ago.
                    recorder.tick(Instant::now() + PATIENCE);
                    continue;
                }
            };
            for _ in 0..times {
                add(&mut recorder, &line);
                expect.push(line.clone());
            }
        }
        let status = recorder.finish(PATIENCE);
        prop_assert_eq!((status.lines_written, status.lost_lines), (expect.len() as u64, 0));
        let (lines, problems) = reread(&path);
        prop_assert!(lines == expect);
        prop_assert_eq!(problems, []);
        prop_assert_eq!(files(&scratch.0).len(), status.parts as usize);
    }
}

#[test]
fn a_recording_is_read_while_it_is_written() {
    let scratch = Scratch::new();
    let target = Target::of(&scratch.file());
    let mut recorder: Recorder =
        Recorder::create(&target, &options(Some(2000), None), head()).unwrap();
    for n in 0..6 {
        add_frame(&mut recorder, n);
        let (lines, problems) = reread(&scratch.file());
        assert!(lines.iter().zip(0..).all(|(line, n)| *line == bulky(n)));
        assert_eq!((lines.len() as u64, problems), (n + 1, vec![]));
    }
}

#[test]
fn a_torn_frame_costs_no_line_of_another() {
    let scratch = Scratch::new();
    let target = Target::of(&scratch.file());
    let mut recorder: Recorder =
        Recorder::create(&target, &options(Some(1), None), head()).unwrap();
    for n in 0..2 {
        add_frame(&mut recorder, n);
    }
    recorder.finish(PATIENCE);
    let first = fs::read(scratch.file()).unwrap();
    let mut file = fs::File::options()
        .append(true)
        .open(scratch.file())
        .unwrap();
    file.write_all(&first[..first.len() / 2]).unwrap();
    let (lines, problems) = reread(&scratch.file());
    assert_eq!(lines, [bulky(0), bulky(1)]);
    assert_eq!(problems, [(ProblemKind::Torn, Some(1))]);
}

//! Recorders that are killed, or may write only so much: they are processes of their own, started
//! from this test's executable.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;

const FOLDER: &str = "WHYDROP_TEST_RECORD_FOLDER";
const LIMIT: &str = "WHYDROP_TEST_RECORD_LIMIT";

/// No test of its own: the process that the tests here start. For each line on its standard input
/// it records one, and answers; at the end it says what became of them.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    if let Ok(limit) = std::env::var(LIMIT) {
        let limit = limit.parse().ok();
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: limit,
                maximum: limit,
            },
        )
        .unwrap();
    }
    let path = Path::new(&folder).join("x.whydrop");
    let mut recorder = create(&path, Options::default()).unwrap();
    for (line, n) in std::io::stdin().lines().zip(0..) {
        if line.unwrap() == "bulky" {
            add(&mut recorder, &bulky(n));
            recorder.hand_over(false);
        } else {
            // So short that only time closes a frame.
            add(&mut recorder, &n.to_string());
            recorder.tick(Instant::now());
        }
        println!("answer {n}");
    }
    let status = recorder.finish(PATIENCE);
    println!(
        "answer {} {} {}",
        status.lines_written, status.lost_lines, status.parts
    );
}

struct Recording {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Recording {
    fn start(folder: &Path, limit: Option<u64>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = concat!(module_path!(), "::child");
        let name = name.split_once("::").unwrap().1;
        command
            .args(["--exact", name, "--nocapture"])
            .env(FOLDER, folder);
        if let Some(limit) = limit {
            command.env(LIMIT, limit.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take(), child.stdout.take().unwrap());
        let from = BufReader::new(from);
        Self { child, to, from }
    }

    fn ask(&mut self, line: &str) {
        writeln!(self.to.as_mut().unwrap(), "{line}").unwrap();
    }

    fn answer(&mut self) -> Vec<u64> {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.from.read_line(&mut line).unwrap(),
                0,
                "the recorder has ended"
            );
            // The first one stands behind what the test harness says.
            if let Some((_, numbers)) = line.split_once("answer ") {
                return numbers
                    .split_whitespace()
                    .map(|n| n.parse().unwrap())
                    .collect();
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_recorder_that_is_killed_loses_a_second_at_most() {
    let scratch = Scratch::new();
    let mut recording = Recording::start(&scratch.0, None);
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < Duration::from_millis(2500) {
        recording.ask("line");
        recording.answer();
        times.push(started.elapsed());
    }
    recording.child.kill().unwrap();
    let killed = started.elapsed();
    recording.child.wait().unwrap();
    let recorded = recorded(&[scratch.file()]);
    assert!(
        recorded
            .iter()
            .zip(0u64..)
            .all(|(line, n)| *line == n.to_string())
    );
    assert!(recorded.len() < times.len(), "nothing was in the making");
    let oldest_lost = times[recorded.len()];
    assert!(
        killed.checked_sub(oldest_lost).unwrap() <= Duration::from_secs(1),
        "{oldest_lost:?} of {killed:?}"
    );
    // Nobody writes it any more, and it stays what it is.
    assert!(matches!(
        refused(&scratch.file()),
        RecordError::Exists { .. }
    ));
}

#[test]
fn a_limit_on_the_size_of_files_begins_new_parts() {
    let scratch = Scratch::new();
    let limit = 20_000;
    let mut recording = Recording::start(&scratch.0, Some(limit));
    // Between two parts there is a second, and four parts are needed.
    for n in 0..100 {
        recording.ask("bulky");
        assert_eq!(recording.answer(), [n]);
    }
    drop(recording.to.take());
    let end = recording.answer();
    assert!(recording.child.wait().unwrap().success());
    let parts: Vec<PathBuf> = (1..=end[2])
        .map(|part| match part {
            1 => scratch.file(),
            part => scratch.0.join(format!("x-{part:04}.whydrop")),
        })
        .collect();
    assert_eq!(files(&scratch.0).len(), parts.len());
    assert!(parts.len() >= 2, "{end:?}");
    for part in &parts {
        assert!(fs::metadata(part).unwrap().len() <= limit);
    }
    // The end does not wait for seconds to pass.
    assert_eq!(end[0] + end[1], 100);
    let recorded = recorded(&parts);
    assert_eq!(recorded.len() as u64, end[0]);
    assert!(recorded.iter().zip(0..).all(|(line, n)| *line == bulky(n)));
}

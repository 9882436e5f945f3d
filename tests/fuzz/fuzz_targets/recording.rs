//! A part of a recording, as bytes that come in pieces: the first byte says how long those are, the
//! rest is the file. Each line is judged by filters, run through stages and redacted, too.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use whydrop::{
    filter::Filter,
    model::format::{FRAME_BYTES, MAX_LINE_BYTES},
    source::replay::{
        Anew, Bounds, Choice, Lines, Recorded, Redaction, Step, Wanted, identify, parse,
    },
};

struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(to.len());
        self.0.take(length as u64).read(to).inspect(|read| self.0 = &self.0[*read..])
    }
}

/// How many lines there are, their bytes and how it ends.
fn read(file: impl Read, length: u64) -> (u64, u64, Step) {
    let mut lines = Lines::new(file);
    let (mut count, mut bytes, mut before) = (0, 0, 0);
    loop {
        match lines.advance() {
            Step::Line => {
                let line = lines.line();
                assert!(line.len() < MAX_LINE_BYTES && !line.contains(&b'\n'));
                assert!(!line.iter().all(u8::is_ascii_whitespace));
                assert!(lines.offset() >= before && lines.offset() < length);
                before = lines.offset();
                if count == 0 {
                    let _ = identify(line);
                }
                count += 1;
                bytes += line.len() as u64;
            }
            end => {
                if let Step::Problem(problem) = &end {
                    assert!(problem.offset <= length, "{problem}");
                }
                assert_eq!(lines.advance(), Step::End);
                return (count, bytes, end);
            }
        }
    }
}

/// The lines of a file that are text.
fn text(file: &[u8]) -> Vec<String> {
    let mut lines = Lines::new(file);
    let mut text = Vec::new();
    while lines.advance() == Step::Line {
        if let Ok(line) = std::str::from_utf8(lines.line()) {
            text.push(line.to_owned());
        }
    }
    text
}

fn filter() -> Filter {
    Filter {
        listeners: [":8080", "192.0.2.1:8081"].map(|text| text.parse().expect("a listener")).into(),
        ..Filter::default()
    }
}

/// What was recorded is chosen and passes the stages, whatever it says.
fn replay(items: impl Iterator<Item = Recorded>) {
    let mut choice = Choice::new(filter(), Bounds::default());
    let wanted = Wanted {
        stories: true,
        again: true,
        ..Wanted::default()
    };
    let mut anew = Anew::new(wanted, filter());
    let mut passed = Vec::new();
    for mut recorded in items {
        if let Some(start) = recorded.start() {
            let _ = choice.begin(start);
            anew.begin(start);
        }
        choice.takes(&mut recorded);
        anew.pass(recorded, &mut passed);
        passed.clear();
    }
    anew.end(None, &mut passed);
}

/// What is redacted is read as what it was, of another client.
fn redact(lines: &[String]) {
    let mut redaction = Redaction::default();
    for line in lines {
        redaction.learn(line.as_bytes());
    }
    for line in lines {
        let Ok(Some(before)) = parse(line.as_bytes()) else {
            continue;
        };
        let new = redaction.replace_start(line);
        let after = match parse(new.as_bytes()) {
            Ok(Some(after)) => after,
            other => panic!("{line}\n{new}\n{other:?}"),
        };
        match (&before, &after) {
            (Recorded::Event(old), Recorded::Event(new)) => {
                let (old, new) = (old.event.client, new.event.client);
                assert_eq!(old.map(|client| client.port()), new.map(|client| client.port()));
                let ip = old.map(|client| client.ip().to_canonical());
                if ip.is_some_and(|ip| !ip.is_loopback() && !ip.is_unspecified()) {
                    assert_ne!(ip, new.map(|client| client.ip().to_canonical()), "{line}");
                }
            }
            (Recorded::Other(_), Recorded::Other(_)) => {}
            _ => panic!("{line}\n{new}"),
        }
        assert_eq!(before.mono_ns(), after.mono_ns());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, file)) = bytes.split_first() else {
        return;
    };
    let length = file.len() as u64;
    let whole = read(file, length);
    let pieces = read(Pieces(file, usize::from(*piece) + 1), length);
    // Of a frame longer than a recorder's, lines are given while it is unpacked, and how many of
    // them before the damage depends on how the bytes come.
    if whole.1 < FRAME_BYTES as u64 {
        assert_eq!(pieces, whole);
    }
    let lines = text(file);
    replay(lines.iter().filter_map(|line| parse(line.as_bytes()).ok().flatten()));
    redact(&lines);
});

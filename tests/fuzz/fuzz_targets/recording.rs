//! A part of a recording, as bytes that come in pieces: the first byte says how long those are, the
//! rest is the file.

#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use whydrop::source::replay::{Lines, Step, format::{FRAME_BYTES, MAX_LINE_BYTES}, identify};

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
});

//! Bytes that are a recording, and bytes that are none.

use std::io::Write;

use proptest::prelude::*;

use super::*;

/// A frame as the recorder writes it.
fn frame(text: &str) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    let flag = zstd::zstd_safe::CParameter::ChecksumFlag(true);
    compressor.set_parameter(flag).unwrap();
    compressor.compress(text.as_bytes()).unwrap()
}

/// A frame as `zstd` makes it of a pipe: it does not say how long its text is.
fn stream(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn skippable(magic: u8, length: u32) -> Vec<u8> {
    let mut frame = vec![magic, 0x2A, 0x4D, 0x18];
    frame.extend(length.to_le_bytes());
    frame.extend(vec![b'{'; length as usize]);
    frame
}

/// Bytes that come in pieces, as from a pipe.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(self.0.len()).min(to.len());
        let (now, later) = self.0.split_at(length);
        to[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

/// All lines with their offsets, and how it ends.
fn read(from: impl Read) -> (Vec<(u64, String)>, Option<Problem>) {
    let mut lines = Lines::new(from);
    let mut all = Vec::new();
    let end = loop {
        match lines.advance() {
            Step::Line => {
                let line = String::from_utf8_lossy(lines.line()).into_owned();
                all.push((lines.offset(), line));
            }
            Step::Problem(problem) => break Some(problem),
            Step::End => break None,
        }
    };
    assert_eq!(lines.advance(), Step::End, "nothing comes after the end");
    (all, end)
}

/// The same however the bytes come.
fn read_all(bytes: &[u8]) -> (Vec<(u64, String)>, Option<Problem>) {
    let whole = read(bytes);
    assert_eq!(read(Pieces(bytes, 1)), whole);
    whole
}

#[track_caller]
fn check(bytes: &[u8], expect: &[(u64, &str)], end: Option<(ProblemKind, u64, &str)>) {
    let (lines, problem) = read_all(bytes);
    let lines: Vec<(u64, &str)> = lines
        .iter()
        .map(|(at, line)| (*at, line.as_str()))
        .collect();
    assert_eq!(lines, expect);
    let problem = problem.as_ref();
    let problem = problem.map(|problem| (problem.kind, problem.offset, problem.what.as_str()));
    match (problem, end) {
        (Some((kind, offset, what)), Some((expect_kind, expect_offset, words))) => {
            assert_eq!((kind, offset), (expect_kind, expect_offset), "{what}");
            assert!(what.contains(words), "{what}");
        }
        (problem, end) => assert_eq!(problem, end),
    }
}

#[test]
fn frames_are_read_one_after_the_other() {
    let first = frame("{\"n\":1}\n{\"n\":2}\n");
    let at = first.len() as u64;
    let both = [first, frame("{\"n\":3}\n")].concat();
    let expect = [(0, "{\"n\":1}"), (0, "{\"n\":2}"), (at, "{\"n\":3}")];
    check(&both, &expect, None);
}

#[test]
fn frames_to_be_read_over_are() {
    let bytes = [
        skippable(0x50, 9),
        frame("1\n"),
        skippable(0x5E, 0),
        frame("2\n"),
        skippable(0x5F, 300),
    ];
    let at = [17, 17 + bytes[1].len() as u64 + 8];
    let bytes = bytes.concat();
    check(&bytes, &[(at[0], "1"), (at[1], "2")], None);
    let torn = &bytes[..bytes.len() - 1];
    let offset = bytes.len() as u64 - 308;
    let end = Some((ProblemKind::Torn, offset, "torn"));
    check(torn, &[(at[0], "1"), (at[1], "2")], end);
    let torn = &bytes[..offset as usize + 6];
    check(torn, &[(at[0], "1"), (at[1], "2")], end);
}

#[test]
fn lines_may_go_over_frames_and_end_without_an_end() {
    let first = frame("{\"a\":1}\n{\"b\":");
    let at = first.len() as u64;
    let bytes = [first, frame("2}\n\n{\"c\""), frame(":3}")].concat();
    let expect = [(0, "{\"a\":1}"), (0, "{\"b\":2}"), (at, "{\"c\":3}")];
    check(&bytes, &expect, None);
}

#[test]
fn plain_text_is_a_recording_too() {
    check(
        b"{\"n\":1}\n\n  \n{\"n\":2}\n",
        &[(0, "{\"n\":1}"), (12, "{\"n\":2}")],
        None,
    );
    check(b"\n {\"n\":1}", &[(1, " {\"n\":1}")], None);
    check(
        b"{}\n{\"n\":",
        &[(0, "{}")],
        Some((ProblemKind::Torn, 3, "from byte 3 on")),
    );
    check(b"\n\n", &[], None);
    check(b"{", &[], Some((ProblemKind::Torn, 0, "torn")));
}

#[test]
fn other_files_are_told_by_their_begin() {
    let foreign = |bytes: &[u8], words| check(bytes, &[], Some((ProblemKind::Foreign, 0, words)));
    foreign(b"\x1F\x8B\x08\x00", "gzip");
    foreign(b"\xFD7zXZ\x00", "xz");
    foreign(b"hello\x1B[2J", "`h");
    foreign(b"\x7FELF\x02", r"`\x7fELF");
    foreign(&[0; 100], r"`\x00");
    foreign(b"\r\r\r\r\r\r\rx{", "begins with");
    check(
        &[&[b'\r'; 40][..], b"{}"].concat(),
        &[(0, &format!("{}{{}}", "\r".repeat(40)))],
        None,
    );
    check(b"", &[], Some((ProblemKind::Empty, 0, "empty")));
}

#[test]
fn a_file_that_was_cut_gives_the_frames_before() {
    let texts = ["{\"n\":1}\n{\"n\":1}\n", "{\"n\":2}\n", "{\"n\":3}\n"];
    let frames = texts.map(frame);
    let ends: Vec<usize> = (1..=3).map(|n| frames[..n].concat().len()).collect();
    let bytes = frames.concat();
    for cut in 1..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let (lines, problem) = read_all(&bytes[..cut]);
        assert_eq!(lines.len(), [0, 2, 3][whole], "cut at {cut}");
        let offset = if whole == 0 { 0 } else { ends[whole - 1] };
        match problem {
            None => assert_eq!(cut, offset),
            Some(problem) => assert_eq!(
                (problem.kind, problem.offset),
                (ProblemKind::Torn, offset as u64)
            ),
        }
    }
}

#[test]
fn a_stream_that_was_cut_gives_what_could_be_unpacked() {
    let line = "{\"what\":\"something that is told\"}\n";
    let text = line.repeat(40_000);
    let bytes = stream(text.as_bytes());
    let (lines, problem) = read(&bytes[..bytes.len() - 10]);
    assert!(lines.len() > 30_000, "{}", lines.len());
    assert!(lines.iter().all(|(_, got)| got.as_str() == line.trim_end()));
    assert_eq!(problem.map(|problem| problem.kind), Some(ProblemKind::Torn));
}

#[test]
fn what_follows_a_frame_and_is_none_is_said() {
    let first = frame("{\"n\":1}\n");
    let at = first.len() as u64;
    for rubbish in [
        &b"\0\0\0\0\0\0"[..],
        b"{\"n\":2}\n",
        b"\x28\xB5\x2F\xFE",
        b"\x60",
    ] {
        let bytes = [&first, rubbish].concat();
        let what = format!("bytes from {at} on are not a zstd frame");
        check(
            &bytes,
            &[(0, "{\"n\":1}")],
            Some((ProblemKind::Damaged, at, &what)),
        );
    }
}

#[test]
fn a_line_may_be_long_but_not_longer() {
    let long = "x".repeat(MAX_LINE_BYTES - 1);
    let text = format!("{{}}\n{long}\n{{}}\n");
    let lengths = |bytes: &[u8]| {
        let (lines, problem) = read(bytes);
        let lengths: Vec<usize> = lines.iter().map(|(_, line)| line.len()).collect();
        (
            lengths,
            problem.map(|problem| (problem.kind, problem.offset)),
        )
    };
    let fine = (vec![2, long.len(), 2], None);
    assert_eq!(lengths(&frame(&text)), fine);
    assert_eq!(lengths(&stream(text.as_bytes())), fine);
    assert_eq!(lengths(text.as_bytes()), fine);
    let text = format!("{{}}\nx{long}\n{{}}\n");
    let cut = |offset| (vec![2], Some((ProblemKind::Damaged, offset)));
    assert_eq!(lengths(&frame(&text)), cut(0));
    assert_eq!(lengths(&stream(text.as_bytes())), cut(0));
    assert_eq!(lengths(text.as_bytes()), cut(3));
}

/// A gigabyte from some kilobytes: it ends soon, in bounded memory, and what stood before is given.
#[test]
fn a_bomb_ends_at_the_length_of_a_line() {
    for byte in [b'\0', b'\n'] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(b"{}\n").unwrap();
        let piece = vec![byte; 1 << 20];
        for _ in 0..1024 {
            encoder.write_all(&piece).unwrap();
        }
        let bytes = encoder.finish().unwrap();
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        let mut lines = Lines::new(&bytes[..]);
        assert_eq!(lines.advance(), Step::Line);
        let Step::Problem(problem) = lines.advance() else {
            panic!("{}", String::from_utf8_lossy(lines.line()));
        };
        assert_eq!(problem.kind, ProblemKind::Damaged, "{}", problem.what);
        assert!(
            lines.text.capacity() <= 3 * WHOLE_BYTES,
            "{}",
            lines.text.capacity()
        );
        assert_eq!(lines.advance(), Step::End);
    }
}

#[test]
fn a_frame_that_wants_much_memory_is_refused() {
    // The text is short, and does not matter: the header says what may come.
    for (log, is_fine) in [(23, true), (24, false), (27, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"{}\n").unwrap();
        let bytes = encoder.finish().unwrap();
        if is_fine {
            check(&bytes, &[(0, "{}")], None);
        } else {
            check(
                &bytes,
                &[],
                Some((ProblemKind::Damaged, 0, "takes more than 8 MiB")),
            );
        }
    }
    // In one segment, with lengths of every size: 255, 256 + 1, 9 MiB and 4 GiB.
    let header = |about: u8, length: &[u8]| [&FRAME_MAGIC[..], &[about], length].concat();
    assert_eq!(window_bytes(&header(0x20, &[255])), Some(255));
    assert_eq!(window_bytes(&header(0x60, &[1, 0])), Some(1));
    assert_eq!(window_bytes(&header(0xA0, &[0, 0, 0x90, 0])), Some(9 << 20));
    assert_eq!(
        window_bytes(&header(0xE1, &[7, 0, 0, 0, 0, 1, 0, 0, 0])),
        Some(1 << 32)
    );
    assert_eq!(window_bytes(&header(0xA0, &[0, 0, 0x90])), None);
    let huge = [header(0xE0, &[0, 0, 0, 0, 1, 0, 0, 0]), vec![0; 20]].concat();
    check(
        &huge,
        &[],
        Some((ProblemKind::Damaged, 0, "takes more than 8 MiB")),
    );
}

#[test]
fn an_error_of_the_disk_is_said() {
    struct Broken(&'static [u8]);
    impl Read for Broken {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            match self.0.read(to)? {
                0 => Err(io::Error::from_raw_os_error(libc::EIO)),
                some => Ok(some),
            }
        }
    }
    let (lines, problem) = read(Broken(b"{}\n{}\n{"));
    assert_eq!(lines.len(), 2);
    let problem = problem.unwrap();
    assert_eq!(
        (problem.kind, problem.offset),
        (ProblemKind::Unreadable, 7),
        "{problem}"
    );
}

/// What holds of a recording with one byte that is another one.
fn check_flipped(frames: &[(Vec<u8>, usize)], at: usize, mask: u8) -> Result<(), TestCaseError> {
    let mut bytes = frames
        .iter()
        .map(|(bytes, _)| bytes.as_slice())
        .collect::<Vec<_>>()
        .concat();
    let (expect, _) = read(&bytes[..]);
    bytes[at] ^= mask;
    let (lines, problem) = read(&bytes[..]);
    let text = |lines: &[(u64, String)]| -> Vec<String> {
        lines.iter().map(|(_, line)| line.clone()).collect()
    };
    let (expect, lines) = (text(&expect), text(&lines));
    prop_assert!(
        expect.starts_with(&lines),
        "byte {at} ^ {mask:#x}: {lines:?}"
    );
    let mut end = 0;
    let before = frames.iter().take_while(|(bytes, _)| {
        end += bytes.len();
        end <= at
    });
    let least: usize = before.map(|(_, lines)| lines).sum();
    prop_assert!(
        lines.len() >= least,
        "byte {at} ^ {mask:#x}: {} < {least}",
        lines.len()
    );
    // A bit of the header means nothing, and another one only says how the length is written.
    let is_harmless = lines == expect;
    prop_assert!(
        problem.is_some() || is_harmless,
        "byte {at} ^ {mask:#x}: no problem"
    );
    Ok(())
}

fn frames_of(lines: &[Vec<String>]) -> Vec<(Vec<u8>, usize)> {
    let framed = lines.iter().map(|lines| {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        (frame(&text), lines.len())
    });
    framed.collect()
}

#[test]
fn any_bit_may_flip() {
    let line =
        |n| format!(r#"{{"type":"event","n":{n},"what":"something that is told of a listener"}}"#);
    let lines: Vec<Vec<String>> = vec![vec![line(1)], (2..20).map(line).collect(), vec![line(20)]];
    let frames = frames_of(&lines);
    let length: usize = frames.iter().map(|(bytes, _)| bytes.len()).sum();
    for at in 0..length {
        for mask in (0..8)
            .map(|bit| 1 << bit)
            .chain([0xFF, 0x0F, 0xF0, 0x03, 0x06])
        {
            check_flipped(&frames, at, mask).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn any_byte_may_be_another(
        lines in prop::collection::vec(prop::collection::vec("\\{[a-z\":,0-9]{0,80}", 1..10), 1..5),
        at in any::<prop::sample::Index>(),
        mask in 1..=255_u8,
    ) {
        let frames = frames_of(&lines);
        let length = frames.iter().map(|(bytes, _)| bytes.len()).sum();
        check_flipped(&frames, at.index(length), mask)?;
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read(&bytes[..]);
        let behind_magic = [&FRAME_MAGIC[..], &bytes].concat();
        read(&behind_magic[..]);
        let behind_frame = [frame("{}\n"), bytes].concat();
        let (lines, _) = read(&behind_frame[..]);
        let first = lines.first().map(|(at, line)| (*at, line.as_str()));
        prop_assert_eq!(first, Some((0, "{}")));
    }
}

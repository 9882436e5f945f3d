//! What writer and reader of a recording agree on: how large its pieces are, and how its parts are
//! named.
//!
//! A part is NDJSON in zstd frames that each hold whole lines, stand alone, say how long their text
//! is and end with a checksum of it.

/// A frame is closed when its text is this long.
pub const FRAME_BYTES: usize = 256 << 10;

/// No line is longer. A summary of a host with 20,000 listeners has some 10 MB.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// First bytes of a zstd frame (RFC 8878, 3.1.1).
pub const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// What a recording's name ends with.
pub const END: &str = ".whydrop";

/// Ends in front of which a part's number is put; the longer ones first.
const ENDS: [&str; 3] = [END, ".ndjson.zst", ".zst"];

/// A part's name taken apart: `SERIES[-TIME][-NUMBER[_AGAIN]]END`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartName<'a> {
    /// The same over all parts of a recording: the host in a folder, the file's own name elsewhere.
    pub series: &'a [u8],
    /// Only of parts in a folder: `20261127T052100Z`.
    pub time: Option<&'a [u8]>,
    /// Not of the first part of a file.
    pub number: Option<u32>,
    /// What it ends with: `.whydrop`, for example.
    pub end: &'a [u8],
}

impl<'a> PartName<'a> {
    /// A name taken apart.
    pub fn of(name: &'a [u8]) -> Self {
        let end = ENDS.iter().find(|end| name.ends_with(end.as_bytes()));
        let (stem, end) = name.split_at(name.len() - end.map_or(0, |end| end.len()));
        let whole = Self {
            series: stem,
            time: None,
            number: None,
            end,
        };
        let Some((before, number)) = split_number(stem) else {
            return whole;
        };
        let number = Some(number);
        match split_last(before, b'-') {
            Some((series, time)) if is_time(time) => Self {
                series,
                time: Some(time),
                number,
                end,
            },
            _ => Self {
                series: before,
                number,
                ..whole
            },
        }
    }
}

/// Name of a part in a folder; `time` as in [`PartName`], `again` from 2 on if the name was taken.
pub fn name_in_folder(host: &str, time: &str, part: u32, again: u32) -> String {
    name_with_time(host, time, part, again, END)
}

/// The same with another end.
pub fn name_with_time(series: &str, time: &str, part: u32, again: u32, end: &str) -> String {
    format!("{series}-{time}-{part:04}{}{end}", suffix(again))
}

/// Name of a part but the first beside a file of this name.
pub fn name_beside(first: &[u8], part: u32, again: u32) -> Vec<u8> {
    let end = PartName::of(first).end;
    let stem = &first[..first.len() - end.len()];
    let number = format!("-{part:04}{}", suffix(again));
    [stem, number.as_bytes(), end].concat()
}

fn suffix(again: u32) -> String {
    if again < 2 {
        String::new()
    } else {
        format!("_{again}")
    }
}

/// `SERIES-0002` and `SERIES-0002_2`.
fn split_number(stem: &[u8]) -> Option<(&[u8], u32)> {
    let (before, last) = split_last(stem, b'-')?;
    let number = match split_last(last, b'_') {
        Some((number, again)) if number_of(again).is_some() => number,
        Some(_) => return None,
        None => last,
    };
    let number = (number.len() >= 4).then(|| number_of(number)).flatten()?;
    (!before.is_empty()).then_some((before, number))
}

fn split_last(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == mark)?;
    Some((&text[..at], &text[at + 1..]))
}

fn number_of(text: &[u8]) -> Option<u32> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn is_time(text: &[u8]) -> bool {
    text.len() == 16
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, series: &str, time: Option<&str>, number: Option<u32>, end: &str) {
        let expect = PartName {
            series: series.as_bytes(),
            time: time.map(str::as_bytes),
            number,
            end: end.as_bytes(),
        };
        assert_eq!(PartName::of(name.as_bytes()), expect, "{name}");
    }

    #[test]
    fn names_are_taken_apart() {
        let time = Some("20261127T052100Z");
        check(
            "web-1-20261127T052100Z-0001.whydrop",
            "web-1",
            time,
            Some(1),
            ".whydrop",
        );
        check(
            "web-20261127T052100Z-12345_2.whydrop",
            "web",
            time,
            Some(12345),
            ".whydrop",
        );
        check("x.whydrop", "x", None, None, ".whydrop");
        check("x-0002.whydrop", "x", None, Some(2), ".whydrop");
        check("x-0002_3.ndjson.zst", "x", None, Some(2), ".ndjson.zst");
        check("x-2.zst", "x-2", None, None, ".zst");
        check("x-0002_.zst", "x-0002_", None, None, ".zst");
        check("trace", "trace", None, None, "");
        check("-0002", "-0002", None, None, "");
        check("x-99999999999", "x-99999999999", None, None, "");
        check(
            "web-20261127X052100Z-0001",
            "web-20261127X052100Z",
            None,
            Some(1),
            "",
        );
        check("", "", None, None, "");
        check(".whydrop", "", None, None, ".whydrop");
    }

    #[test]
    fn names_that_are_made_are_those_that_are_taken_apart() {
        for again in [1, 2, 10] {
            let name = name_in_folder("h", "20261127T052100Z", 7, again);
            let name = PartName::of(name.as_bytes());
            assert_eq!((name.series, name.number), (&b"h"[..], Some(7)));
            let name = name_beside(b"x.whydrop", 7, again);
            let name = PartName::of(&name);
            assert_eq!((name.series, name.number), (&b"x"[..], Some(7)));
        }
        assert_eq!(name_beside(b"x.whydrop", 2, 1), b"x-0002.whydrop");
        assert_eq!(name_beside(b"trace", 2, 2), b"trace-0002_2");
    }

    #[test]
    fn names_in_a_folder_sort_by_time() {
        let names = [
            name_in_folder("h", "20261127T052100Z", 1, 1),
            name_in_folder("h", "20261127T052100Z", 1, 2),
            name_in_folder("h", "20261127T052100Z", 2, 1),
            name_in_folder("h", "20261127T052101Z", 1, 1),
        ];
        assert!(names.is_sorted(), "{names:?}");
    }
}

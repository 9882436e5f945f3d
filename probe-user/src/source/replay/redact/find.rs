//! Addresses in any text: names, sentences, command lines. What could be one is taken for one.

use std::{borrow::Cow, net::IpAddr};

/// The longest text of an address: eight groups, the last two as an IPv4 address.
const LONGEST: usize = 45;

/// Whether an address may be glued to letters, as `e::f` is in `core::fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Alone,
    InWord,
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The text, with each address as `with` wants it; `None` leaves one as it is.
pub(super) fn replace(
    text: &str,
    mut with: impl FnMut(IpAddr, Place) -> Option<IpAddr>,
) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        if !is_part(bytes[at]) {
            at += 1;
            continue;
        }
        let end = bytes[at..].iter().position(|byte| !is_part(*byte));
        let end = end.map_or(bytes.len(), |length| at + length);
        while at < end {
            let Some((addr, length)) = first(&text[at..end.min(at + LONGEST)]) else {
                at += 1;
                continue;
            };
            let is_glued = |byte: Option<&u8>| byte.is_some_and(|byte| is_letter(*byte));
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            let place = if is_glued(before) || is_glued(bytes.get(at + length)) {
                Place::InWord
            } else {
                Place::Alone
            };
            if let Some(new) = with(addr, place) {
                out.push_str(&text[copied..at]);
                out.push_str(&new.to_string());
                copied = at + length;
            }
            at += length;
        }
    }
    if copied == 0 && out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The longest address with which this begins, and its length. All of it is ASCII.
fn first(text: &str) -> Option<(IpAddr, usize)> {
    let bytes = text.as_bytes();
    let (mut dots, mut colons) = (0, 0);
    for byte in bytes {
        dots += u32::from(*byte == b'.');
        colons += u32::from(*byte == b':');
    }
    if dots < 3 && colons < 2 {
        return None;
    }
    (2..=bytes.len())
        .rev()
        .find_map(|length| Some((text[..length].parse().ok()?, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each address in angle brackets, in words in parentheses.
    fn marked(text: &str) -> String {
        let mut found = Vec::new();
        replace(text, |addr, place| {
            found.push((addr, place));
            None
        });
        let words: Vec<String> = found
            .into_iter()
            .map(|(addr, place)| match place {
                Place::Alone => addr.to_string(),
                Place::InWord => format!("({addr})"),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        let check = |text: &str, expect: &str| assert_eq!(marked(text), expect, "{text}");
        check("10.0.0.1", "10.0.0.1");
        check("10.0.0.1:80", "10.0.0.1");
        check("client 10.0.0.0/8, and 10.0.0.2.", "10.0.0.0 10.0.0.2");
        check("[fd00::1]:80 [fe80::1%3]:80", "fd00::1 fe80::1");
        check("::ffff:10.0.0.1", "::ffff:10.0.0.1");
        check(
            "sshd@0-10.0.0.1:22-10.0.0.2:51234.service",
            "10.0.0.1 10.0.0.2",
        );
        // A port behind an address without brackets is taken for its last group.
        check("sshd@0-fd00::1:22-fd00::2:5000", "fd00::1:22 fd00::2:5000");
        check("1:2:3:4:5:6:7:8:5000", "1:2:3:4:5:6:7:8");
        check("vethx10.0.0.1y", "(10.0.0.1)");
        check("010.0.0.1", "(10.0.0.1)");
        check("core::fmt", "(e::f)");
    }

    #[test]
    fn other_numbers_are_none() {
        for text in [
            "",
            "2026-11-27T05:21:00.123456Z",
            "6.18.0-28-amd64",
            "aa:bb:cc:dd:ee:ff",
            "0x1f",
            "sha256:0123456789abcdef",
            "1.5",
            "::: é",
        ] {
            let found = marked(text);
            assert!(found.is_empty() || found == "::", "{text}: {found}");
        }
    }

    #[test]
    fn what_is_between_stays() {
        let new = replace("é 10.0.0.1→10.0.0.2 é", |addr, _| {
            (addr.to_string() == "10.0.0.2").then(|| "240.0.0.1".parse().expect("an address"))
        });
        assert_eq!(new, "é 10.0.0.1→240.0.0.1 é");
        let new = replace("10.0.0.1", |_, _| "::1".parse().ok());
        assert_eq!(new, "::1");
    }
}

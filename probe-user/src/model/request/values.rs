//! Values of options: a length of time, a share of a queue, the size of the ring.

use std::time::Duration;

/// Units of time, the largest first, in milliseconds.
const UNITS: [(&str, f64); 5] = [
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("m", 60_000.0),
    ("s", 1000.0),
    ("ms", 1.0),
];

/// Ten years: who asks for more means something else.
const AT_MOST_MS: f64 = 10.0 * 365.0 * 86_400_000.0;

/// `500ms`, `30s`, `1.5s`, `5m`, `1m30s`, `1h`, `1d`; a number alone is in seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let ms = milliseconds(text).map(f64::round);
    let ms = ms.filter(|ms| (1.0..=AT_MOST_MS).contains(ms));
    ms.map(|ms| Duration::from_millis(ms as u64))
        .ok_or_else(|| {
            format!("`{text}` is not a length of time; write 500ms, 30s, 1m30s, 5m, 1h or 1d")
        })
}

fn milliseconds(text: &str) -> Option<f64> {
    if let Some(seconds) = number(text) {
        return Some(seconds * 1000.0);
    }
    let (mut rest, mut sum, mut units) = (text, 0.0, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let value = number(&rest[..digits])?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = rest.split_at(end.unwrap_or(rest.len()));
        // Each once, and the smaller ones later.
        let at = units.iter().position(|(name, _)| *name == unit)?;
        sum += value * units[at].1;
        (rest, units) = (after, &units[at + 1..]);
    }
    (!text.is_empty()).then_some(sum)
}

/// Digits, with a point among them or none: no sign, exponent or name.
fn number(text: &str) -> Option<f64> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

/// `80%`, from 1 to 100.
pub fn parse_share(text: &str) -> Result<u8, String> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let share = digits
        .parse()
        .ok()
        .filter(|share| (1..=100).contains(share));
    share.ok_or_else(|| {
        format!("`{text}` is not a share of a queue; write 80%, or any from 1% to 100%")
    })
}

/// A power of two.
pub(super) fn parse_ring(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|bytes: &u32| bytes.is_power_of_two() && (4096..=1 << 30).contains(bytes))
        .ok_or_else(|| format!("`{text}` is not a power of two between 4096 and 1073741824"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        assert_eq!(parse_share("80%"), Ok(80));
        assert_eq!(parse_share("1"), Ok(1));
        for text in ["", "%", "0%", "101%", "-1%", "80.5%", "256"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time() {
        let check = |text: &str, ms: u64| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        };
        check("500ms", 500);
        check("30s", 30_000);
        check("5m", 300_000);
        check("1h", 3_600_000);
        check("1d", 86_400_000);
        check("30", 30_000);
        check("1.5", 1500);
        check("1.5s", 1500);
        check("0.5h", 1_800_000);
        check("1m30s", 90_000);
        check("1d12h", 129_600_000);
        check("1s500ms", 1500);
        for text in [
            "",
            "s",
            ".",
            "-1s",
            "1e3",
            "inf",
            "NaN",
            "1w",
            "0",
            "0s",
            "0.0001s",
            "1s1m",
            "1s1s",
            "1m30",
            "1 m",
            "9999d",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}

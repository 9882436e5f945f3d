//! Values of options: a length of time, a share of a queue, the size of the ring.

use std::time::Duration;

/// `500ms`, `30s`, `5m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write 500ms, 30s, 5m or 1h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit_ms)
        .filter(|ms| (1..=10 * 365 * 86_400_000).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(wrong)
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
        for text in [
            "",
            "s",
            "30",
            "-1s",
            "1d",
            "0s",
            "1.5s",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}

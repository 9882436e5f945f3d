//! `64M` and `7d`: how much and how old, as they stand on a command line.

use std::{str::FromStr, time::Duration};

/// Bytes: a whole number with `k`, `M`, `G` or `T` (powers of 1024), or with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [
            ("k", 1 << 10),
            ("m", 1 << 20),
            ("g", 1 << 30),
            ("t", 1 << 40),
        ];
        let bytes = number_with_unit(&text.to_ascii_lowercase(), &units, Some(1));
        bytes.map(Self).ok_or_else(|| {
            format!("`{text}` is not a size; write `512k`, `64M` or `1G`, in powers of 1024")
        })
    }
}

/// How long something is kept: a whole number with `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
        let seconds = number_with_unit(text, &units, None);
        let age = seconds.map(|seconds| Self(Duration::from_secs(seconds)));
        age.ok_or_else(|| format!("`{text}` is not an age; write `30m`, `12h` or `7d`"))
    }
}

/// When a part or a file ends: by its size, or by its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Size(Size),
    Age(Age),
}

impl FromStr for Turn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Elsewhere it is minutes in an age, and mebibytes in a size.
        if text.ends_with('m') {
            return Err(format!(
                "`{text}` may be a size or an age; write `64M` for mebibytes, or minutes as seconds: `1800s`"
            ));
        }
        let size = text.parse().map(Self::Size);
        size.or_else(|_| text.parse().map(Self::Age))
            .map_err(|_: String| {
                format!("`{text}` is neither a size nor an age; write `512k`, `64M`, `12h` or `1d`")
            })
    }
}

/// `plain` is what a number without a unit is multiplied by, if it may have none. Zero is nothing.
fn number_with_unit(text: &str, units: &[(&str, u64)], plain: Option<u64>) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => plain?,
        _ => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(factor).filter(|product| *product != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        assert_eq!(size("512k"), Ok(512 << 10));
        assert_eq!(size("512K"), Ok(512 << 10));
        assert_eq!(size("2t"), Ok(2 << 40));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in [
            "",
            "0",
            "0M",
            "M",
            "64MB",
            "64 M",
            "-1M",
            "+1M",
            "1.5G",
            "16777216T",
            "6٤k",
        ] {
            let answer = size(wrong);
            assert!(
                answer.as_ref().is_err_and(|text| text.contains(wrong)),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_ends_a_part_is_a_size_or_an_age() {
        let turn = |text: &str| text.parse::<Turn>();
        assert_eq!(turn("64M"), Ok(Turn::Size(Size(64 << 20))));
        assert_eq!(turn("4096"), Ok(Turn::Size(Size(4096))));
        let day = Duration::from_hours(24);
        assert_eq!(turn("1d"), Ok(Turn::Age(Age(day))));
        assert_eq!(turn("24h"), Ok(Turn::Age(Age(day))));
        for wrong in ["", "0", "30m", "64m", "1w", "-1h"] {
            let answer = turn(wrong);
            let says = |text: &String| text.contains(wrong);
            assert!(answer.as_ref().is_err_and(says), "{answer:?}");
        }
    }

    #[test]
    fn ages_have_a_unit() {
        let age = |text: &str| text.parse::<Age>().map(|age| age.0.as_secs());
        assert_eq!(age("7d"), Ok(7 * 86_400));
        assert_eq!(age("12h"), Ok(12 * 3600));
        assert_eq!(age("30m"), Ok(1800));
        assert_eq!(age("45s"), Ok(45));
        for wrong in [
            "",
            "0d",
            "7",
            "d",
            "7D",
            "1w",
            "1h30m",
            "-1d",
            "999999999999999999d",
        ] {
            let answer = age(wrong);
            assert!(
                answer.as_ref().is_err_and(|text| text.contains(wrong)),
                "{answer:?}"
            );
        }
    }
}

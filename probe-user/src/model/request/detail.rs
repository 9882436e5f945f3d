//! How much detail is wanted: `all`, `auto` or so many lines a second.

use std::{num::NonZeroU32, str::FromStr};

/// Lines a second for each listener and cause; `None`: all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail(pub Option<NonZeroU32>);

impl Detail {
    /// What a person can scroll through and a machine takes without noticing.
    pub const AUTO: Self = Self(NonZeroU32::new(1000));
}

impl FromStr for Detail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self(None)),
            "auto" => Ok(Self::AUTO),
            _ => text
                .strip_suffix("/s")
                .and_then(|number| number.parse().ok())
                .map(|number| Self(Some(number)))
                .ok_or_else(|| {
                    format!("`{text}` is not an amount of detail; write all, auto or 100/s")
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_detail() {
        let check = |text: &str, expect: Option<u32>| {
            let got = text.parse().map(|Detail(limit)| limit.map(NonZeroU32::get));
            assert_eq!(got, Ok(expect), "{text}");
        };
        check("all", None);
        check("auto", Some(1000));
        check("100/s", Some(100));
        for text in ["", "0/s", "100", "-1/s", "100/m", "99999999999/s"] {
            assert!(text.parse::<Detail>().is_err(), "{text}");
        }
    }
}

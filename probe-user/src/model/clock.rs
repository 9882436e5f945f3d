//! From the kernel's monotonic nanoseconds to the wall clock's date and time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far the wall clock (UTC) is ahead of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    ahead_ns: i64,
}

impl Clock {
    /// One that shows a time so far ahead of the monotonic clock's.
    pub const fn of(ahead_ns: i64) -> Self {
        Self { ahead_ns }
    }

    /// The monotonic instant at which it shows so many nanoseconds since 1970.
    pub const fn mono_at(self, wall_ns: u64) -> u64 {
        wall_ns.saturating_add_signed(-self.ahead_ns)
    }

    /// UTC is so far ahead of the monotonic clock.
    pub const fn ahead_ns(self) -> i64 {
        self.ahead_ns
    }

    #[cfg(test)]
    pub fn ahead(ahead_ns: i64) -> Self {
        Self { ahead_ns }
    }

    /// The date and time of a monotonic instant.
    pub fn at(self, mono_ns: u64) -> Utc {
        // They fit until the year 2554, and 128 bits would be divided by a function.
        let ns = mono_ns.saturating_add_signed(self.ahead_ns);
        Utc {
            seconds: ns / 1_000_000_000,
            micros: (ns % 1_000_000_000 / 1000) as u32,
        }
    }
}

/// A point in time, to the microsecond; displayed as RFC 3339, with `{:#}` as the time of day.
#[derive(Clone, Copy, Debug)]
pub struct Utc {
    seconds: u64,
    micros: u32,
}

impl Utc {
    /// Whole seconds since 1970.
    pub const fn seconds(self) -> u64 {
        self.seconds
    }

    /// Microseconds of the second.
    pub const fn micros(self) -> u32 {
        self.micros
    }

    /// The same in digits.
    pub fn stamp(self) -> Stamp {
        let (days, second) = (self.seconds / 86_400, self.seconds % 86_400);
        let (year, month, day) = date(days);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let pairs = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, second / 3600),
            (14, second / 60 % 60),
            (17, second % 60),
            (20, u64::from(self.micros / 10_000)),
            (22, u64::from(self.micros / 100 % 100)),
            (24, u64::from(self.micros % 100)),
        ];
        for (at, pair) in pairs {
            text[at] = b'0' + (pair / 10 % 10) as u8;
            text[at + 1] = b'0' + (pair % 10) as u8;
        }
        Stamp(text)
    }
}

/// A point in time as RFC 3339 has it.
pub struct Stamp([u8; 27]);

impl Stamp {
    /// Date and time, RFC 3339.
    pub fn whole(&self) -> &str {
        // They are digits and punctuation.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Date and time up to the dot behind the second.
    pub fn second(&self) -> &str {
        self.whole().get(..20).unwrap_or_default()
    }

    /// The same without its date.
    pub fn second_of_day(&self) -> &str {
        self.whole().get(11..20).unwrap_or_default()
    }

    /// The time without its date.
    pub fn time_of_day(&self) -> &str {
        self.whole().get(11..26).unwrap_or_default()
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = self.stamp();
        f.write_str(if f.alternate() {
            stamp.time_of_day()
        } else {
            stamp.whole()
        })
    }
}

/// Year, month and day of a count of days since 1970-01-01 (proleptic Gregorian calendar).
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that a leap day is a year's last day; eras of 400 years repeat.
    const DAYS_OF_ERA: u64 = 146_097;
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / DAYS_OF_ERA, shifted % DAYS_OF_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: u64, expect: &str) {
        assert_eq!(Utc { seconds, micros: 5 }.to_string(), expect);
    }

    #[test]
    fn dates_are_right_around_leap_days_and_years() {
        check(0, "1970-01-01T00:00:00.000005Z");
        check(951_782_399, "2000-02-28T23:59:59.000005Z");
        check(951_782_400, "2000-02-29T00:00:00.000005Z");
        check(951_868_800, "2000-03-01T00:00:00.000005Z");
        check(1_735_689_599, "2024-12-31T23:59:59.000005Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000005Z");
    }

    #[test]
    fn the_short_form_is_the_time_of_day() {
        let utc = Utc {
            seconds: 3661,
            micros: 42,
        };
        assert_eq!(format!("{utc:#}"), "01:01:01.000042");
    }
}

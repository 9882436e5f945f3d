//! Lengths of time, in the unit in which people would say them.

/// `850 µs`, `12.3 ms`, `1.25 s`.
pub(crate) fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} µs", ns / 1000),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(
            [999_999, 12_340_000, 1_250_000_000].map(time),
            ["999 µs", "12.3 ms", "1.25 s"]
        );
    }
}

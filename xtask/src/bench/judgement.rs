//! A figure beside its bar, for people: as a row of the document or a line on the terminal.

use std::fmt::Write as _;

/// A ratio of two figures of one run, or a count of instructions. It holds on any machine, so that missing its bar is a
/// failure.
#[derive(Clone)]
pub(super) struct Ratio {
    pub what: String,
    pub value: f64,
    pub bar: f64,
    pub wanted: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    AtMost,
    AtLeast,
}

impl Ratio {
    /// A figure that could not be had holds no bar.
    pub(super) fn holds(&self) -> bool {
        match self.wanted {
            Wanted::AtMost => self.value <= self.bar,
            Wanted::AtLeast => self.value >= self.bar,
        }
    }

    /// Another measurement of the same.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        match self.wanted {
            Wanted::AtMost => self.value < other.value,
            Wanted::AtLeast => self.value > other.value,
        }
    }

    pub(super) fn data(&self) -> String {
        // JSON has no word for what is not a number.
        let value = if self.value.is_finite() {
            format!("{:.3}", self.value)
        } else {
            "null".to_owned()
        };
        let (what, held) = (&self.what, self.holds());
        format!(r#"    {{"ratio": "{what}", "value": {value}, "held": {held}}}"#)
    }
}

/// All ratios as a table.
pub(super) fn table(ratios: &[Ratio]) -> String {
    let mut text = String::from("| ratio | | bar | |\n|---|---:|---:|---|\n");
    for ratio in ratios {
        let than = match ratio.wanted {
            Wanted::AtMost => "≤",
            Wanted::AtLeast => "≥",
        };
        let _ = writeln!(
            text,
            "| {} | {:.2} | {than} {:.2} | {} |",
            ratio.what,
            ratio.value,
            ratio.bar,
            word(ratio.holds())
        );
    }
    text
}

/// A row of a figure that should be at most its bar.
pub(super) fn row(text: &mut String, what: &str, figure: f64, bar: f64, unit: &str, digits: usize) {
    let _ = writeln!(
        text,
        "| {what} | {figure:.digits$} {unit} | {bar} {unit} | {} |",
        word(figure <= bar)
    );
}

/// Not a number where there is none.
pub(super) fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(super) const fn word(held: bool) -> &'static str {
    if held { "held" } else { "**missed**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_held_against_its_bar() {
        let holds = |value, wanted| {
            let what = String::new();
            Ratio {
                what,
                value,
                bar: 2.0,
                wanted,
            }
            .holds()
        };
        assert!(holds(2.0, Wanted::AtMost) && !holds(2.1, Wanted::AtMost));
        assert!(holds(2.0, Wanted::AtLeast) && !holds(1.9, Wanted::AtLeast));
        assert!(!holds(f64::NAN, Wanted::AtMost) && !holds(f64::NAN, Wanted::AtLeast));
    }
}

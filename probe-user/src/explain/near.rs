//! Which names somebody may have meant who wrote another one.

/// So many are named.
const AT_MOST: usize = 5;

/// The nearest first; none where none is near.
pub(super) fn near(meant: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let meant = meant.trim().to_lowercase();
    if meant.is_empty() {
        return Vec::new();
    }
    let far = 1 + meant.chars().count() / 4;
    let mut found: Vec<(usize, String)> = names
        .filter_map(|name| {
            let within = meant.len() > 2 && (name.contains(&meant) || meant.contains(&name));
            let distance = distance(&meant, &name);
            (within || distance <= far).then_some((distance, name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(AT_MOST);
    found.into_iter().map(|(_, name)| name).collect()
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&to) {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = *cell;
            left = changed.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        row[0] = above + 1;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        let check = |from, to, expect| assert_eq!(distance(from, to), expect, "{from} {to}");
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "", 3);
        check("kitten", "sitting", 3);
        check("no-ack", "no-ack", 0);
    }

    #[test]
    fn a_slip_and_a_part_are_near_and_nonsense_is_not() {
        let names = || {
            ["no-ack", "unknown-ack", "time-wait"]
                .map(str::to_owned)
                .into_iter()
        };
        assert_eq!(near("no-akc", names()), ["no-ack"]);
        assert_eq!(near("ack", names()), ["no-ack", "unknown-ack"]);
        assert_eq!(near("Time-Wait", names()), ["time-wait"]);
        assert!(near("frobnication", names()).is_empty());
        assert!(near("", names()).is_empty());
    }
}

//! Tables of a summary that stay short after weeks: those to whom most happened, and one line for the others.

use std::{
    cmp::Reverse,
    fmt::{self, Write as _},
};

use super::{counts_in_words, plural, stats};
use crate::model::{
    ListenerStatsRow, ListenerTally, Refusals,
    gone::{NAMESPACES, Others},
    rows::{NoKernel, Row},
};

/// What the listeners refused that are not listed.
pub(super) fn write_rest(rest: &[ListenerTally], to: &mut String) -> fmt::Result {
    if rest.is_empty() {
        return Ok(());
    }
    let mut counts = std::collections::BTreeMap::new();
    for (what, n) in rest.iter().flat_map(|tally| &tally.counts) {
        *counts.entry(*what).or_default() += n;
    }
    let (n, s) = (rest.len(), plural(rest.len()));
    writeln!(to, "and {n} other{s}: {}", counts_in_words(&counts))
}

/// What is known of listeners only together.
pub(super) fn write_others(others: &Others, to: &mut String) -> fmt::Result {
    if others.is_empty() {
        return Ok(());
    }
    let s = |n: u64| plural(n as usize);
    match (others.listeners, others.quiet) {
        (0, 0) => write!(to, "\nlisteners without a row of their own")?,
        (n, 0) => write!(to, "\n{n} listener{} that closed long ago", s(n))?,
        (0, m) => write!(to, "\n{m} listener{} to which nothing came lately", s(m))?,
        (n, m) => write!(
            to,
            "\n{n} listener{} that closed long ago, and {m} to which nothing came lately",
            s(n)
        )?,
    }
    if !others.counts.is_empty() {
        write!(to, ": {}", counts_in_words(&others.counts))?;
    }
    if others.established > 0 {
        write!(to, "; {} established", others.established)?;
    }
    to.push('\n');
    Ok(())
}

/// The table of what listeners went through: those with the most refusals and connections, in the order of the table.
pub(super) fn write_stats(rows: &[ListenerStatsRow], most: usize, to: &mut String) -> fmt::Result {
    if rows.len() <= most {
        return stats::write_table(rows, to);
    }
    let busy = |row: &ListenerStatsRow| {
        let refused = row.refusals.as_ref().map_or(0, Refusals::total);
        (refused, row.established)
    };
    let mut by_business: Vec<usize> = (0..rows.len()).collect();
    by_business.sort_by_key(|at| Reverse(busy(&rows[*at])));
    let (shown, rest) = by_business.split_at_mut(most);
    shown.sort_unstable();
    let listed: Vec<ListenerStatsRow> = shown.iter().map(|at| rows[*at].clone()).collect();
    stats::write_table(&listed, to)?;
    let established: u64 = rest.iter().map(|at| rows[*at].established).sum();
    let (n, s) = (rest.len(), plural(rest.len()));
    writeln!(
        to,
        "and {n} other{s}: {established} established (--top 0 lists all)"
    )
}

/// The rows of the reconciliation: namespaces that ended share theirs. With each comes how many it stands for, 0 of one.
pub(super) fn rows(all: &[Row]) -> Vec<(Row, usize)> {
    let has_ended = |row: &&Row| row.no_kernel == Some(NoKernel::Ended) || row.netns == NAMESPACES;
    let ended: Vec<&Row> = all.iter().filter(has_ended).collect();
    let are_several = ended.iter().any(|row| row.netns != ended[0].netns);
    if !are_several && !ended.iter().any(|row| row.netns == NAMESPACES) {
        return all.iter().map(|row| (row.clone(), 0)).collect();
    }
    let living = all.iter().filter(|row| !has_ended(row));
    let mut rows: Vec<(Row, usize)> = living.map(|row| (row.clone(), 0)).collect();
    let first_ended = rows.len();
    for row in ended {
        let sum = rows[first_ended..]
            .iter_mut()
            .find(|(sum, _)| sum.counter == row.counter);
        match sum {
            Some((sum, n)) => {
                sum.seen += row.seen;
                sum.sampled += row.sampled;
                sum.lost += row.lost;
                *n += 1;
            }
            None => rows.push((row.clone(), 1)),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_ended_share_their_rows() {
        let row = |netns, no_kernel, seen| Row {
            netns,
            counter: "ListenDrops",
            kernel: None,
            no_kernel,
            seen,
            sampled: 0,
            lost: 1,
            unattributed: None,
        };
        let all = [
            row(1, None, 5),
            row(2, Some(NoKernel::Ended), 6),
            row(3, Some(NoKernel::Ended), 7),
        ];
        let told = |all: &[Row]| -> Vec<(u32, u64, u64, usize)> {
            let rows = rows(all).into_iter();
            rows.map(|(row, n)| (row.netns, row.seen, row.lost, n))
                .collect()
        };
        assert_eq!(told(&all), [(1, 5, 1, 0), (2, 13, 2, 2)]);
        assert_eq!(told(&all[..2]), [(1, 5, 1, 0), (2, 6, 1, 0)]);
    }

    #[test]
    fn what_is_not_listed_is_added_up() {
        let row = |established| ListenerStatsRow {
            established,
            ..ListenerStatsRow::default()
        };
        let rows = [row(1), row(50), row(2), row(40)];
        let mut text = String::new();
        write_stats(&rows, 2, &mut text).expect("a string");
        assert!(
            text.ends_with("and 2 others: 3 established (--top 0 lists all)\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}

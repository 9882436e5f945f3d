//! The table as it stands in a document, between two marks: read, changed by columns, compared, written.
//!
//! Text goes in, text comes out; nothing here knows a tier or a verdict.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use super::column::Column;
use super::finding::Row;

const BEGIN: &str = "<!-- table: begin; made by `cargo xtask table`, not by hand -->\n";
const END: &str = "<!-- table: end -->\n";
/// Nobody tried this row on this kernel.
const EMPTY: &str = "–";

/// Column by header.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table(BTreeMap<Header, BTreeMap<Row, String>>);

/// Sorted by version: 6.1 before 6.12, and both before 6.12 (cgroup).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Header(Vec<u32>, String);

impl Header {
    fn of(text: &str) -> Self {
        let numbers = kernel(text)
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        Self(numbers.collect(), text.to_owned())
    }
}

/// `6.18` of `6.18 (cgroup)`.
fn kernel(header: &str) -> &str {
    header.split(' ').next().unwrap_or_default()
}

impl Table {
    pub(super) fn of_document(document: &str) -> Result<Self> {
        let (_, table, _) = split(document)?;
        let mut lines = table
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(cells);
        let Some(head) = lines.next() else {
            return Ok(Self::default());
        };
        ensure!(head.len() > 3, "the table has no columns");
        let mut columns = vec![BTreeMap::new(); head.len() - 3];
        for line in lines.skip(1) {
            ensure!(
                line.len() == head.len(),
                "a row of {} cells: {line:?}",
                line.len()
            );
            let [kind, stage, cause] = [0, 1, 2].map(|at| line[at].to_owned());
            let row = Row { kind, stage, cause };
            for (column, text) in columns.iter_mut().zip(&line[3..]) {
                if *text != EMPTY {
                    column.insert(row.clone(), (*text).to_owned());
                }
            }
        }
        let headers = head[3..].iter().map(|text| Header::of(text));
        Ok(Self(headers.zip(columns).collect()))
    }

    /// The document with this table in the place of its own.
    pub(super) fn placed_in(&self, document: &str) -> Result<String> {
        let (before, _, after) = split(document)?;
        Ok([before, BEGIN, &self.render(), END, after].concat())
    }

    pub(super) fn has(&self, header: &str) -> bool {
        self.0.contains_key(&Header::of(header))
    }

    pub(super) fn put(&mut self, column: Column) {
        self.0.insert(Header::of(&column.header), column.cells);
    }

    /// Takes all columns of a kernel out, whatever their tiers.
    pub(super) fn remove_kernel(&mut self, name: &str) {
        self.0.retain(|header, _| kernel(&header.1) != name);
    }

    /// Where a column differs from what is here, a line for each row.
    pub(super) fn differences(&self, found: &Column) -> Vec<String> {
        let Some(here) = self.0.get(&Header::of(&found.header)) else {
            return vec![format!("there is no column {}", found.header)];
        };
        let rows: BTreeSet<&Row> = here.keys().chain(found.cells.keys()).collect();
        let of =
            |cells: &BTreeMap<Row, String>, row| cells.get(row).cloned().unwrap_or(EMPTY.into());
        let lines = rows.into_iter().filter_map(|row| {
            let (here, found_cell) = (of(here, row), of(&found.cells, row));
            let Row { kind, stage, cause } = row;
            (here != found_cell).then(|| {
                let header = &found.header;
                format!(
                    "{kind} {stage} {cause} on {header}: \"{here}\", but found \"{found_cell}\""
                )
            })
        });
        lines.collect()
    }

    fn render(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let head = ["kind", "stage", "cause"].into_iter();
        let mut text = line(head.chain(self.0.keys().map(|header| header.1.as_str())));
        text += &format!("{}|\n", "|---".repeat(3 + self.0.len()));
        let rows: BTreeSet<&Row> = self.0.values().flat_map(BTreeMap::keys).collect();
        for row in rows {
            let names = [&row.kind, &row.stage, &row.cause].map(String::as_str);
            let cells = self
                .0
                .values()
                .map(|column| column.get(row).map_or(EMPTY, String::as_str));
            text += &line(names.into_iter().chain(cells));
        }
        text
    }
}

fn split(document: &str) -> Result<(&str, &str, &str)> {
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some((before, table, after))
    });
    parts.with_context(|| format!("it lacks the lines\n{BEGIN}{END}"))
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    cells.map(|cell| format!("| {cell} ")).collect::<String>() + "|\n"
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::finding::Findings;

    const ROWS: &str = "| kind | stage | cause | 6.1 | 6.12 | 6.18 (cgroup) |\n\
                        |---|---|---|---|---|---|\n\
                        | overflow | ack | a | exact | exact; cgroup: not visible | – |\n\
                        | reset-sent | - | b | – | or c, d | not visible |\n";

    fn document(rows: &str) -> String {
        format!("# Title\n\n{BEGIN}{rows}{END}\nMore | text.\n")
    }

    fn column(kernel: &str, lines: &str) -> Column {
        Column::of(kernel, &Findings::read(lines).unwrap())
    }

    #[test]
    fn a_document_is_read_and_written_alike() {
        for rows in ["", ROWS] {
            let document = document(rows);
            let table = Table::of_document(&document).unwrap();
            assert_eq!(table.placed_in(&document).unwrap(), document);
        }
    }

    #[test]
    fn a_document_without_the_marks_or_with_a_broken_row_is_refused() {
        let error = Table::of_document("# Title\n").unwrap_err().to_string();
        assert!(error.contains(END), "{error}");
        assert!(Table::of_document(&document(&ROWS.replace("| – |\n", "|\n"))).is_err());
    }

    #[test]
    fn a_column_takes_the_place_of_the_old_one_and_others_stay() {
        let mut table = Table::of_document(&document(ROWS)).unwrap();
        let lines = "TABLE cgroup overflow syn a exact\n";
        table.remove_kernel("6.12");
        table.put(column("6.12", lines));
        table.put(column("5.10", lines));
        let rows = "| kind | stage | cause | 5.10 (cgroup) | 6.1 | 6.12 (cgroup) | 6.18 (cgroup) |\n\
                    |---|---|---|---|---|---|---|\n\
                    | overflow | ack | a | – | exact | – | – |\n\
                    | overflow | syn | a | exact | – | exact | – |\n\
                    | reset-sent | - | b | – | – | – | not visible |\n";
        assert_eq!(table.placed_in(&document("")).unwrap(), document(rows));
    }

    #[test]
    fn differences_are_told_row_by_row() {
        let table = Table::of_document(&document(ROWS)).unwrap();
        let differences = |kernel, lines| table.differences(&column(kernel, lines));
        let same = "TABLE cgroup reset-sent - b not-visible\n";
        assert!(differences("6.18", same).is_empty());
        let other = "TABLE cgroup overflow ack a exact\nTABLE cgroup reset-sent - b among:b,c\n";
        let expected = [
            "overflow ack a on 6.18 (cgroup): \"–\", but found \"exact\"",
            "reset-sent - b on 6.18 (cgroup): \"not visible\", but found \"or c\"",
        ];
        assert_eq!(differences("6.18", other), expected);
        let gone = differences("6.18", "TABLE cgroup overflow syn z exact\n");
        assert_eq!(gone.len(), 2, "{gone:?}");
        assert_eq!(
            differences("7.2", same),
            ["there is no column 7.2 (cgroup)"]
        );
    }
}

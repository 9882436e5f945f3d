//! Columns as wide as what is in them.

use std::iter::once;

#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    is_right: bool,
    /// The title first.
    cells: Vec<String>,
}

impl Table {
    pub(crate) fn left(&mut self, title: &str, cells: impl Iterator<Item = String>) {
        self.add(title, cells, false);
    }

    pub(crate) fn right(&mut self, title: &str, cells: impl Iterator<Item = String>) {
        self.add(title, cells, true);
    }

    fn add(&mut self, title: &str, cells: impl Iterator<Item = String>, is_right: bool) {
        let cells = once(title.to_owned()).chain(cells).collect();
        self.columns.push(Column { is_right, cells });
    }

    /// All lines, each with its newline.
    pub(crate) fn into_text(self) -> String {
        let lines = self.columns.first().map_or(0, |first| first.cells.len());
        let widths = self.columns.iter().map(Column::width);
        let columns: Vec<(&Column, usize)> = self.columns.iter().zip(widths).collect();
        let mut text = String::new();
        for line in 0..lines {
            let cells = columns.iter().filter_map(|(column, width)| {
                let cell = column.cells.get(line)?;
                Some(if column.is_right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                })
            });
            let cells: Vec<String> = cells.collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

impl Column {
    fn width(&self) -> usize {
        let widths = self.cells.iter().map(|cell| cell.chars().count());
        widths.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).into_iter();
        let mut table = Table::default();
        table.left("A", cells(["long", "é"]));
        table.right("N", cells(["1", "100"]));
        table.left("LAST", cells(["", "x"]));
        assert_eq!(
            table.into_text(),
            "A       N  LAST\nlong    1\né     100  x\n"
        );
        assert_eq!(Table::default().into_text(), "");
    }
}

//! Tables of text.

use crate::cli::terminal::text::escaped;

/// Spaces between columns.
const GAP: usize = 2;
/// The last column is not wrapped to less than this.
const NARROWEST: usize = 24;

/// A table whose columns are as wide as what they hold; the last one is wrapped to fit.
pub struct Table {
    /// Columns that are aligned to the right.
    right: Vec<usize>,
    /// The header, if there is one, then the rows.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows whose columns `right` are aligned to the right. An empty header is not
    /// printed.
    pub fn new(header: &[&str], right: impl IntoIterator<Item = usize>) -> Self {
        let mut table = Self {
            right: right.into_iter().collect(),
            rows: Vec::new(),
        };
        if !header.is_empty() {
            table.row(header.iter().map(|name| (*name).to_owned()));
        }
        table
    }

    /// Adds a row. What a terminal would obey is [`escaped`].
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter();
        self.rows
            .push(cells.map(|cell| escaped(&cell).into_owned()).collect());
    }

    /// The table as lines that end, indented by two spaces; wrapped if there is a `width`.
    pub fn render(&self, width: Option<usize>) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell_width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| chars(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(cell_width).collect();
        let before_last = widths.iter().rev().skip(1).map(|width| width + GAP);
        let before = GAP + before_last.sum::<usize>();
        let last = width.map_or(usize::MAX, |width| {
            width.saturating_sub(before).max(NARROWEST)
        });
        self.rows
            .iter()
            .map(|row| self.render_row(row, &widths, before, last))
            .collect()
    }

    fn render_row(&self, row: &[String], widths: &[usize], before: usize, last: usize) -> String {
        let mut text = " ".repeat(GAP);
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(chars(cell)));
            if column + 1 == widths.len() && !self.right.contains(&column) {
                text += &wrap(cell, last).join(&format!("\n{}", " ".repeat(before)));
            } else if self.right.contains(&column) {
                text += &format!("{padding}{cell}");
            } else {
                text += &format!("{cell}{padding}");
            }
            if column + 1 < row.len() {
                text += &" ".repeat(GAP);
            }
        }
        format!("{}\n", text.trim_end())
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// The lines that a text takes in `width` columns.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        if used > 0 && used + 1 + chars(word) > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += chars(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "count", "what it is"], [1]);
        table.row(["a", "1,000", "the first of these rows, which is long"].map(str::to_owned));
        table.row(["longer", "5", "b"].map(str::to_owned));
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_they_hold() {
        let expected = "  name    count  what it is\n  a       1,000  the first of these rows, which is long\n  longer      5  b\n";
        assert_eq!(table().render(None), expected);
    }

    #[test]
    fn the_last_column_is_wrapped_to_the_terminal() {
        let lines = table().render(Some(44));
        let expected =
            "  a       1,000  the first of these rows,\n                 which is long\n";
        assert!(lines.contains(expected), "{lines}");
    }
}

//! Markdown tables, padded so that they read well in a terminal too, and the numbers in them.

use std::fmt;

/// A table; its first columns are words, the others are numbers.
pub(crate) struct Table {
    /// Columns of words, aligned to the left.
    word_columns: usize,
    /// The head and then the rows, all of the same length.
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(word_columns: usize, head: &[&str]) -> Self {
        Self { word_columns, lines: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row; missing cells at its end stay empty.
    pub(crate) fn push(&mut self, mut row: Vec<String>) {
        assert!(row.len() <= self.lines[0].len(), "a row has more cells than the head");
        row.resize(self.lines[0].len(), String::new());
        self.lines.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.lines[0].len();
        let width = |column: usize| self.lines.iter().map(|line| line[column].len()).max();
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0).max(3)).collect();
        for (number, line) in self.lines.iter().enumerate() {
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                if column < self.word_columns {
                    write!(f, "| {cell:<width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let end = if column < self.word_columns { '-' } else { ':' };
                    write!(f, "|{}{end}", "-".repeat(width + 1))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A number of requests.
pub(crate) fn count(value: f64) -> String {
    format!("{value:.0}")
}

/// Microseconds with three digits that matter.
pub(crate) fn microseconds(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A ratio.
pub(crate) fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

/// A share of one, as per cent.
pub(crate) fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

/// Bytes as megabytes.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// What is shown, or a dash.
pub(crate) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(1, &["workload", "req/s"]);
        table.push(vec!["ping".to_owned(), count(123_456.4)]);
        table.push(vec!["queue".to_owned()]);
        let expected = "\
| workload |  req/s |
|----------|-------:|
| ping     | 123456 |
| queue    |        |
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn three_digits_matter() {
        assert_eq!(["1.23", "12.3", "1234"], [1.234, 12.34, 1234.4].map(microseconds));
    }
}

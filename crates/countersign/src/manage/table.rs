//! Tables and lists of facts that fit the terminal.
//!
//! If a table does not fit, columns that may be truncated are truncated first; then the least important columns are
//! omitted and named below the table.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{Colour, Terminal, printable};

/// Spaces between two columns.
const GAP: usize = 2;

#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    /// Columns with a higher rank are omitted first; 0 is always shown.
    rank: u8,
    /// The width to which the column may be truncated; `None`: not at all.
    minimum: Option<usize>,
    /// Shown only if the width is not limited.
    only_wide: bool,
}

impl Column {
    pub const fn new(title: &'static str, rank: u8) -> Self {
        Self { title, rank, minimum: None, only_wide: false }
    }

    pub const fn cut_to(self, minimum: usize) -> Self {
        Self { minimum: Some(minimum), ..self }
    }

    pub const fn only_wide(self) -> Self {
        Self { only_wide: true, ..self }
    }
}

#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    pub fn coloured(colour: Colour, text: &str) -> Self {
        Self { text: printable(text), colour: Some(colour) }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: printable(text.as_ref()), colour: None }
    }
}

/// A table with one cell per column in every row.
pub fn table(terminal: &Terminal, columns: &[Column], rows: &[Vec<Cell>]) -> String {
    let (columns, rows) = match terminal.width {
        Some(_) => without_empty_columns(columns, rows),
        None => (columns.to_vec(), rows.to_vec()),
    };
    let widths = fit(terminal.width, &columns, &natural_widths(&columns, &rows));
    let titles: Vec<Cell> =
        columns.iter().map(|column| Cell::coloured(Colour::Bold, column.title)).collect();
    let mut text: String =
        std::iter::once(&titles).chain(&rows).map(|cells| line(terminal, cells, &widths)).collect();
    let hidden: Vec<&str> = columns
        .iter()
        .zip(&widths)
        .filter(|(_, width)| width.is_none())
        .map(|(column, _)| column.title)
        .collect();
    if !hidden.is_empty() {
        let note = format!("Not shown: {}. --wide shows everything.", hidden.join(", "));
        text += &fold(&note, terminal.width, 0, |line| terminal.paint(Colour::Dim, line));
    }
    text
}

/// Omits columns that are empty in every row and not of rank 0, so that the others get their width.
fn without_empty_columns(columns: &[Column], rows: &[Vec<Cell>]) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let is_kept = |(place, column): (usize, &Column)| {
        let mut cells = rows.iter().filter_map(|row| row.get(place));
        column.rank == 0 || cells.any(|cell| !cell.text.is_empty())
    };
    let kept: Vec<bool> = columns.iter().enumerate().map(is_kept).collect();
    (select(columns, &kept), rows.iter().map(|row| select(row, &kept)).collect())
}

fn select<T: Clone>(values: &[T], kept: &[bool]) -> Vec<T> {
    values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| value.clone()).collect()
}

/// A line of the table. Cells without a width are omitted.
fn line(terminal: &Terminal, cells: &[Cell], widths: &[Option<usize>]) -> String {
    let mut line = String::new();
    let mut padding = 0;
    for (cell, width) in cells.iter().zip(widths) {
        let Some(width) = width else { continue };
        line += &" ".repeat(padding);
        let text = cut(&cell.text, *width);
        padding = width.saturating_sub(text.width()) + GAP;
        match cell.colour {
            Some(colour) => line += &terminal.paint(colour, &text),
            None => line += &text,
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

/// How to request the next page, if there is one.
pub fn next_page(next: Option<&str>, terminal: &Terminal) -> String {
    let Some(next) = next else { return String::new() };
    let note = format!("More: --page {next}");
    fold(&note, terminal.width, 0, |line| terminal.paint(Colour::Dim, line))
}

fn natural_widths(columns: &[Column], rows: &[Vec<Cell>]) -> Vec<usize> {
    let widest = |(place, column): (usize, &Column)| {
        let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.text.width());
        cells.chain([column.title.width()]).max().unwrap_or(0)
    };
    columns.iter().enumerate().map(widest).collect()
}

/// The width of each column to show. Columns of the same rank are shown or omitted together.
fn fit(width: Option<usize>, columns: &[Column], natural: &[usize]) -> Vec<Option<usize>> {
    let Some(width) = width else { return natural.iter().copied().map(Some).collect() };
    let minimum = |(column, natural): (&Column, &usize)| {
        column.minimum.map_or(*natural, |minimum| minimum.max(column.title.width()).min(*natural))
    };
    let minima: Vec<usize> = columns.iter().zip(natural).map(minimum).collect();
    let mut ranks: Vec<u8> = columns.iter().map(|column| column.rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let shown_with = |rank: u8| {
        let shown = |(column, minimum): (&Column, &usize)| {
            (column.rank <= rank && !column.only_wide).then_some(*minimum)
        };
        columns.iter().zip(&minima).map(shown).collect::<Vec<Option<usize>>>()
    };
    let total = |widths: &[Option<usize>]| {
        widths.iter().flatten().map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    let fitting = ranks.iter().rev().map(|rank| shown_with(*rank)).find(|w| total(w) <= width);
    let mut widths = fitting.unwrap_or_else(|| shown_with(0));
    let mut spare = width.saturating_sub(total(&widths));
    // The remaining width goes to truncated columns, the most important first.
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|place| columns.get(*place).map(|column| column.rank));
    for place in order {
        if let (Some(Some(shown)), Some(natural)) = (widths.get_mut(place), natural.get(place)) {
            let more = natural.saturating_sub(*shown).min(spare);
            *shown += more;
            spare -= more;
        }
    }
    widths
}

/// Truncates to `width` columns, with `…` at the end.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// `name   value`, one per line; long values are wrapped and indented, empty ones omitted.
pub fn facts(terminal: &Terminal, facts: &[(&str, String)]) -> String {
    let names = facts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let indent = names + GAP;
    let line = |(name, value): &(&str, String)| {
        let value = fold(&printable(value), terminal.width, indent, str::to_owned);
        let padding = " ".repeat(names - name.width() + GAP);
        let line = format!("{}{padding}{}", terminal.paint(Colour::Bold, name), value.trim_start());
        line.trim_end().to_owned() + "\n"
    };
    facts.iter().filter(|(_, value)| !value.is_empty()).map(line).collect()
}

/// Wraps into lines of at most `width` columns, at spaces, indented. A word longer than a line is not split.
pub fn fold(
    text: &str,
    width: Option<usize>,
    indent: usize,
    paint: impl Fn(&str) -> String,
) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(1));
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| format!("{}{}\n", " ".repeat(indent), paint(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, Column, facts, table};
    use crate::manage::output::{Colour, Terminal};

    const COLUMNS: [Column; 4] = [
        Column::new("ID", 0),
        Column::new("USER", 1).cut_to(5),
        Column::new("CLIENTS", 2).cut_to(7),
        Column::new("DETAILS", 3).only_wide(),
    ];

    fn terminal(width: Option<usize>) -> Terminal {
        Terminal { width, has_colours: false, now: None }
    }

    fn row(cells: [&str; 4]) -> Vec<Cell> {
        cells.iter().map(Cell::from).collect()
    }

    #[test]
    fn columns_line_up_and_names_cannot_move_the_cursor() {
        let rows =
            [row(["a", "\u{1b}[2Jja\u{202e}ne\r\n", "", ""]), row(["long one", "b", "", ""])];
        assert_eq!(
            table(&terminal(None), &COLUMNS, &rows),
            "ID        USER         CLIENTS  DETAILS\na          [2Jja ne\nlong one  b\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_then_left_out_and_named() {
        let rows = [row(["0123456789", "jane.doe@example.com", "kubernetes", "{}"])];
        let text = |width| table(&terminal(Some(width)), &COLUMNS, &rows);
        assert!(
            text(44).contains("0123456789  jane.doe@example.com  kubernetes\n"),
            "{}",
            text(44)
        );
        assert!(text(30).contains("0123456789  jane.doe…  kubern…\n"), "{}", text(30));
        assert!(text(20).contains("0123456789  jane.do…\n"), "{}", text(20));
        assert!(text(20).contains("Not shown: CLIENTS,\nDETAILS."), "{}", text(20));
        assert!(!text(20).lines().any(|line| line.chars().count() > 20), "{}", text(20));
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        let rows = [row(["1", "田中太郎", "x", ""])];
        let text = table(&terminal(Some(18)), &COLUMNS, &rows);
        assert!(text.contains("1   田中…  x\n"), "{text}");
    }

    #[test]
    fn a_column_without_a_value_leaves_its_room_to_others() {
        let rows = [row(["1", "", "kubernetes", ""])];
        assert_eq!(table(&terminal(Some(14)), &COLUMNS, &rows), "ID  CLIENTS\n1   kubernetes\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let painted = Terminal { width: None, has_colours: true, now: None };
        let rows = [vec![Cell::coloured(Colour::Red, "a"), Cell::from("b")]];
        let columns = [Column::new("ID", 0), Column::new("USER", 0)];
        assert_eq!(
            table(&painted, &columns, &rows),
            "\u{1b}[1mID\u{1b}[0m  \u{1b}[1mUSER\u{1b}[0m\n\u{1b}[31ma\u{1b}[0m   b\n"
        );
    }

    #[test]
    fn long_facts_are_folded_below_their_beginning() {
        let groups = "alpha, beta, gamma, delta".to_owned();
        let text = facts(&terminal(Some(22)), &[("id", "1".to_owned()), ("groups", groups)]);
        assert_eq!(text, "id      1\ngroups  alpha, beta,\n        gamma, delta\n");
    }
}

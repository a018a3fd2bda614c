//! A table for people, JSON for programs.

use std::io::{self, IsTerminal};

use serde::Serialize;

use super::{Output, Where};

/// Widest column: a terminal shows a few of them side by side.
const WIDEST: usize = 44;

/// Prints the view as JSON, or what `table` makes of it.
pub fn print<T: Serialize>(
    at: &Where,
    view: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), String> {
    let on_terminal = io::stdout().is_terminal();
    let wanted = at.output.unwrap_or(if on_terminal { Output::Table } else { Output::Json });
    let text = match wanted {
        Output::Table => table(view),
        Output::Json => serde_json::to_string_pretty(view).map_err(|e| e.to_string())? + "\n",
    };
    // A reader that has seen enough, such as `head`, is no mistake.
    match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Columns as wide as their widest cell. What upstreams and strangers wrote loses its control characters:
/// a name must not move the cursor.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|c| shown(c)).collect()).collect();
    let all = || std::iter::once(&head).chain(&rows);
    let width = |column: usize| {
        all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}

/// `name   value`, one a line.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:<width$}  {}\n", plain(value))).collect()
}

/// Without what moves the cursor, breaks the line or turns its direction.
pub fn plain(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if odd(c) { ' ' } else { c }).collect()
}

fn shown(cell: &str) -> String {
    let plain = plain(cell);
    match plain.char_indices().nth(WIDEST) {
        None => plain,
        Some(_) => plain.chars().take(WIDEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up_and_names_cannot_move_the_cursor() {
        let rows = [
            vec!["a".into(), "\u{1b}[2Jja\u{202e}ne\r\n".into()],
            vec!["long one".into(), "b".into()],
        ];
        assert_eq!(
            table(&["ID", "WHO"], &rows),
            "ID        WHO\na          [2Jja ne\nlong one  b\n"
        );
    }
}

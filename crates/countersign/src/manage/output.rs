//! Prints a result as a table or JSON, and asks for confirmation before a command that ends something.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::CommandError;
use super::terminal::Terminal;

#[derive(Clone, Debug, Args)]
pub struct OutputArguments {
    /// Print a table or JSON [default: table on a terminal, json otherwise]
    #[arg(long, value_enum, global = true, hide_possible_values = true, value_name = "table|json")]
    pub output: Option<OutputFormat>,
    /// Print every column in full, and times as RFC 3339, however narrow the terminal
    #[arg(long, global = true)]
    pub wide: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Json,
}

impl OutputArguments {
    /// Prints `view` as JSON, or as the text that `render` returns.
    pub fn print<T: Serialize>(
        &self,
        view: &T,
        render: impl FnOnce(&T, &Terminal) -> String,
    ) -> Result<(), CommandError> {
        let text = match self.format() {
            OutputFormat::Table => render(view, &Terminal::of_stdout(self.wide)),
            OutputFormat::Json => {
                serde_json::to_string_pretty(view).map_err(CommandError::other)? + "\n"
            }
        };
        write_to_stdout(&text)
    }

    pub fn format(&self) -> OutputFormat {
        let is_terminal = io::stdout().is_terminal();
        self.output.unwrap_or(if is_terminal { OutputFormat::Table } else { OutputFormat::Json })
    }
}

/// A closed pipe, as with `| head`, is not an error.
fn write_to_stdout(text: &str) -> Result<(), CommandError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::other(error)),
        _ => Ok(()),
    }
}

/// Asks for confirmation on the terminal; an error unless the answer is `yes`. Without a terminal `--yes` is required.
/// `otherwise` is printed if nothing was done.
pub fn confirm(question: &str, otherwise: &str) -> Result<(), CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::Other(format!(
            "{otherwise}: standard input is no terminal to confirm on; add --yes"
        )));
    }
    eprint!("{question} Type yes: ");
    let _flushed = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(CommandError::other)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(CommandError::other(otherwise)),
    }
}

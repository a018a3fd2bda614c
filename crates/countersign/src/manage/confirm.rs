//! The question before a command that ends something.

use std::io::{self, BufRead, IsTerminal, Write};

use super::error::CommandError;

/// Asks on the terminal; an error unless the answer is `yes`. Without a terminal, `--yes` is required.
/// `otherwise` is printed when nothing was done.
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

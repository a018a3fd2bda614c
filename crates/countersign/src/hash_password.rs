//! `countersign hash-password`: reads the password from the terminal without echo, or from standard input.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use countersign_connectors::password::hash_password;
use countersign_core::Secret;

use crate::cli::OutputFormat;

pub fn run(output: OutputFormat) -> ExitCode {
    let hashed = read().and_then(|password| hash_password(&password).map_err(|e| e.to_string()));
    match hashed {
        Ok(hash) => {
            match output {
                OutputFormat::Table => println!("{hash}"),
                OutputFormat::Json => println!("{:#}", serde_json::json!({ "hash": hash })),
            }
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("countersign: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn read() -> Result<Secret, String> {
    if io::stdin().is_terminal() {
        return read_twice();
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
    // `echo` adds one line break, which is not part of the password.
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

/// Reads the password twice from the terminal without echo.
fn read_twice() -> Result<Secret, String> {
    let prompt = |text: &str| {
        let typed = rpassword::prompt_password(text);
        typed.map(Secret::new).map_err(|e| format!("the terminal cannot be read: {e}"))
    };
    let first = prompt("Password: ")?;
    let second = prompt("Repeat password: ")?;
    match first.matches(second.expose()) {
        true => Ok(first),
        false => Err("the two passwords differ".to_owned()),
    }
}

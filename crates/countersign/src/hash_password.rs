//! `countersign hash-password`: from the terminal without echo, or from standard input.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use countersign_connectors::password::hash_password;
use countersign_core::Secret;

pub fn run() -> ExitCode {
    let hashed = read().and_then(|password| hash_password(&password).map_err(|e| e.to_string()));
    match hashed {
        Ok(hash) => {
            println!("{hash}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("countersign: {why}");
            ExitCode::FAILURE
        }
    }
}

fn read() -> Result<Secret, String> {
    if io::stdin().is_terminal() {
        return read_twice().map_err(|e| format!("the terminal cannot be read: {e}"))?;
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
    // One line end belongs to `echo`, not to the password.
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

fn read_twice() -> io::Result<Result<Secret, String>> {
    let first = Secret::new(rpassword::prompt_password("Password: ")?);
    let second = Secret::new(rpassword::prompt_password("Once more: ")?);
    Ok(match first.matches(second.expose()) {
        true => Ok(first),
        false => Err("the two passwords are not the same".to_owned()),
    })
}

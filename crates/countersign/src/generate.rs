//! `countersign generate`: shell completions and man pages, generated from the command line definition, for packages.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, GenerateCommand};

pub fn run(command: &GenerateCommand) -> ExitCode {
    let outcome = match command {
        GenerateCommand::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "countersign", &mut io::stdout());
            Ok(())
        }
        GenerateCommand::Man { folder } => clap_mangen::generate_to(Cli::command(), folder),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}

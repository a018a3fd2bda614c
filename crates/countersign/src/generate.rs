//! `countersign generate`: shell completions and man pages, made of the command line itself, for packages.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use crate::cli::Cli;

#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Print the completions of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write one man page for each command into a folder
    Man {
        /// The folder, which must exist
        folder: PathBuf,
    },
}

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

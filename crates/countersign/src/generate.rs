//! `countersign generate`: shell completions and man pages, made of the command line itself, for packages.

use std::fs::File;
use std::io;
use std::path::Path;
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
        folder: std::path::PathBuf,
    },
}

pub fn run(command: &GenerateCommand) -> ExitCode {
    let outcome = match command {
        GenerateCommand::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "countersign", &mut io::stdout());
            Ok(())
        }
        GenerateCommand::Man { folder } => man_pages(folder),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}

fn man_pages(folder: &Path) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    write_pages(&command, "countersign", folder)
}

fn write_pages(command: &clap::Command, name: &str, folder: &Path) -> io::Result<()> {
    // clap takes names that live as long as the program; there are as many as commands.
    let page = command.clone().name(name.to_owned()).display_name(name.to_owned());
    let mut file = File::create(folder.join(format!("{name}.1")))?;
    clap_mangen::Man::new(page).render(&mut file)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        if below.get_name() != "help" {
            write_pages(below, &format!("{name}-{}", below.get_name()), folder)?;
        }
    }
    Ok(())
}

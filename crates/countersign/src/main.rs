//! `countersign`: parses the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use countersign::cli::{Cli, Command};
use countersign::{check, hash_password, kubernetes, manage, serve};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::HashPassword => hash_password::run(),
        Command::Sessions { at, command } => manage::sessions(&at, &command),
        Command::Keys { at, command } => manage::keys(&at, &command),
        Command::Events { at, arguments } => manage::events(&at, &arguments),
        Command::Explain { at, arguments } => manage::explain(&at, &arguments),
        Command::Kubernetes(command) => kubernetes::run(&command),
        Command::Version => {
            println!("countersign {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
            ExitCode::SUCCESS
        }
    }
}

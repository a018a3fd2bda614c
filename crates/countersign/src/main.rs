//! `countersign`: parses the command line and runs the command.

use std::process::ExitCode;

use countersign::cli::{Cli, Command, OutputFormat};
use countersign::{check, commands, example_app, import, kubernetes, manage, serve};

fn main() -> ExitCode {
    match Cli::from_process().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::HashPassword { output } => commands::hash(output),
        Command::Sessions { common, command } => manage::sessions(&common, &command),
        Command::Users { common, command } => manage::users(&common, &command),
        Command::Keys { common, command } => manage::keys(&common, &command),
        Command::Events { common, arguments } => manage::events(&common, &arguments),
        Command::Explain { common, arguments } => manage::explain(&common, &arguments),
        Command::Import(command) => import::run(&command),
        Command::Reload { common, arguments } => manage::reload(&common, &arguments),
        Command::Backup(arguments) => commands::backup(&arguments),
        Command::Healthcheck(arguments) => commands::healthcheck(&arguments),
        Command::Generate(command) => commands::generate(&command),
        Command::Kubernetes(command) => kubernetes::run(&command),
        Command::ExampleApp(arguments) => example_app::run(&arguments),
        Command::Version { output } => {
            let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
            match output {
                OutputFormat::Table => println!("countersign {version} {arch}"),
                OutputFormat::Json => {
                    println!("{:#}", serde_json::json!({"version": version, "arch": arch}));
                }
            }
            ExitCode::SUCCESS
        }
    }
}

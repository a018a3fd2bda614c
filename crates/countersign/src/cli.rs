//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An OpenID Connect identity provider for the accounts a company already has.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve as a configuration file says
    Serve(ServeArguments),
    /// Tell everything that is wrong with a configuration file, without opening a port
    Check(CheckArguments),
    /// Read a password and print its hash for staticPasswords
    HashPassword,
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The configuration file
    pub file: PathBuf,
    /// In place of web.http
    #[arg(long, value_name = "HOST:PORT")]
    pub web_http_addr: Option<String>,
    /// In place of web.https
    #[arg(long, value_name = "HOST:PORT")]
    pub web_https_addr: Option<String>,
    /// In place of telemetry.http
    #[arg(long, value_name = "HOST:PORT")]
    pub telemetry_addr: Option<String>,
    /// Unknown keys are warnings, as they are in Dex
    #[arg(long)]
    pub lenient: bool,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The configuration file
    pub file: PathBuf,
    /// Unknown keys are warnings, as they are in Dex
    #[arg(long)]
    pub lenient: bool,
    /// Ask this upstream about somebody and print what was asked and what came back
    #[arg(long, value_name = "ID", requires = "user")]
    pub connector: Option<String>,
    /// The name to ask about, as it would be typed at the login page
    #[arg(long, value_name = "NAME", requires = "connector")]
    pub user: Option<String>,
}

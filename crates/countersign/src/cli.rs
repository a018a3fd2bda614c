//! The command line: every command with its arguments and help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::manage::{
    CommonArguments, EventArguments, ExplainArguments, KeyCommand, SessionCommand,
};

/// An OpenID Connect identity provider for the accounts a company already has.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(ServeArguments),
    /// Check a configuration file and report every problem, or query one of its connectors about a user
    Check(CheckArguments),
    /// Read a password and print its hash for staticPasswords
    ///
    /// On a terminal the password is typed twice and not echoed; otherwise it is read from standard input.
    HashPassword,
    /// List, show and end sessions
    Sessions {
        #[command(flatten)]
        common: CommonArguments,
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// List and rotate the signing keys
    Keys {
        #[command(flatten)]
        common: CommonArguments,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Search the audit log
    Events {
        #[command(flatten)]
        common: CommonArguments,
        #[command(flatten)]
        arguments: EventArguments,
    },
    /// Explain why somebody can or cannot sign in, and which groups a client receives
    Explain {
        #[command(flatten)]
        common: CommonArguments,
        #[command(flatten)]
        arguments: ExplainArguments,
    },
    /// Print configuration for a Kubernetes API server
    #[command(subcommand)]
    Kubernetes(KubernetesCommand),
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
pub enum KubernetesCommand {
    /// Print the file for --authentication-token-webhook-config-file; it contains a credential
    WebhookConfig(WebhookConfigArguments),
}

#[derive(Debug, Args)]
pub struct WebhookConfigArguments {
    /// Configuration file
    #[arg(env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
    /// Id of the cluster's client, which must have kubernetes.webhook
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// Path of the issuer's certificate authority on the API server's machine
    #[arg(long, value_name = "PATH")]
    pub certificate_authority: Option<String>,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration file
    #[arg(env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
    /// Listen here instead of at web.http
    #[arg(long, value_name = "HOST:PORT")]
    pub web_http_addr: Option<String>,
    /// Listen here instead of at web.https
    #[arg(long, value_name = "HOST:PORT")]
    pub web_https_addr: Option<String>,
    /// Listen here instead of at telemetry.http
    #[arg(long, value_name = "HOST:PORT")]
    pub telemetry_addr: Option<String>,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Configuration file
    #[arg(env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
    /// Query this connector's upstream without a browser; print the requests and the responses
    #[arg(long, value_name = "ID")]
    pub connector: Option<String>,
    /// The user to query about: the login name as typed on the login page, or the e-mail address
    #[arg(long, value_name = "NAME", requires = "connector")]
    pub user: Option<String>,
}

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::manage::{EventArguments, ExplainArguments, KeyCommand, SessionCommand, Where};

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
    /// See and end sessions
    Sessions {
        #[command(flatten)]
        at: Where,
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// See the signing keys, and make the next one now
    Keys {
        #[command(flatten)]
        at: Where,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Search the audit log
    Events {
        #[command(flatten)]
        at: Where,
        #[command(flatten)]
        arguments: EventArguments,
    },
    /// Tell why somebody can sign in or not, and which groups a client is told
    Explain {
        #[command(flatten)]
        at: Where,
        #[command(flatten)]
        arguments: ExplainArguments,
    },
    /// Print what an API server needs
    #[command(subcommand)]
    Kubernetes(KubernetesCommand),
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
pub enum KubernetesCommand {
    /// Print the kubeconfig file for --authentication-token-webhook-config-file, the credential in it
    WebhookConfig(WebhookConfigArguments),
}

#[derive(Debug, Args)]
pub struct WebhookConfigArguments {
    /// The configuration file
    pub file: PathBuf,
    /// The client of the cluster, with kubernetes.webhook
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// Where the API server's machine has the CA of the issuer's certificate
    #[arg(long, value_name = "PATH")]
    pub certificate_authority: Option<String>,
    /// Unknown keys are warnings, as they are in Dex
    #[arg(long)]
    pub lenient: bool,
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
    /// Ask this upstream what can be asked without a browser, and print what was asked and what came back
    #[arg(long, value_name = "ID")]
    pub connector: Option<String>,
    /// The person to ask about: the name as it would be typed at the login page, or the e-mail address
    #[arg(long, value_name = "NAME", requires = "connector")]
    pub user: Option<String>,
}

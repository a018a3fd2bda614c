//! The command line: every command with its arguments and help texts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use crate::config::{Addresses, Listen};
use crate::import::ImportCommand;
pub use crate::manage::OutputFormat;
use crate::manage::{
    AgainstArguments, CommonArguments, EventArguments, ExplainArguments, KeyCommand,
    ReloadArguments, SessionCommand, UserCommand, is_hyphenated_id,
};

/// An OpenID Connect identity provider for the accounts a company already has.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses the process's arguments; prints a message and exits if they are invalid.
    pub fn from_process() -> Self {
        Self::parse_from(with_ids_last(without_program_name(std::env::args_os()).into_iter()))
    }
}

/// Removes a first argument that repeats the program's name: Dex's chart and its users run `dex serve FILE` in an image
/// whose entry point is this program.
fn without_program_name(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let is_name = |argument: &OsString| {
        let name = Path::new(argument).file_name().and_then(|name| name.to_str());
        matches!(name, Some("dex" | "countersign"))
    };
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.get(1).is_some_and(is_name) {
        arguments.remove(1);
    }
    arguments
}

/// Moves ids that begin with `-`, as one in 64 did in earlier versions and does at some upstreams, behind `--`, because
/// clap would parse them as options. Ids that are the value of an option stay, since those options accept them.
fn with_ids_last(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut kept, mut ids): (Vec<OsString>, Vec<OsString>) = (Vec::new(), Vec::new());
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next_if(|argument| argument != "--") {
        let takes_id = ["--session", "--grant", "--page", "--user"];
        let is_value = kept.last().is_some_and(|last| takes_id.iter().any(|option| last == option));
        match argument.to_str().is_some_and(is_hyphenated_id) && !is_value {
            true => ids.push(argument),
            false => kept.push(argument),
        }
    }
    let rest: Vec<OsString> = arguments.collect();
    if !ids.is_empty() && rest.is_empty() {
        kept.push("--".into());
    }
    kept.into_iter().chain(rest).chain(ids).collect()
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
    HashPassword {
        /// Print the hash alone, or JSON
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// List, show and end sessions
    Sessions {
        #[command(flatten)]
        common: CommonArguments,
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// Block users, list the blocked ones and lift their blocks
    Users {
        #[command(flatten)]
        common: CommonArguments,
        #[command(subcommand)]
        command: UserCommand,
    },
    /// List, rotate and drop the signing keys
    Keys {
        #[command(flatten)]
        common: CommonArguments,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Search the audit log
    Events {
        #[command(flatten)]
        arguments: EventArguments,
        #[command(flatten)]
        common: CommonArguments,
    },
    /// Explain why somebody can or cannot sign in, and which groups a client receives
    Explain {
        #[command(flatten)]
        arguments: ExplainArguments,
        #[command(flatten)]
        common: CommonArguments,
    },
    /// Take over the data of a Dex, so that its users stay signed in
    #[command(subcommand)]
    Import(ImportCommand),
    /// Make a running server read its configuration file again, or show what that would change
    Reload {
        #[command(flatten)]
        arguments: ReloadArguments,
        #[command(flatten)]
        common: CommonArguments,
    },
    /// Copy the SQLite database into a new file while servers use it
    ///
    /// The root key is not in the copy: keep it somewhere else.
    Backup(BackupArguments),
    /// Succeed if the server on this machine is ready; for container engines
    Healthcheck(HealthcheckArguments),
    /// Print shell completions, or write man pages; for packages
    #[command(subcommand)]
    Generate(GenerateCommand),
    /// Print configuration for a Kubernetes API server
    #[command(subcommand)]
    Kubernetes(KubernetesCommand),
    /// Run the example application: sign in, and see what an application gets
    ///
    /// It shows the tokens with each claim explained, and what an API server would make of them.
    ExampleApp(ExampleAppArguments),
    /// Print the version
    Version {
        /// Print text or JSON
        #[arg(long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
}

#[derive(Debug, Subcommand)]
pub enum KubernetesCommand {
    /// Print the file for --authentication-token-webhook-config-file; it contains a credential
    WebhookConfig(WebhookConfigArguments),
    /// Print flags and AuthenticationConfiguration for the API server of a cluster, or check existing ones
    Config(ClusterConfigArguments),
}

#[derive(Debug, Args)]
pub struct ClusterConfigArguments {
    /// Configuration file
    #[arg(env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
    /// Name of the cluster in the section clusters
    #[arg(long, value_name = "NAME")]
    pub cluster: String,
    /// What to print: flags of kube-apiserver, or a file for --authentication-config (v1 needs Kubernetes 1.34)
    #[arg(long, value_enum, default_value = "all")]
    pub format: ClusterConfigFormat,
    /// Check this file instead: an AuthenticationConfiguration, or a file with --oidc-... flags such as a pod manifest
    #[arg(long, value_name = "PATH", conflicts_with = "format")]
    pub lint: Option<PathBuf>,
    /// Claim that becomes the user name
    #[arg(
        long,
        value_name = "CLAIM",
        default_value = "email",
        value_parser = ["email", "sub", "preferred_username", "name"]
    )]
    pub username_claim: String,
    /// Before every user name, so that none is called like one of the cluster's own
    #[arg(long, value_name = "TEXT", default_value = "oidc:")]
    pub username_prefix: String,
    /// Before every group
    #[arg(long, value_name = "TEXT", default_value = "oidc:")]
    pub groups_prefix: String,
    /// PEM file of the issuer's certificate authority, unless the API server's machine trusts it
    #[arg(long, value_name = "PATH")]
    pub certificate_authority: Option<PathBuf>,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClusterConfigFormat {
    /// Everything, one after the other
    All,
    /// The --oidc-... flags
    Flags,
    /// AuthenticationConfiguration apiserver.config.k8s.io/v1
    V1,
    /// AuthenticationConfiguration apiserver.config.k8s.io/v1beta1
    V1beta1,
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

#[derive(Debug, Args)]
pub struct ExampleAppArguments {
    /// Issuer URL, exactly as in the issuer's discovery document
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5556/dex")]
    pub issuer: String,
    /// Client id
    #[arg(long, value_name = "ID", default_value = "example-app")]
    pub client_id: String,
    /// Client secret; leave it out for a public client
    #[arg(
        long,
        value_name = "SECRET",
        env = "COUNTERSIGN_EXAMPLE_APP_SECRET",
        hide_env_values = true
    )]
    pub client_secret: Option<String>,
    /// Redirect URI of the client; this program answers at its host, port and path
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5555/callback")]
    pub redirect_uri: Url,
    /// Listen here instead of at the host and port of the redirect URI
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// PEM file with the certificate authority of the issuer, beside the system's
    #[arg(long, value_name = "FILE")]
    pub issuer_root_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The file to write, which must not exist
    pub file: PathBuf,
    /// Configuration file of the server
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct HealthcheckArguments {
    /// Configuration file whose telemetry.http is queried. Default: 127.0.0.1:5558
    pub file: Option<PathBuf>,
    /// Ask this address instead
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct ServeArguments {
    /// Configuration file
    #[arg(env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
    #[command(flatten)]
    pub addresses: AddressArguments,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
}

/// Addresses that come before those of the file, with Dex's names.
#[derive(Clone, Debug, Default, Args)]
pub struct AddressArguments {
    /// Listen here instead of at web.http
    #[arg(long, value_name = "HOST:PORT")]
    pub web_http_addr: Option<String>,
    /// Listen here instead of at web.https
    #[arg(long, value_name = "HOST:PORT")]
    pub web_https_addr: Option<String>,
    /// Listen here instead of at telemetry.http
    #[arg(long, value_name = "HOST:PORT")]
    pub telemetry_addr: Option<String>,
    /// Where Dex's gRPC API listens, instead of grpc.addr
    #[arg(long, value_name = "HOST:PORT")]
    pub grpc_addr: Option<String>,
}

impl AddressArguments {
    /// `Err` names the option whose value is not an address.
    pub fn parse(&self) -> Result<Addresses, String> {
        let parse = |flag: &str, value: &Option<String>| {
            let Some(text) = value.as_ref().filter(|text| !text.is_empty()) else {
                return Ok(None);
            };
            let listen = Listen::parse(text);
            listen.map(Some).ok_or_else(|| format!("{flag}: found {text:?}, expected host:port"))
        };
        Ok(Addresses {
            web_http: parse("--web-http-addr", &self.web_http_addr)?,
            web_https: parse("--web-https-addr", &self.web_https_addr)?,
            telemetry: parse("--telemetry-addr", &self.telemetry_addr)?,
            grpc: parse("--grpc-addr", &self.grpc_addr)?,
        })
    }
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Configuration file
    #[arg(env = "COUNTERSIGN_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
    /// The file is judged with these, as serve takes it
    #[command(flatten)]
    pub addresses: AddressArguments,
    /// Report unknown keys as warnings and not as errors (Dex ignores them)
    #[arg(long)]
    pub lenient: bool,
    /// Query this connector's upstream without a browser; print the requests and the responses
    #[arg(long, value_name = "ID")]
    pub connector: Option<String>,
    /// The user to query about: the login name as typed on the login page, or the e-mail address
    #[arg(long, value_name = "NAME", requires = "connector")]
    pub user: Option<String>,
    #[command(flatten)]
    pub against: AgainstArguments,
    /// Print text or JSON
    #[arg(long, value_enum, default_value = "table")]
    pub output: OutputFormat,
}

#[cfg(test)]
mod tests;

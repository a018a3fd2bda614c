//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::issuer::{Client, IssuerOptions};
use crate::setup::{Algorithm, Operation, Setup, Storage};

/// Measures an OpenID Connect issuer of Dex's shape from outside
#[derive(Debug, Parser)]
pub struct Arguments {
    #[command(subcommand)]
    pub mode: Mode,
    #[command(flatten)]
    pub load: LoadArguments,
}

#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Start this binary with a mock connector on one core, drive it from another, and print the aims. Without an
    /// option that selects one setup all are measured: SQLite, ES256, ES256 for access tokens only, PostgreSQL if there
    /// is one, and how a refresh depends on the number of sessions
    Local(LocalArguments),
    /// Drive an issuer that is running already
    Issuer(TargetArguments),
    /// Draw reports that were printed with `--json` beside each other, as an SVG picture
    Plot(PlotArguments),
    /// Print reports that were printed with `--json` as one table, with the aims
    Table {
        #[arg(required = true)]
        reports: Vec<PathBuf>,
    },
    /// Answer every request with this many bytes
    #[command(hide = true)]
    BareHandler { address: SocketAddr, bytes: usize },
}

#[derive(Debug, Args)]
pub struct LocalArguments {
    /// The binary of countersign
    #[arg(default_value = "target/release/countersign")]
    pub binary: PathBuf,
    /// Only this storage
    #[arg(long, value_enum)]
    pub storage: Option<Storage>,
    /// A PostgreSQL server on which databases may be created, as postgres://USER:PASSWORD@HOST:PORT/DATABASE
    #[arg(long, env = "COUNTERSIGN_TEST_POSTGRES", hide_env_values = true)]
    pub dsn: Option<Url>,
    /// Only with keys of this algorithm
    #[arg(long, value_enum)]
    pub algorithm: Option<Algorithm>,
    /// Only with keys of this algorithm for access tokens
    #[arg(long, value_enum)]
    pub access_token_algorithm: Option<Algorithm>,
    /// Only with this many sessions of other users, written by the program `sqlite3`
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub sessions: Option<u32>,
    /// Logins after which memory is measured, in the first run; 0: not measured
    #[arg(long, default_value_t = 10_000)]
    pub logins: u32,
    /// Numbers of sessions between which a refresh is compared, in the first run; a single one: not measured
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 1_000_000],
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub growth: Vec<u32>,
}

impl LocalArguments {
    /// The setup that the options select; `None`: all of them.
    pub fn setup(&self) -> Option<Setup> {
        let Self { storage, algorithm, access_token_algorithm: access_tokens, sessions, .. } = self;
        let is_all = storage.is_none()
            && algorithm.is_none()
            && access_tokens.is_none()
            && sessions.is_none();
        (!is_all).then(|| Setup {
            storage: storage.unwrap_or_default(),
            algorithm: algorithm.unwrap_or_default(),
            access_tokens: *access_tokens,
            sessions: sessions.unwrap_or_default(),
        })
    }
}

#[derive(Debug, Args)]
pub struct PlotArguments {
    /// Reports, each with the name to show
    #[arg(value_name = "NAME=FILE", required = true, value_parser = PlotArguments::parse_report)]
    pub reports: Vec<(String, PathBuf)>,
    /// What to draw
    #[arg(long, value_enum, default_value = "cpu")]
    pub quantity: Quantity,
    /// The picture to write
    #[arg(long, default_value = "benchmark.svg")]
    pub output: PathBuf,
}

/// What the bars of a picture show, one for each operation and report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Quantity {
    /// Processor time of the server for each operation, in microseconds
    Cpu,
    /// Operations per second in the closed loop
    Throughput,
    /// 99th percentile of latency in the closed loop, in milliseconds
    P99,
}

impl PlotArguments {
    fn parse_report(text: &str) -> Result<(String, PathBuf), String> {
        let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
        Ok((name.to_owned(), file.into()))
    }
}

#[derive(Debug, Args)]
pub struct TargetArguments {
    /// Issuer URL
    #[arg(long)]
    pub url: String,
    /// Client credentials. Repeat it for a server that keeps one refresh token per user and client, as Dex
    /// does: each worker then uses one of them
    #[arg(long = "client", value_name = "ID:SECRET", required = true, value_parser = Client::parse)]
    pub clients: Vec<Client>,
    /// A redirect URI of these clients; nothing needs to listen there
    #[arg(long)]
    pub redirect_uri: String,
    /// The user to type into a password form
    #[arg(long)]
    pub user: Option<String>,
    /// The password to type into a password form
    #[arg(long, env = "BENCH_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// The connector to choose, as in the path /auth/{connector}
    #[arg(long)]
    pub connector: Option<String>,
    /// The server's process on this machine, for its processor time and memory
    #[arg(long)]
    pub pid: Option<u32>,
}

#[derive(Debug, Args)]
pub struct LoadArguments {
    /// How often to repeat everything
    #[arg(long, default_value_t = 5, global = true)]
    pub runs: u32,
    /// How long each operation runs, in seconds
    #[arg(long, default_value_t = 8, value_name = "SECONDS", global = true,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Workers, each of which waits for its response before it sends the next request
    #[arg(long, default_value_t = 32, global = true,
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Also measure latency at this fixed arrival rate, in requests per second
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,
    /// Which operations, comma separated. Default: refresh and login; all of them for the first setup of `local`
    #[arg(long, value_enum, value_delimiter = ',', global = true)]
    pub operations: Vec<Operation>,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    pub json: bool,
}

impl LoadArguments {
    /// The operations that were named, or these.
    pub fn operations_or<'a>(&'a self, default: &'a [Operation]) -> &'a [Operation] {
        match self.operations.as_slice() {
            [] => default,
            named => named,
        }
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl TargetArguments {
    pub fn issuer_options(&self) -> IssuerOptions {
        IssuerOptions {
            url: self.url.trim_end_matches('/').to_owned(),
            clients: self.clients.clone(),
            redirect_uri: self.redirect_uri.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            connector: self.connector.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}

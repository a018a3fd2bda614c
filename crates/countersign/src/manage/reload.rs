//! `countersign reload`: makes a running server reload its configuration file, or prints what that would change.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use countersign_core::Secret;
use countersign_core::ids::random_token;
use countersign_server::process_state::{
    ChangeKind, ConfigurationDigest, DIGEST_KEY_HEADER, ReloadReport,
};

use super::CommandError;
use super::api_client::{ApiClient, RequestFields};
use super::backend::Backend;
use super::output::{OutputArguments, Terminal};

#[derive(Debug, Args)]
pub struct ReloadArguments {
    /// Only show what would change and whose sessions would end
    #[arg(long)]
    pub plan: bool,
}

/// The server that `countersign check` compares a file with.
#[derive(Debug, Args)]
pub struct AgainstArguments {
    /// Also show what would change, and whose sessions would end, if the server with this issuer URL read this file.
    /// Environment variables are those of this process. Needs COUNTERSIGN_CLIENT_ID and COUNTERSIGN_CLIENT_SECRET of a
    /// client in admin.clients, or COUNTERSIGN_TOKEN
    #[arg(long, value_name = "ISSUER", conflicts_with = "connector")]
    pub against: Option<String>,
    /// PEM file of the certificate authority that issued that server's certificate
    #[arg(long, value_name = "FILE", requires = "against")]
    pub certificate_authority: Option<PathBuf>,
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    arguments: &ReloadArguments,
) -> Result<(), CommandError> {
    let Backend::Api(api) = backend else {
        return Err(CommandError::other(
            "reload needs --url ISSUER: it is the running server that reads its file again (or send it SIGHUP)",
        ));
    };
    let report: ReloadReport = match arguments.plan {
        true => api.get("/configuration/plan", &RequestFields::new()).await?,
        false => api.post("/configuration/reload", &RequestFields::new()).await?,
    };
    output.print(&report, render)?;
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(CommandError::other("the file cannot be used; nothing has changed")),
    }
}

/// What the running server of `arguments` would change if it used the configuration of which `digest` returns a digest
/// with the given key.
pub fn compare(
    arguments: &AgainstArguments,
    url: &str,
    digest: impl FnOnce(&Secret) -> ConfigurationDigest,
) -> Result<ReloadReport, CommandError> {
    let key = Secret::new(random_token().map_err(CommandError::other)?);
    let configuration = digest(&key);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CommandError::other)?.block_on(async {
        let api = ApiClient::connect(url, arguments.certificate_authority.as_deref()).await?;
        let header = (DIGEST_KEY_HEADER, &key);
        api.post_json_with_header("/configuration/plan", &configuration, header).await
    })
}

fn render(report: &ReloadReport, _: &Terminal) -> String {
    describe(report)
}

/// One line for each difference.
pub fn describe(report: &ReloadReport) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        let _infallible = writeln!(text, "{line}");
    };
    for problem in &report.problems {
        line(format!("error: {problem}"));
    }
    for warning in &report.warnings {
        line(format!("warning: {warning}"));
    }
    if report.changes.is_empty() && report.problems.is_empty() {
        line("Nothing in the file differs from the configuration in use.".to_owned());
    }
    for change in &report.changes {
        let kind = match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        };
        let later = report.needs_restart.contains(&change.key);
        let later = if later { " (after a restart only)" } else { "" };
        line(format!("{kind:8} {}{later}", change.key));
    }
    for ending in &report.ending {
        line(format!(
            "ends     {} sessions of {}: {}",
            ending.sessions, ending.what, ending.reason
        ));
    }
    if report.applied {
        line("The server uses this configuration now.".to_owned());
    }
    text
}

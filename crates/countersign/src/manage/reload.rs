//! `countersign reload`: makes a running server reload its configuration file, or prints what that would change.

use std::fmt::Write;

use clap::Args;
use countersign_server::process_state::{ChangeKind, ReloadReport};

use super::CommandError;
use super::api_client::RequestFields;
use super::backend::Backend;
use super::output::OutputArguments;
use super::terminal::Terminal;

#[derive(Debug, Args)]
pub struct ReloadArguments {
    /// Only show what would change and whose sessions would end
    #[arg(long)]
    pub plan: bool,
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

fn render(report: &ReloadReport, _: &Terminal) -> String {
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

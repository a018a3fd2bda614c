//! `countersign sessions end`: by id, by grant, or all that match the filters, after a preview and a confirmation.

use clap::Args;
use countersign_core::{GrantId, SessionId};
use countersign_issuer::admin::view::{BEYOND, EndView, PreviewView};

use crate::manage::CommandError;
use crate::manage::api_client::{RequestFields, path_segment};
use crate::manage::arguments::{Filters, id};
use crate::manage::backend::{Backend, bulk_filter};
use crate::manage::output::{OutputArguments, Terminal, confirm};
use crate::manage::table::{facts, fold};

const FILTERS: [&str; 10] = [
    "text",
    "user",
    "group",
    "connector",
    "client",
    "ip",
    "seen_since",
    "seen_before",
    "since",
    "before",
];

#[derive(Debug, Args)]
pub struct EndArguments {
    /// Session ids
    #[arg(value_name = "ID", value_parser = id,
        conflicts_with_all = FILTERS, conflicts_with = "everything")]
    ids: Vec<String>,
    /// All live sessions
    #[arg(long, conflicts_with_all = FILTERS)]
    everything: bool,
    /// End only this grant, which is what one client was given in a session
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = id,
        conflicts_with_all = FILTERS, conflicts_with_all = ["ids", "everything"])]
    grant: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    filters: Filters,
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    arguments: &EndArguments,
) -> Result<(), CommandError> {
    if let Some(grant) = &arguments.grant {
        return output.print(&backend.end_grant(grant).await?, render_end);
    }
    if !arguments.ids.is_empty() {
        return end_by_id(backend, output, &arguments.ids).await;
    }
    let mut request = arguments.filters.fields();
    if arguments.everything {
        request.push(("everything".to_owned(), "true".to_owned()));
    }
    if request.is_empty() {
        return Err(CommandError::other(
            "add session ids, --grant ID, a filter such as --user, --group, --client or --before, or \
             --everything",
        ));
    }
    let preview = backend.preview_end_sessions(&request).await?;
    if preview.sessions == 0 {
        return output
            .print(&nothing(), |_, _| "No live session matches. Nothing was ended.\n".to_owned());
    }
    if !arguments.yes {
        eprint!("{}", render_preview(&preview));
        confirm("End them?", "nothing was ended")?;
    }
    // Sessions created after the preview were not confirmed, so they are excluded.
    if arguments.filters.before.is_none() {
        request.retain(|(name, _)| name != "everything");
        request.push(("created_before".to_owned(), preview.as_of.clone()));
    }
    end_sessions(backend, output, &request).await
}

/// Ends sessions by id. One that has already ended neither prevents the others from being ended nor the report.
async fn end_by_id(
    backend: &Backend,
    output: &OutputArguments,
    ids: &[String],
) -> Result<(), CommandError> {
    let (mut ends, mut problems) = (Vec::new(), Vec::new());
    for id in ids {
        match backend.end_session(id).await {
            Ok(end) => ends.push(end),
            Err(error) => problems.push(format!("{id}: {error}")),
        }
    }
    output.print(&ends, |ends, terminal| {
        ends.iter().map(|end| render_end(end, terminal)).collect()
    })?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Other(problems.join("\n"))),
    }
}

/// Repeats the call until no session is left, and reports the sum, even if a later call fails.
async fn end_sessions(
    backend: &Backend,
    output: &OutputArguments,
    request: &RequestFields,
) -> Result<(), CommandError> {
    let mut sum = nothing();
    let outcome = loop {
        match backend.end_sessions(request).await {
            Ok(end) => {
                sum.sessions += end.sessions;
                sum.grants += end.grants;
                // RFC 3339 in UTC sorts lexically.
                sum.tokens_until = sum.tokens_until.max(end.tokens_until);
                sum.more = end.more;
                if !end.more {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    output.print(&sum, render_end)?;
    outcome
}

fn nothing() -> EndView {
    EndView { sessions: 0, grants: 0, tokens_until: None, beyond: BEYOND.to_owned(), more: false }
}

impl Backend {
    async fn end_session(&self, id: &str) -> Result<EndView, CommandError> {
        match self {
            Self::Api(api) => api.delete(&format!("/sessions/{}", path_segment(id))).await,
            Self::Database { app, administrator } => {
                let end = app.issuer.end_session(administrator, &SessionId::new(id)).await?;
                let absent = || CommandError::Other(format!("there is no live session {id}"));
                Ok(EndView::from(&end.ok_or_else(absent)?))
            }
        }
    }

    async fn end_grant(&self, id: &str) -> Result<EndView, CommandError> {
        match self {
            Self::Api(api) => api.delete(&format!("/grants/{}", path_segment(id))).await,
            Self::Database { app, administrator } => {
                let end = app.issuer.end_grant(administrator, &GrantId::new(id)).await?;
                let absent = || CommandError::Other(format!("there is no live grant {id}"));
                Ok(EndView::from(&end.ok_or_else(absent)?))
            }
        }
    }

    async fn preview_end_sessions(
        &self,
        request: &RequestFields,
    ) -> Result<PreviewView, CommandError> {
        match self {
            Self::Api(api) => api.post("/sessions/preview", request).await,
            Self::Database { app, .. } => {
                let filter = bulk_filter(request, &app.issuer)?;
                let as_of = app.issuer.now();
                Ok(PreviewView::of(&app.issuer.preview_end_sessions(&filter).await?, as_of))
            }
        }
    }

    async fn end_sessions(&self, request: &RequestFields) -> Result<EndView, CommandError> {
        match self {
            Self::Api(api) => api.post("/sessions/end", request).await,
            Self::Database { app, administrator } => {
                let filter = bulk_filter(request, &app.issuer)?;
                Ok(EndView::from(&app.issuer.end_sessions(administrator, filter).await?))
            }
        }
    }
}

/// The preview for standard error, without colours and relative times.
fn render_preview(preview: &PreviewView) -> String {
    let clients: Vec<String> =
        preview.clients.iter().map(|c| format!("{} ({})", c.client, c.grants)).collect();
    facts(
        &Terminal::of_stderr(),
        &[
            ("sessions", preview.sessions.to_string()),
            ("people", preview.people.to_string()),
            ("grants", preview.grants.to_string()),
            ("clients", clients.join(", ")),
            ("last token until", preview.tokens_until.clone().unwrap_or_else(|| "none".to_owned())),
        ],
    )
}

pub fn render_end(end: &EndView, terminal: &Terminal) -> String {
    let last_token = match &end.tokens_until {
        Some(until) => {
            format!("The last token expires at {}. {}", terminal.instant_in_full(until), end.beyond)
        }
        None => "No token is left.".to_owned(),
    };
    let count = |count: i64, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    let (sessions, grants) = (count(end.sessions, "session"), count(end.grants, "grant"));
    let unfinished = if end.more { " More sessions match and have not ended." } else { "" };
    let text = format!("Ended {sessions} and {grants}. {last_token}{unfinished}");
    fold(&text, terminal.width, 0, str::to_owned)
}

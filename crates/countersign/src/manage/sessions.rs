//! `countersign sessions list|show|end`.

pub mod end;

use clap::{Args, Subcommand, ValueEnum};
use countersign_core::SessionId;
use countersign_core::identity::display_name;
use countersign_issuer::admin::fields::SESSION_FIELDS;
use countersign_issuer::admin::view::{
    EndedView, GrantView, SessionDetailView, SessionPageView, SessionView,
};

use super::api_client::{RequestFields, path_segment};
use super::arguments::{Filters, fields, id};
use super::backend::{Backend, checked, page};
use super::output::{Colour, OutputArguments, Terminal, printable};
use super::table::{Cell, Column, facts, fold, next_page, table};
use super::{CommandError, events};

const COLUMNS: [Column; 8] = [
    Column::new("SESSION", 0),
    Column::new("USER", 0).cut_to(12),
    Column::new("LAST SEEN", 1),
    Column::new("CONNECTOR", 2).cut_to(8),
    Column::new("CLIENTS", 3).cut_to(12),
    Column::new("SIGNED IN", 4),
    Column::new("ADDRESS", 5),
    Column::new("STATE", 1).cut_to(10),
];
const GRANT_COLUMNS: [Column; 7] = [
    Column::new("GRANT", 0),
    Column::new("CLIENT", 0).cut_to(12),
    Column::new("LAST USED", 2),
    Column::new("TOKENS UNTIL", 1),
    Column::new("STATE", 1).cut_to(10),
    Column::new("GRANTED", 4),
    Column::new("SCOPE", 3).cut_to(12),
];
/// API fields whose option has another name.
const OPTION_NAMES: [(&str, &str); 2] =
    [("created_since", "--since"), ("created_before", "--before")];

#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List sessions, newest sign-in first
    List(ListArguments),
    /// Show one session, its grants, its events and the trace of its last login
    Show {
        /// Session id
        #[arg(value_parser = id, value_name = "ID")]
        id: String,
    },
    /// End a session, a grant, or all sessions that match the filters
    End(end::EndArguments),
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Which sessions [default: live]
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Sessions per page, 1 to 500 [default: 50]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// The page to show, as printed at the end of the page before
    #[arg(long, value_name = "PAGE", allow_hyphen_values = true)]
    page: Option<String>,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Live,
    Ended,
    All,
}

impl ListArguments {
    fn fields(&self) -> RequestFields {
        let limit = self.limit.map(|limit| limit.to_string());
        let state = self.state.and_then(|state| state.to_possible_value());
        let rest = fields([
            ("state", state.as_ref().map(clap::builder::PossibleValue::get_name)),
            ("limit", limit.as_deref()),
            ("page", self.page.as_deref()),
        ]);
        self.filters.fields().into_iter().chain(rest).collect()
    }
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    command: &SessionCommand,
) -> Result<(), CommandError> {
    let outcome = match command {
        SessionCommand::List(arguments) => list(backend, output, arguments).await,
        SessionCommand::Show { id } => {
            backend.session(id).await.and_then(|session| output.print(&session, render_session))
        }
        SessionCommand::End(arguments) => end::run(backend, output, arguments).await,
    };
    outcome.map_err(|error| error.with_option_names(&OPTION_NAMES))
}

async fn list(
    backend: &Backend,
    output: &OutputArguments,
    arguments: &ListArguments,
) -> Result<(), CommandError> {
    let page = backend.sessions(&arguments.fields()).await?;
    let state = match arguments.state {
        None | Some(State::Live) => "live ",
        Some(State::Ended) => "ended ",
        Some(State::All) => "",
    };
    let is_filtered = !arguments.filters.fields().is_empty();
    output.print(&page, |page, terminal| match (page.sessions.is_empty(), is_filtered) {
        (true, true) => format!("No {state}session matches.\n"),
        (true, false) => format!("There are no {state}sessions.\n"),
        (false, _) => render_sessions(page, terminal),
    })
}

impl Backend {
    async fn sessions(&self, request: &RequestFields) -> Result<SessionPageView, CommandError> {
        match self {
            Self::Api(api) => api.get("/sessions", request).await,
            Self::Database { app, .. } => {
                let known: Vec<&str> =
                    SESSION_FIELDS.iter().copied().chain(["limit", "page"]).collect();
                let fields = checked(request, &known, &app.issuer)?;
                let found = app.issuer.find_sessions(&fields.sessions()?, &page(&fields)?).await;
                Ok(found?)
            }
        }
    }

    async fn session(&self, id: &str) -> Result<SessionDetailView, CommandError> {
        match self {
            Self::Api(api) => {
                api.get(&format!("/sessions/{}", path_segment(id)), &RequestFields::new()).await
            }
            Self::Database { app, .. } => {
                let found = app.issuer.session_details(&SessionId::new(id)).await?;
                found.ok_or_else(|| CommandError::Other(format!("there is no session {id}")))
            }
        }
    }
}

fn render_sessions(page: &SessionPageView, terminal: &Terminal) -> String {
    let all_live = page.sessions.iter().all(|session| session.ended.is_none());
    // The last column is omitted if all sessions are live.
    let columns = if all_live { &COLUMNS[..7] } else { &COLUMNS };
    let row = |session: &SessionView| {
        let cells = [
            Cell::from(&session.id),
            Cell::from(user_name(session)),
            Cell::from(terminal.instant(&session.last_seen)),
            Cell::from(&session.connector),
            Cell::from(session.clients.join(", ")),
            Cell::from(terminal.instant(&session.signed_in)),
            Cell::from(&session.ip),
            state(session.ended.as_ref()),
        ];
        cells.into_iter().take(columns.len()).collect()
    };
    let rows: Vec<Vec<Cell>> = page.sessions.iter().map(row).collect();
    let total = match page.total {
        Some(total) if page.next.is_some() => format!("{} of {total} sessions.\n", rows.len()),
        None => format!("{} of more than 1000 sessions.\n", rows.len()),
        Some(_) => String::new(),
    };
    let total = terminal.paint(Colour::Dim, &total);
    table(terminal, columns, &rows)
        + total.as_str()
        + next_page(page.next.as_deref(), terminal).as_str()
}

fn state(ended: Option<&EndedView>) -> Cell {
    match ended {
        None => Cell::coloured(Colour::Green, "live"),
        Some(ended) => Cell::coloured(Colour::Dim, &format!("ended: {}", ended.reason)),
    }
}

/// The display name, as on the pages.
fn user_name(session: &SessionView) -> &str {
    display_name([&session.username, &session.preferred_username, &session.email, &session.user_id])
}

fn render_session(view: &SessionDetailView, terminal: &Terminal) -> String {
    let session = &view.session;
    let at = |instant: &str| terminal.instant_in_full(instant);
    let last_token = session.tokens_until.as_deref().map_or_else(|| "none".to_owned(), at);
    let mut lines = vec![
        ("session", session.id.clone()),
        ("name", session.username.clone()),
        ("login", session.preferred_username.clone()),
        ("email", session.email.clone()),
        ("user id", session.user_id.clone()),
        ("connector", session.connector.clone()),
        ("groups", session.groups.join(", ")),
        ("groups as of", at(&session.groups_as_of)),
        ("address", session.ip.clone()),
        ("browser", session.user_agent.clone()),
        ("signed in", at(&session.signed_in)),
        ("last seen", at(&session.last_seen)),
        ("last token until", last_token),
    ];
    if let Some(end) = &session.ended {
        let by = end.by_name.as_ref().unwrap_or(&end.by);
        lines.push(("ended", format!("{} by {by}: {}", at(&end.at), end.reason)));
    }
    let mut text = facts(terminal, &lines);
    text += &section(terminal, "Grants", "No client has been granted anything.", || {
        let rows: Vec<Vec<Cell>> =
            view.grants.iter().map(|grant| grant_row(grant, terminal)).collect();
        (!rows.is_empty()).then(|| table(terminal, &GRANT_COLUMNS, &rows))
    });
    text += &section(terminal, "Events", "No events are kept.", || {
        (!view.events.is_empty()).then(|| events::render_events(&view.events, terminal))
    });
    text += &section(terminal, "Trace of the last login", "The login left no trace.", || {
        let line = |line: &String| fold(&printable(line), terminal.width, 0, str::to_owned);
        (!session.trace.is_empty()).then(|| session.trace.iter().map(line).collect())
    });
    text
}

fn section(
    terminal: &Terminal,
    title: &str,
    when_empty: &str,
    body: impl FnOnce() -> Option<String>,
) -> String {
    let body = body().unwrap_or_else(|| format!("{when_empty}\n"));
    format!("\n{}\n{body}", terminal.paint(Colour::Bold, title))
}

fn grant_row(grant: &GrantView, terminal: &Terminal) -> Vec<Cell> {
    vec![
        Cell::from(&grant.id),
        Cell::from(&grant.client),
        Cell::from(terminal.instant(&grant.last_used)),
        Cell::from(terminal.instant(&grant.tokens_until)),
        state(grant.ended.as_ref()),
        Cell::from(terminal.instant(&grant.granted)),
        Cell::from(&grant.scope),
    ]
}

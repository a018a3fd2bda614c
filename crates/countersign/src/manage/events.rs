//! `countersign events`: the audit log; and `--had-group`: the members of a group between two instants.

use clap::Args;
use clap::builder::PossibleValuesParser;
use countersign_core::event::EventKind;
use countersign_issuer::admin::fields::{EVENT_FIELDS, HOLDER_FIELDS};
use countersign_issuer::admin::view::{
    EventPageView, EventView, MembershipPageView, MembershipView,
};

use super::CommandError;
use super::api_client::RequestFields;
use super::arguments::{fields, id, instant};
use super::backend::{Backend, checked, page};
use super::output::{Colour, OutputArguments, Terminal};
use super::table::{Cell, Column, next_page, table};

const COLUMNS: [Column; 10] = [
    Column::new("TIME", 0),
    Column::new("EVENT", 0),
    Column::new("USER", 0).cut_to(10),
    Column::new("BY", 1).cut_to(10),
    Column::new("REASON", 2).cut_to(8),
    Column::new("CLIENT", 3).cut_to(10),
    Column::new("CONNECTOR", 4).cut_to(8),
    Column::new("ADDRESS", 5),
    Column::new("SESSION", 6).only_wide(),
    Column::new("DETAILS", 6).only_wide(),
];
const OPTION_NAMES: [(&str, &str); 2] = [("user_id", "--user"), ("group", "--had-group")];

/// Newest first. INSTANT is RFC 3339 (2026-11-24T09:30:00Z), `now`, or how long ago (90m).
#[derive(Debug, Args)]
pub struct EventArguments {
    /// Instead of events: who had this group between --since and --until, and from which connector
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["session", "grant", "client", "user",
        "actor", "ip", "text", "kind"])]
    pub had_group: Option<String>,
    /// Of this session
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = id)]
    session: Option<String>,
    /// Of this grant
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = id)]
    grant: Option<String>,
    /// Of this client
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Of this connector
    #[arg(long, value_name = "ID")]
    pub connector: Option<String>,
    /// Of this user: the user id at the connector
    #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = id)]
    user: Option<String>,
    /// By this actor: user:ID, user:ID@CONNECTOR, client:ID, machine:ACCOUNT, upstream or system
    #[arg(long)]
    actor: Option<String>,
    /// From this IP address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Part of the actor, the user id, the reason or the details
    #[arg(long)]
    text: Option<String>,
    /// Of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(EventKind::ALL.iter().map(|kind| kind.as_str())))]
    kind: Option<String>,
    /// At this INSTANT or later
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub since: Option<String>,
    /// Before this INSTANT
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub until: Option<String>,
    /// Events per page, 1 to 500 [default: 50]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// The page to show, as printed at the end of the page before
    #[arg(long, value_name = "PAGE", allow_hyphen_values = true)]
    page: Option<String>,
}

impl EventArguments {
    fn fields(&self) -> RequestFields {
        let limit = self.limit.map(|limit| limit.to_string());
        fields([
            ("group", self.had_group.as_deref()),
            ("session", self.session.as_deref()),
            ("grant", self.grant.as_deref()),
            ("client", self.client.as_deref()),
            ("connector", self.connector.as_deref()),
            ("user_id", self.user.as_deref()),
            ("actor", self.actor.as_deref()),
            ("ip", self.ip.as_deref()),
            ("text", self.text.as_deref()),
            ("kind", self.kind.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
            ("limit", limit.as_deref()),
            ("page", self.page.as_deref()),
        ])
    }
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    arguments: &EventArguments,
) -> Result<(), CommandError> {
    let request = arguments.fields();
    let outcome = match arguments.had_group {
        Some(_) => list_memberships(backend, output, &request).await,
        None => list(backend, output, &request).await,
    };
    outcome.map_err(|error| error.with_option_names(&OPTION_NAMES))
}

async fn list(
    backend: &Backend,
    output: &OutputArguments,
    request: &RequestFields,
) -> Result<(), CommandError> {
    let page = backend.events(request).await?;
    output.print(&page, |page, terminal| match page.events.is_empty() {
        true => "No event matches.\n".to_owned(),
        false => {
            render_events(&page.events, terminal)
                + next_page(page.next.as_deref(), terminal).as_str()
        }
    })
}

impl Backend {
    async fn events(&self, request: &RequestFields) -> Result<EventPageView, CommandError> {
        match self {
            Self::Api(api) => api.get("/events", request).await,
            Self::Database { app, .. } => {
                let query = checked(request, &EVENT_FIELDS, &app.issuer)?.events()?;
                Ok(app.issuer.find_events(query).await?)
            }
        }
    }
}

pub fn render_events(events: &[EventView], terminal: &Terminal) -> String {
    let rows: Vec<Vec<Cell>> = events.iter().map(|event| row(event, terminal)).collect();
    table(terminal, &COLUMNS, &rows)
}

fn row(event: &EventView, terminal: &Terminal) -> Vec<Cell> {
    let text = |value: &Option<String>| Cell::from(value.as_deref().unwrap_or_default());
    let kind = match event.kind.as_str() {
        kind if kind.contains("ended") || kind.contains("dropped") || kind.contains("blocked") => {
            Cell::coloured(Colour::Red, kind)
        }
        kind if kind.contains("failed") || kind.contains("opened") || kind.contains("restored") => {
            Cell::coloured(Colour::Yellow, kind)
        }
        kind => Cell::from(kind),
    };
    let details = match &event.details {
        serde_json::Value::Object(fields) if fields.is_empty() => String::new(),
        details => details.to_string(),
    };
    vec![
        Cell::from(terminal.instant(&event.at)),
        kind,
        Cell::from(event.user_name.as_ref().or(event.user_id.as_ref()).map_or("", String::as_str)),
        Cell::from(actor(event, terminal)),
        text(&event.reason),
        text(&event.client),
        text(&event.connector),
        text(&event.ip),
        text(&event.session),
        Cell::from(details),
    ]
}

/// The actor; on a terminal the display name, or `user` if it is the user the event is about, who has a column.
fn actor<'a>(event: &'a EventView, terminal: &Terminal) -> &'a str {
    let user = event.actor.strip_prefix("user:").filter(|_| terminal.width.is_some());
    match (user, &event.actor_name) {
        (Some(user), _) if Some(user) == event.user_id.as_deref() => "user",
        (Some(_), Some(name)) => name,
        _ => &event.actor,
    }
}

const MEMBERSHIP_COLUMNS: [Column; 5] = [
    Column::new("USER", 0).cut_to(12),
    Column::new("USER ID", 2).cut_to(12),
    Column::new("CONNECTOR", 1).cut_to(8),
    Column::new("SINCE", 0),
    Column::new("UNTIL", 0),
];

pub async fn list_memberships(
    backend: &Backend,
    output: &OutputArguments,
    request: &RequestFields,
) -> Result<(), CommandError> {
    let page = backend.memberships(request).await?;
    output.print(&page, |page, terminal| match page.memberships.is_empty() {
        true => format!("Nobody had the group {:?} then.\n", page.group),
        false => render_memberships(page, terminal),
    })
}

impl Backend {
    async fn memberships(
        &self,
        request: &RequestFields,
    ) -> Result<MembershipPageView, CommandError> {
        match self {
            Self::Api(api) => api.get("/memberships", request).await,
            Self::Database { app, .. } => {
                let fields = checked(request, &HOLDER_FIELDS, &app.issuer)?;
                let query = fields.memberships()?;
                let query = query.ok_or_else(|| CommandError::other("--had-group: is empty"))?;
                Ok(app.issuer.memberships(&query, &page(&fields)?).await?)
            }
        }
    }
}

fn render_memberships(page: &MembershipPageView, terminal: &Terminal) -> String {
    let row = |membership: &MembershipView| {
        vec![
            Cell::from(&membership.person),
            Cell::from(&membership.user_id),
            Cell::from(&membership.connector),
            Cell::from(terminal.instant(&membership.since)),
            match &membership.until {
                Some(until) => Cell::from(terminal.instant(until)),
                None => Cell::coloured(Colour::Green, "now"),
            },
        ]
    };
    let rows: Vec<Vec<Cell>> = page.memberships.iter().map(row).collect();
    table(terminal, &MEMBERSHIP_COLUMNS, &rows) + next_page(page.next.as_deref(), terminal).as_str()
}

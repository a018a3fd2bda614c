//! `countersign events`: the audit log, and who had a group.

use clap::Args;
use countersign_issuer::admin::view::{EventPageView, EventView, HoldingPageView, HoldingView};

use super::output::{print, table};
use super::source::Source;
use super::{Pairs, Where};

pub const HEAD: [&str; 7] = ["AT", "EVENT", "BY", "USER", "CONNECTOR", "CLIENT", "REASON"];

/// Newest first. An instant is RFC 3339 (2026-11-24T09:30:00Z), now, or how long ago (90m).
#[derive(Debug, Args)]
pub struct EventArguments {
    /// Who had this group between --since and --until, and by which upstream (instead of events)
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["session", "grant", "client", "user",
        "actor", "ip", "text", "kind"])]
    had_group: Option<String>,
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    #[arg(long, value_name = "ID")]
    connector: Option<String>,
    /// The user id at the connector
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Who did it, such as user:…, client:…, machine:…, upstream or system
    #[arg(long)]
    actor: Option<String>,
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Part of the actor, the user id, the reason or the details
    #[arg(long)]
    text: Option<String>,
    /// Such as signed_in, session_ended, groups_changed
    #[arg(long)]
    kind: Option<String>,
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    /// Lines of a page, at most 500
    #[arg(long)]
    limit: Option<u16>,
    /// The next page, as the page before named it
    #[arg(long)]
    page: Option<String>,
}

impl EventArguments {
    fn pairs(&self) -> Pairs {
        let limit = self.limit.map(|limit| limit.to_string());
        let fields = [
            ("group", &self.had_group),
            ("session", &self.session),
            ("grant", &self.grant),
            ("client", &self.client),
            ("connector", &self.connector),
            ("user_id", &self.user),
            ("actor", &self.actor),
            ("ip", &self.ip),
            ("text", &self.text),
            ("kind", &self.kind),
            ("since", &self.since),
            ("until", &self.until),
            ("limit", &limit),
            ("page", &self.page),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        given.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

pub async fn run(source: &Source, at: &Where, arguments: &EventArguments) -> Result<(), String> {
    let asked = arguments.pairs();
    match arguments.had_group {
        Some(_) => print(at, &source.holders(&asked).await?, held),
        None => print(at, &source.events(&asked).await?, listed),
    }
}

pub fn row(event: &EventView) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        event.at.clone(),
        event.kind.clone(),
        event.actor.clone(),
        text(&event.user_id),
        text(&event.connector),
        text(&event.client),
        text(&event.reason),
    ]
}

fn listed(page: &EventPageView) -> String {
    let rows: Vec<Vec<String>> = page.events.iter().map(row).collect();
    table(&HEAD, &rows) + &more(&page.next)
}

fn held(page: &HoldingPageView) -> String {
    let row = |held: &HoldingView| {
        vec![
            held.person.clone(),
            held.user_id.clone(),
            held.connector.clone(),
            held.since.clone(),
            held.until.clone().unwrap_or_else(|| "still".to_owned()),
            held.session.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = page.memberships.iter().map(row).collect();
    let head = ["WHO", "USER ID", "CONNECTOR", "SINCE", "UNTIL", "SESSION"];
    table(&head, &rows) + &more(&page.next)
}

fn more(next: &Option<String>) -> String {
    next.as_ref().map(|next| format!("more: --page {next}\n")).unwrap_or_default()
}

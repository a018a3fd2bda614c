//! `countersign sessions list|show|end`.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use countersign_issuer::admin::view::{
    EndView, GrantView, PreviewView, SessionDetailView, SessionPageView, SessionView,
};

use super::output::{facts, plain, print, table};
use super::source::Source;
use super::{Pairs, Where};

#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Sessions, newest sign-in first
    List(ListArguments),
    /// One session with all it gave and what happened to it
    Show {
        /// The session's id
        id: String,
    },
    /// End a session, a grant, or all sessions that the filters find
    End(EndArguments),
}

/// All that are given must hold. An instant is RFC 3339 (2026-11-24T09:30:00Z), now, or how long ago (90m).
#[derive(Clone, Debug, Default, Args)]
pub struct Filters {
    /// Part of a name, an e-mail address, a login or a user id
    #[arg(long)]
    pub text: Option<String>,
    /// Exactly this user id, login or e-mail address
    #[arg(long)]
    pub user: Option<String>,
    /// Exactly this group
    #[arg(long)]
    pub group: Option<String>,
    /// Came by this connector
    #[arg(long, value_name = "ID")]
    pub connector: Option<String>,
    /// Gave this client something that has not ended
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// Signed in from this address
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// Last gave something at this instant or later
    #[arg(long, value_name = "INSTANT")]
    pub seen_since: Option<String>,
    /// Last gave something before this instant
    #[arg(long, value_name = "INSTANT")]
    pub seen_before: Option<String>,
    /// Signed in at this instant or later
    #[arg(long, value_name = "INSTANT")]
    pub since: Option<String>,
    /// Signed in before this instant; `now` is everybody
    #[arg(long, value_name = "INSTANT", ignore_case = true)]
    pub before: Option<String>,
}

#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    filters: Filters,
    /// live, ended or all
    #[arg(long)]
    state: Option<String>,
    /// Sessions of a page, at most 500
    #[arg(long)]
    limit: Option<u16>,
    /// The next page, as the page before named it
    #[arg(long)]
    page: Option<String>,
}

#[derive(Debug, Args)]
pub struct EndArguments {
    /// Ids of sessions
    #[arg(conflicts_with_all = ["text", "user", "group", "connector", "client", "ip", "seen_since",
        "seen_before", "since", "before", "everything"])]
    ids: Vec<String>,
    #[command(flatten)]
    filters: Filters,
    /// All sessions there are
    #[arg(long)]
    everything: bool,
    /// The id of a grant, which is what one application was given, instead of a session
    #[arg(long, value_name = "ID", conflicts_with_all = ["ids", "everything"])]
    grant: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Filters {
    fn pairs(&self) -> Pairs {
        let fields = [
            ("text", &self.text),
            ("user", &self.user),
            ("group", &self.group),
            ("connector", &self.connector),
            ("client", &self.client),
            ("ip", &self.ip),
            ("seen_since", &self.seen_since),
            ("seen_before", &self.seen_before),
            ("created_since", &self.since),
            ("created_before", &self.before),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        given.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

pub async fn run(source: &Source, at: &Where, command: &SessionCommand) -> Result<(), String> {
    match command {
        SessionCommand::List(arguments) => {
            let mut asked = arguments.filters.pairs();
            let limit = arguments.limit.map(|limit| limit.to_string());
            let more = [("state", &arguments.state), ("limit", &limit), ("page", &arguments.page)];
            asked.extend(
                more.into_iter().filter_map(|(name, value)| Some((name.into(), value.clone()?))),
            );
            print(at, &source.sessions(&asked).await?, listed)
        }
        SessionCommand::Show { id } => print(at, &source.session(id).await?, in_full),
        SessionCommand::End(arguments) => end(source, at, arguments).await,
    }
}

async fn end(source: &Source, at: &Where, arguments: &EndArguments) -> Result<(), String> {
    if let Some(grant) = &arguments.grant {
        return print(at, &source.end_grant(grant).await?, ended);
    }
    if !arguments.ids.is_empty() {
        // One that is over already keeps nobody from the others, nor from hearing what became of them.
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for id in &arguments.ids {
            match source.end_session(id).await {
                Ok(end) => all.push(end),
                Err(why) => problems.push(format!("{id}: {why}")),
            }
        }
        print(at, &all, |all| all.iter().map(ended).collect())?;
        return if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) };
    }
    let mut asked = arguments.filters.pairs();
    if arguments.everything {
        asked.push(("everything".to_owned(), "true".to_owned()));
    }
    let preview = source.preview(&asked).await?;
    if !arguments.yes {
        eprint!("{}", previewed(&preview));
        if preview.sessions == 0 {
            return Ok(());
        }
        confirm()?;
    }
    // Whoever signs in from now on, perhaps because they were thrown out, stays.
    if arguments.filters.before.is_none() {
        asked.retain(|(name, _)| name != "everything");
        asked.push(("created_before".to_owned(), preview.as_of.clone()));
    }
    loop {
        let view = source.end_many(&asked).await?;
        print(at, &view, ended)?;
        if !view.more {
            return Ok(());
        }
    }
}

/// Only a terminal can be asked; anything else must have said `--yes`.
fn confirm() -> Result<(), String> {
    if !io::stdin().is_terminal() {
        return Err("nothing was ended: say --yes to end them".to_owned());
    }
    eprint!("End them? Type yes: ");
    let _shown = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| e.to_string())?;
    if line.trim() == "yes" { Ok(()) } else { Err("nothing was ended".to_owned()) }
}

fn listed(page: &SessionPageView) -> String {
    let row = |session: &SessionView| {
        vec![
            session.id.clone(),
            name(session).to_owned(),
            session.connector.clone(),
            session.ip.clone(),
            session.signed_in.clone(),
            session.last_seen.clone(),
            session.clients.join(","),
            session.ended.as_ref().map_or_else(|| "live".to_owned(), |end| end.why.clone()),
        ]
    };
    let rows: Vec<Vec<String>> = page.sessions.iter().map(row).collect();
    let head =
        ["SESSION", "WHO", "CONNECTOR", "FROM", "SIGNED IN", "LAST SEEN", "CLIENTS", "STATE"];
    let mut text = table(&head, &rows);
    if let Some(next) = &page.next {
        text += &format!("more: --page {next}\n");
    }
    text
}

fn name(session: &SessionView) -> &str {
    let names = [&session.preferred_username, &session.email, &session.username, &session.user_id];
    names.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
}

fn in_full(view: &SessionDetailView) -> String {
    let session = &view.session;
    let mut lines = vec![
        ("session", session.id.clone()),
        ("name", session.username.clone()),
        ("login", session.preferred_username.clone()),
        ("email", session.email.clone()),
        ("user id", session.user_id.clone()),
        ("connector", session.connector.clone()),
        ("groups", format!("{} (as of {})", session.groups.join(", "), session.groups_as_of)),
        ("from", format!("{}  {}", session.ip, session.user_agent)),
        ("signed in", session.signed_in.clone()),
        ("last seen", session.last_seen.clone()),
        ("last token", session.tokens_until.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    if let Some(end) = &session.ended {
        lines.push(("ended", format!("{} by {}: {}", end.at, end.by, end.why)));
    }
    let row = |grant: &GrantView| {
        vec![
            grant.id.clone(),
            grant.client.clone(),
            grant.scope.clone(),
            grant.given.clone(),
            grant.last_used.clone(),
            grant.tokens_until.clone(),
            grant.ended.as_ref().map_or_else(|| "live".to_owned(), |end| end.why.clone()),
        ]
    };
    let rows: Vec<Vec<String>> = view.grants.iter().map(row).collect();
    let head = ["GRANT", "CLIENT", "SCOPE", "GIVEN", "LAST USED", "TOKENS UNTIL", "STATE"];
    let events: Vec<Vec<String>> = view.events.iter().map(super::events::row).collect();
    let trace: String = session.trace.iter().map(|line| format!("{}\n", plain(line))).collect();
    format!(
        "{}\n{}\n{}\n{trace}",
        facts(&lines),
        table(&head, &rows),
        table(&super::events::HEAD, &events)
    )
}

fn previewed(preview: &PreviewView) -> String {
    let clients: Vec<String> =
        preview.clients.iter().map(|c| format!("{} ({})", c.client, c.grants)).collect();
    facts(&[
        ("sessions", preview.sessions.to_string()),
        ("people", preview.people.to_string()),
        ("grants", preview.grants.to_string()),
        ("clients", clients.join(", ")),
        ("last token", preview.tokens_until.clone().unwrap_or_else(|| "none".to_owned())),
    ])
}

fn ended(end: &EndView) -> String {
    let last = match &end.tokens_until {
        Some(until) => format!("The last token of it dies at {until}. {}", end.beyond),
        None => "No token of it is left.".to_owned(),
    };
    let many =
        |count: i64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("ended {} and {}. {last}\n", many(end.sessions, "session"), many(end.grants, "grant"))
}

#[cfg(test)]
mod tests {
    use super::Filters;

    #[test]
    fn before_and_since_are_about_the_sign_in() {
        let filters = Filters { before: Some("NOW".into()), ..Filters::default() };
        assert_eq!(filters.pairs(), [("created_before".to_owned(), "NOW".to_owned())]);
    }
}

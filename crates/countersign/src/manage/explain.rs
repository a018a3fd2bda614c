//! `countersign explain USER`: why somebody can or cannot sign in, and which groups a client receives.

use clap::Args;
use countersign_core::ClientId;
use countersign_issuer::admin::blocked_users::BlockedUserView;
use countersign_issuer::admin::explain::{Explanation, PersonView, UpstreamView};

use super::CommandError;
use super::api_client::RequestFields;
use super::arguments::fields;
use super::backend::Backend;
use super::output::{Colour, OutputArguments, Terminal, printable};
use super::table::{facts, fold};

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A login, e-mail address, name or user id
    user: String,
    /// Also show what this client would receive
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

pub async fn run(
    backend: &Backend,
    output: &OutputArguments,
    arguments: &ExplainArguments,
) -> Result<(), CommandError> {
    let request =
        fields([("user", Some(&arguments.user)), ("client", arguments.client.as_deref())]);
    output.print(&backend.explain(&request, arguments).await?, render)
}

impl Backend {
    async fn explain(
        &self,
        request: &RequestFields,
        arguments: &ExplainArguments,
    ) -> Result<Explanation, CommandError> {
        match self {
            Self::Api(api) => api.get("/explain", request).await,
            Self::Database { app, .. } => {
                let client = match &arguments.client {
                    None => None,
                    Some(id) => {
                        let known = app.issuer.clients.get(&ClientId::new(id));
                        let unknown = || {
                            CommandError::Other(format!("--client: no client {id} is configured"))
                        };
                        Some(known.ok_or_else(unknown)?)
                    }
                };
                Ok(app.issuer.explain(&arguments.user, client.as_deref()).await?)
            }
        }
    }
}

fn render(explanation: &Explanation, terminal: &Terminal) -> String {
    let mut parts = Vec::new();
    if explanation.people.is_empty() {
        parts.push(format!(
            "Nobody with a session that is kept has the name {:?}.\n",
            explanation.user
        ));
    }
    parts.extend(explanation.people.iter().map(|person| render_person(person, terminal)));
    parts.extend(explanation.upstreams.iter().map(|upstream| render_upstream(upstream, terminal)));
    parts.join("\n")
}

fn render_person(person: &PersonView, terminal: &Terminal) -> String {
    let mut lines = vec![
        ("name", person.username.clone()),
        ("connector", person.connector.clone()),
        ("user id", person.user_id.clone()),
        ("sub", person.sub.clone()),
        ("email", person.email.clone()),
        ("groups", person.groups.join(", ")),
        ("blocked", person.blocked.as_ref().map(blocked).unwrap_or_default()),
        ("administrator", if person.administrator { "yes" } else { "no" }.to_owned()),
        ("live sessions", live_sessions(person)),
    ];
    for session in &person.sessions {
        let (last_seen, clients) =
            (terminal.instant(&session.last_seen), session.clients.join(", "));
        lines.push(("", format!("{}, last seen {last_seen}, clients: {clients}", session.id)));
    }
    if let Some(client) = &person.client {
        let may = if client.may_use_connector { "may" } else { "may NOT" };
        lines.push((
            "client",
            format!("{}: users of this connector {may} sign in to it", client.client),
        ));
        lines.push(("token lifetime", format!("{} s", client.token_lifetime)));
        lines.extend(client.notes.iter().map(|note| ("", note.clone())));
    }
    facts(terminal, &lines)
}

fn blocked(block: &BlockedUserView) -> String {
    let until = block.expires_at.as_deref().unwrap_or("it is lifted");
    format!("yes, until {until}, by {}: {}", block.blocked_by_display(), block.reason)
}

/// The number of live sessions; the view contains only the newest ones.
fn live_sessions(person: &PersonView) -> String {
    let shown = person.sessions.len();
    match i64::try_from(shown).is_ok_and(|shown| shown < person.sessions_total) {
        true => format!("{}, of which the newest {shown}:", person.sessions_total),
        false => shown.to_string(),
    }
}

/// The upstream's current response. Groups are printed only if it returned the user: otherwise they are unknown, which
/// differs from none.
fn render_upstream(upstream: &UpstreamView, terminal: &Terminal) -> String {
    let title = format!("{}: {}", printable(&upstream.connector), printable(&upstream.outcome));
    let mut text = fold(&title, terminal.width, 0, |line| terminal.paint(Colour::Bold, line));
    for step in &upstream.trace {
        text += &fold(&printable(step), terminal.width, 2, str::to_owned);
    }
    if let Some(groups) = &upstream.groups {
        let groups = match groups.is_empty() {
            true => "none".to_owned(),
            false => printable(&groups.join(", ")),
        };
        text += &fold(&format!("groups: {groups}"), terminal.width, 2, str::to_owned);
    }
    text
}

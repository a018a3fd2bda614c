//! `countersign explain USER`: why somebody can sign in or not, and which groups a client is told.

use clap::Args;
use countersign_issuer::admin::explain::{Explanation, PersonView, UpstreamView};

use super::Where;
use super::output::{facts, plain, print};
use super::source::Source;

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A login, an e-mail address, a name or a user id
    user: String,
    /// What this client would be told
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

pub async fn run(source: &Source, at: &Where, arguments: &ExplainArguments) -> Result<(), String> {
    let found = source.explain(&arguments.user, arguments.client.as_deref()).await?;
    print(at, &found, told)
}

fn told(found: &Explanation) -> String {
    let mut text = String::new();
    if found.people.is_empty() {
        text += &format!("Nobody who is remembered goes by {:?}.\n", found.user);
    }
    for person in &found.people {
        text += &known(person);
        text.push('\n');
    }
    for upstream in &found.upstreams {
        text += &asked(upstream);
        text.push('\n');
    }
    text
}

fn known(person: &PersonView) -> String {
    let mut lines = vec![
        ("person", person.username.clone()),
        ("connector", person.connector.clone()),
        ("user id", person.user_id.clone()),
        ("sub", person.sub.clone()),
        ("email", person.email.clone()),
        ("groups", person.groups.join(", ")),
        ("administrator", if person.administrator { "yes" } else { "no" }.to_owned()),
        ("live sessions", person.sessions.len().to_string()),
    ];
    for session in &person.sessions {
        let clients = session.clients.join(", ");
        let (id, last_seen) = (&session.id, &session.last_seen);
        lines.push(("", format!("{id}  last seen {last_seen}  gave to: {clients}")));
    }
    if let Some(client) = &person.client {
        let may = if client.may_use_connector { "may" } else { "may NOT" };
        lines
            .push(("client", format!("{} {may} be signed in to by this connector", client.client)));
        lines.push(("tokens live", format!("{} s", client.tokens_live)));
        lines.extend(client.notes.iter().map(|note| ("", note.clone())));
    }
    facts(&lines)
}

fn asked(upstream: &UpstreamView) -> String {
    let mut text = format!("{} was asked now: {}\n", upstream.connector, plain(&upstream.outcome));
    for line in &upstream.trace {
        text += &format!("  {}\n", plain(line));
    }
    if !upstream.groups.is_empty() {
        text += &format!("  groups: {}\n", plain(&upstream.groups.join(", ")));
    }
    text
}

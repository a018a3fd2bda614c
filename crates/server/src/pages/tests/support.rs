//! What the tests of the pages share: the data of the samples (ordinary names, or hostile ones of great length), parts of
//! the samples of the administration pages, and a minimal HTML parser, sufficient to inspect the pages.

use crate::admin::{filters::*, frame::*};

use super::super::messages::ENGLISH;
use super::super::{ClientInfo, DisplayTime, HeldGroups, Layout, Name, SignedInUser};

pub const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}txt.exe\u{202c}{{7*7}}";
pub const NOW: i64 = 1_763_900_000_000;
pub const ID: &str = "session-0123456789abcdef01234567";

/// The data of one set of sample pages.
pub struct World {
    pub layout: Layout,
    pub app: ClientInfo,
    pub user: SignedInUser,
    pub groups: Vec<Name>,
    pub connectors: Vec<(String, Name, &'static str)>,
    pub text: String,
    pub req: String,
}

impl World {
    pub fn everyday() -> Self {
        Self {
            layout: Layout::new("/dex", "Example Inc"),
            app: ClientInfo {
                name: "Grafana".into(),
                host: Some("grafana.example.com".into()),
                logo: None,
            },
            user: SignedInUser {
                name: "Jane Doe".into(),
                email: Some("jane.doe@example.com".into()),
                connector_name: "Example LDAP".into(),
            },
            groups: ["platform", "on-call", "kubernetes-admins"].map(Name::new).into(),
            connectors: [
                ("ldap", "Example LDAP", "ldap"),
                ("github", "GitHub", "github"),
                ("google", "Google Workspace", "google"),
                ("local", "Password", "local"),
                ("mock", "Mock", "mockCallback"),
            ]
            .map(|(id, name, kind)| (id.to_owned(), name.into(), kind))
            .into(),
            text: "jane".to_owned(),
            req: "Zm9vYmFy".repeat(80),
        }
    }

    pub fn hostile() -> Self {
        let long = format!("{HOSTILE} {}", "Überlange-Bezeichnung".repeat(14));
        let group = |n| {
            Name::new(&format!(
                "CN=team-{n:02},OU=Kubernetes Administrators,OU=Groups,DC=corp,DC=example,DC=com {HOSTILE}"
            ))
        };
        let connector = |n| {
            (format!("{n}\"><script>alert(1)</script>"), Name::new(&format!("{n} {long}")), "oidc")
        };
        Self {
            layout: Layout::new("/dex", long.as_str()),
            app: ClientInfo {
                name: long.as_str().into(),
                host: Some(format!("{}.example.com", "sub".repeat(60)).into()),
                logo: None,
            },
            user: SignedInUser {
                name: long.as_str().into(),
                email: Some(format!("{}@example.com", "very.long".repeat(20)).into()),
                connector_name: long.as_str().into(),
            },
            groups: (0..60).map(group).collect(),
            connectors: (0..12).map(connector).collect(),
            text: HOSTILE.to_owned(),
            req: "Zm9vYmFy".repeat(640),
        }
    }
}

pub fn display_time(w: &World, millis: i64) -> DisplayTime {
    DisplayTime::to_the_second(NOW + millis, NOW, w.layout.messages)
}

pub fn frame(w: &World, section: Section) -> Frame<'_> {
    Frame {
        layout: &w.layout,
        section,
        user: w.user.name.clone(),
        base: "/dex".to_owned(),
        configuration_failure: None,
        csrf: "csrf-0123456789abcdef0123456789abcdef01234567".to_owned(),
        flash: Some(ENGLISH.admin.inventory.confirmed.plain(&w.user.connector_name)),
    }
}

pub fn name(w: &World) -> Name {
    w.user.name.clone()
}

#[expect(clippy::unnecessary_wraps, reason = "the views have optional links")]
pub fn link(query: &str) -> Option<String> {
    Some(format!("/dex/admin?{query}"))
}

pub fn field(w: &World, name: &'static str) -> Field {
    Field {
        name,
        label: ENGLISH.admin.label(name),
        value: w.text.clone(),
        problem: (name == "seen_since").then(|| Name::new(&w.text)),
        instant: name == "seen_since",
    }
}

pub fn form(w: &World) -> FilterForm {
    FilterForm {
        action: "/dex/admin".to_owned(),
        main: ["text", "group", "client"].map(|name| field(w, name)).into(),
        more: ["user", "connector", "ip", "seen_since", "seen_before"]
            .map(|name| field(w, name))
            .into(),
        choice: Some(Choice {
            name: "state",
            label: ENGLISH.admin.label("state"),
            options: vec![
                ("live".into(), "Live".into(), true),
                ("all".into(), "All".into(), false),
            ],
        }),
        problem: Some(Name::new(&w.text)),
        submit: "Find",
    }
}

pub fn part<T>(items: Vec<T>, further: usize) -> Part<T> {
    let total = items.len() + further;
    Part { items, total, further, more: link("from=9"), first: link("") }
}

pub fn groups(w: &World, bytes: usize) -> Part<Name> {
    let names: Vec<String> = w.groups.iter().map(ToString::to_string).collect();
    part(HeldGroups::fitting(&names, bytes), 40)
}

/// An opening tag.
pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value, `""` for an attribute without one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }
}

/// All opening tags, in order, parsed as in a browser: a tag begins at each `<` that is followed by a letter outside a
/// tag.
pub fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (tag, after) = read_tag(rest);
            tags.push(tag);
            rest = after;
        }
    }
    tags
}

fn read_tag(text: &str) -> (Tag, &str) {
    let is_end = |c: char| c.is_whitespace() || c == '>' || c == '/';
    let (name, mut rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
    let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (tag, after);
        }
        let (name, after) =
            rest.split_at(rest.find(|c| is_end(c) || c == '=').unwrap_or(rest.len()));
        let (value, after) = read_value(after);
        tag.attributes.push((name.to_ascii_lowercase(), decode(value)));
        rest = after;
    }
}

fn read_value(text: &str) -> (&str, &str) {
    let Some(text) = text.strip_prefix('=') else { return ("", text) };
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        // Our pages quote all values; an unquoted one is parsed so that a test can report it.
        None => {
            text.split_at(text.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(text.len()))
        }
    }
}

/// Decodes the five characters that askama escapes.
pub fn decode(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

/// The text between the first `<name …>` and `</name>`, still escaped.
pub fn inner<'h>(html: &'h str, name: &str) -> &'h str {
    let start = html.split_once(&format!("<{name}")).and_then(|(_, after)| after.split_once('>'));
    start
        .and_then(|(_, after)| after.split_once(&format!("</{name}>")))
        .map_or("", |(inside, _)| inside)
}

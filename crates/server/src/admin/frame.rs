//! What every administration page shares: navigation, and the display of ids, times and stored identifiers.

use countersign_core::{ClientId, ConnectorId, Timestamp};
use countersign_issuer::admin::fields::{FieldError, RequestError};

use super::filters::path_with_query;
use crate::app::App;
use crate::page_error::PageError;
use crate::pages::messages::admin::Admin;
use crate::pages::messages::{Messages, PluralMessage};
use crate::pages::{DisplayTime, Layout, Name};

/// The navigation and header of every administration page.
pub struct Frame<'a> {
    pub layout: &'a Layout,
    pub section: Section,
    /// Display name of the administrator.
    pub user: Name,
    /// The path of the issuer, without a trailing slash.
    pub base: String,
    pub csrf: String,
    /// The result of the last action, as a sentence.
    pub flash: Option<String>,
    /// Why the configuration file cannot be loaded; the previous configuration remains in use.
    pub configuration_failure: Option<String>,
}

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Sessions,
    Events,
    Memberships,
    Explain,
    Clients,
    Connectors,
    Keys,
    BlockedUsers,
}

impl Section {
    pub const ALL: [Section; 8] = [
        Section::Sessions,
        Section::Events,
        Section::Memberships,
        Section::Explain,
        Section::BlockedUsers,
        Section::Clients,
        Section::Connectors,
        Section::Keys,
    ];

    /// Path relative to the issuer.
    pub fn path(self) -> &'static str {
        match self {
            Section::Sessions => "/admin",
            Section::Events => "/admin/events",
            Section::Memberships => "/admin/memberships",
            Section::Explain => "/admin/explain",
            Section::Clients => "/admin/clients",
            Section::Connectors => "/admin/connectors",
            Section::Keys => "/admin/keys",
            Section::BlockedUsers => "/admin/blocked-users",
        }
    }

    fn label(self, messages: &Messages) -> &'static str {
        let nav = &messages.admin.nav;
        match self {
            Section::Sessions => nav.sessions,
            Section::Events => nav.events,
            Section::Memberships => nav.memberships,
            Section::Explain => nav.explain,
            Section::Clients => nav.clients,
            Section::Connectors => nav.connectors,
            Section::Keys => nav.keys,
            Section::BlockedUsers => nav.blocked_users,
        }
    }
}

impl Frame<'_> {
    pub fn links(&self) -> impl Iterator<Item = (String, &'static str, bool)> {
        Section::ALL.into_iter().map(|section| {
            let href = format!("{}{}", self.base, section.path());
            (href, section.label(self.layout.messages), section == self.section)
        })
    }

    pub fn home(&self) -> String {
        self.layout.home()
    }

    pub fn logout(&self) -> String {
        format!("{}/logout", self.base)
    }
}

/// The display text of a stored identifier; the identifier itself if the list does not have it.
pub fn label_for(list: &[(&'static str, &'static str)], word: &str) -> Name {
    let found = list.iter().find(|(known, _)| *known == word);
    found.map_or_else(|| Name::new(word), |(_, words)| Name::new(words))
}

impl Admin {
    /// The label of a field, by its query parameter.
    pub fn label(&self, field: &str) -> &'static str {
        let found = self.fields.iter().find(|(name, _)| *name == field);
        found.map_or("", |(_, label)| *label)
    }
}

/// Parses an instant of a view, which is RFC 3339.
pub fn display_time_of(app: &App, text: &str) -> DisplayTime {
    match text.parse::<Timestamp>() {
        Ok(at) => display_time(app, at),
        Err(_) => {
            let (distance, iso) = (text.to_owned(), text.to_owned());
            DisplayTime { distance, exact: String::new(), short: String::new(), iso }
        }
    }
}

pub fn display_time(app: &App, at: Timestamp) -> DisplayTime {
    DisplayTime::to_the_second(at.millis(), app.issuer.now().millis(), app.layout.messages)
}

pub fn client_name(app: &App, id: &str) -> Name {
    let client = app.issuer.clients.get(&ClientId::new(id));
    client.as_ref().map_or(id, |client| client.name.as_str()).into()
}

pub fn connector_name(app: &App, id: &str) -> Name {
    let connector = app.issuer.connectors.get(&ConnectorId::new(id));
    connector.as_ref().map_or(id, |connector| connector.name.as_str()).into()
}

/// The first name that is not empty.
pub fn first_non_empty<'a>(names: &[&'a str]) -> &'a str {
    names.iter().find(|name| !name.is_empty()).copied().unwrap_or_default()
}

pub fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A count that may be a lower bound: `10000+ sessions`.
pub fn at_least(message: PluralMessage, number: u64, more: bool) -> String {
    let text = message.of(number);
    match more {
        true => text.replace(&number.to_string(), &format!("{number}+")),
        false => text,
    }
}

pub fn sessions_link(app: &App, field: &str, value: &str) -> String {
    app.path(&path_with_query(Section::Sessions.path(), &[(field.to_owned(), value.to_owned())]))
}

/// The HTTP status of a page with a filter: 400 if the filter is invalid.
pub fn status(problem: Option<&FieldError>) -> u16 {
    if problem.is_some() { 400 } else { 200 }
}

/// The result for a page. If a field was not accepted: an empty result, and the error to show at that field. Any other
/// failure is an error page.
pub fn found_or_problem<T: Default>(
    found: Result<T, RequestError>,
) -> Result<(T, Option<FieldError>), PageError> {
    match found {
        Ok(found) => Ok((found, None)),
        Err(RequestError::Field(bad)) => Ok((T::default(), Some(bad))),
        Err(RequestError::Failed(error)) => Err(error.into()),
    }
}

//! The administrator's pages: sessions, the log, clients, connectors and keys, and the buttons that change
//! something. Only markup is made here; whoever may see or do it was asked before.

mod connectors;
mod ending;
mod explain;
mod fields;
mod log;
mod places;
mod session;
mod sessions;

pub use connectors::{ConnectorCard, Connectors, Health};
pub use ending::{EndMany, EndSummary, Ended, Preview};
pub use explain::{Explain, PersonCard, UpstreamCard};
pub use fields::{Chip, Choice, Field, FilterForm};
pub use log::{EventRow, Events, HolderRow, Holders};
pub use places::{ClientRow, Clients, KeyRow, Keys};
pub use session::{GrantRow, Part, SessionDetail};
pub use sessions::{EndedLine, SessionList, SessionRow};

use super::layout::Layout;
use super::messages::Messages;
use super::messages::admin::Admin;
use super::name::Name;

/// What every one of these pages shows around its own.
pub struct Frame<'a> {
    pub layout: &'a Layout,
    pub section: Section,
    /// Who looks.
    pub user: Name,
    /// The path of the issuer, without a slash at its end.
    pub base: String,
    pub csrf: String,
    /// What was just done, in a sentence.
    pub flash: Option<String>,
}

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Sessions,
    Events,
    Holders,
    Explain,
    Clients,
    Connectors,
    Keys,
}

impl Section {
    pub const ALL: [Section; 7] = [
        Section::Sessions,
        Section::Events,
        Section::Holders,
        Section::Explain,
        Section::Clients,
        Section::Connectors,
        Section::Keys,
    ];

    /// Below the issuer's.
    pub fn path(self) -> &'static str {
        match self {
            Section::Sessions => "/admin",
            Section::Events => "/admin/events",
            Section::Holders => "/admin/holders",
            Section::Explain => "/admin/explain",
            Section::Clients => "/admin/clients",
            Section::Connectors => "/admin/connectors",
            Section::Keys => "/admin/keys",
        }
    }

    fn label(self, messages: &Messages) -> &'static str {
        let nav = &messages.admin.nav;
        match self {
            Section::Sessions => nav.sessions,
            Section::Events => nav.events,
            Section::Holders => nav.holders,
            Section::Explain => nav.explain,
            Section::Clients => nav.clients,
            Section::Connectors => nav.connectors,
            Section::Keys => nav.keys,
        }
    }
}

impl Frame<'_> {
    fn links(&self) -> impl Iterator<Item = (String, &'static str, bool)> {
        Section::ALL.into_iter().map(|section| {
            let href = format!("{}{}", self.base, section.path());
            (href, section.label(self.layout.messages), section == self.section)
        })
    }

    fn home(&self) -> String {
        self.layout.home()
    }

    fn logout(&self) -> String {
        format!("{}/logout", self.base)
    }
}

/// What a stored word is called; the word itself where it is new.
pub fn label_for(list: &[(&'static str, &'static str)], word: &str) -> Name {
    let found = list.iter().find(|(known, _)| *known == word);
    found.map_or_else(|| Name::new(word), |(_, words)| Name::new(words))
}

impl Admin {
    /// What a field is called, by its name in addresses.
    pub fn label(&self, field: &str) -> &'static str {
        let found = self.fields.iter().find(|(name, _)| *name == field);
        found.map_or("", |(_, label)| *label)
    }
}

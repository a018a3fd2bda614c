//! The administrator's pages under `/admin`: sessions and their ends, the log, clients, connectors, keys.
//!
//! [`AdminSession`] is the only door: whoever looks is signed in here and an administrator now. A change comes by
//! POST to the page that offers it, with its CSRF value and a sign-in of the last minutes. What may be done and
//! what it means is in `issuer::admin`; nothing here decides it.

mod admin_session;
mod connectors;
mod end;
mod explain;
mod fields;
mod keys;
mod log;
mod session;
mod sessions;

pub use admin_session::is_administrator;
pub use connectors::{clients, confirm, connectors};
pub use end::{end, preview};
pub use explain::explain;
pub use keys::{keys, rotate};
pub use log::{events, holders};
pub use session::{act, show};
pub use sessions::list;

use countersign_core::{ClientId, ConnectorId, Timestamp};
use countersign_issuer::admin::view::EndedView;

use crate::app::App;
use crate::pages::admin::{EndedLine, label_for};
use crate::pages::{DisplayTime, Name, assets};

/// An instant of a view, which are RFC 3339.
fn display_time_of(app: &App, text: &str) -> DisplayTime {
    match text.parse::<Timestamp>() {
        Ok(at) => display_time(app, at),
        Err(_) => {
            DisplayTime { distance: text.to_owned(), exact: String::new(), iso: text.to_owned() }
        }
    }
}

fn display_time(app: &App, at: Timestamp) -> DisplayTime {
    DisplayTime::to_the_second(at.millis(), app.issuer.now().millis(), app.layout.messages)
}

fn client_name(app: &App, id: &str) -> Name {
    let client = app.issuer.clients.get(&ClientId::new(id));
    client.map_or(id, |client| client.name.as_str()).into()
}

fn connector_name(app: &App, id: &str) -> Name {
    let connector = app.issuer.connectors.get(&ConnectorId::new(id));
    connector.map_or(id, |connector| connector.name.as_str()).into()
}

fn ended_line(app: &App, ended: &EndedView) -> EndedLine {
    EndedLine {
        at: display_time_of(app, &ended.at),
        by: ended.by.as_str().into(),
        why: label_for(&app.layout.messages.admin.reasons, &ended.why),
    }
}

/// The first that says something.
fn first_non_empty<'a>(names: &[&'a str]) -> &'a str {
    names.iter().find(|name| !name.is_empty()).copied().unwrap_or_default()
}

/// Whether a page is as light as all of ours are, stylesheets included.
fn is_light(html: &str) -> bool {
    const MOST_BYTES: usize = 30 * 1024;
    let sheets = [assets::STYLESHEET, assets::ADMIN_STYLESHEET];
    html.len() + sheets.iter().map(|sheet| sheet.bytes.len()).sum::<usize>() < MOST_BYTES
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

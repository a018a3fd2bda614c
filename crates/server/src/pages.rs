//! HTML pages: one view struct per page, rendered by askama, and their static files.
//!
//! This module only renders texts and names. It reads no request, clock, database or configuration, sets no header,
//! cookie or status, and makes no permission decisions. Text from outside is cleaned ([`Name`]), escaped (askama), and
//! used as `href` only if it is a web URL ([`href::web`]). No page contains an inline script, style or event handler,
//! as the CSP requires.
//!
//! All texts of the pages are in [`messages`]; [`texts`] lists those that an installation can replace.

mod account;
mod approval;
pub mod assets;
mod device_flow;
mod display;
mod error;
pub mod href;
mod layout;
mod login;
pub mod messages;
#[cfg(test)]
mod minify_css;
mod name;
mod sessions;
#[cfg(test)]
mod tests;
pub mod texts;

pub use account::{ClusterCard, Clusters, LogoutConfirm, OfflineGrants, SignedOut};
pub use account::{Groups, HeldGroups, HomeSignedIn, HomeSignedOut};
pub use approval::{Approval, FormPost, OutOfBand, Scope};
pub use assets::ThemeFiles;
pub use device_flow::{DeviceConfirm, DeviceDone, DeviceForm, DeviceInfo, UserCodeError};
pub use display::{Device, DisplayTime};
pub use error::ErrorPage;
pub use error::PageErrorKind;
pub use href::PageLink;
pub use layout::{Layout, Theme};
pub use login::{ChooseConnector, ConnectorEntry, ConnectorKind, LoginError, LoginKind, Password};
pub use name::Name;
pub use name::{ClientInfo, SignedInUser};
pub use sessions::{ConsentLine, Consents};
pub use sessions::{EndFlash, EndedItem, GrantLine, OneSession, Sessions, SignInCard};
pub use texts::{PageText, PageTexts, TextLink};

/// A whole HTML document, ready to be sent as `text/html; charset=utf-8`.
pub trait Page {
    fn render(&self) -> String;
}

/// Shown if rendering fails, which askama does only if a `Display` implementation fails; ours do not.
const BLANK: &str = "<!DOCTYPE html><html lang=\"en\"><title>Error</title><h1>This page could not be shown</h1></html>";

impl<T: askama::Template> Page for T {
    fn render(&self) -> String {
        askama::Template::render(self).unwrap_or_else(|_| BLANK.to_owned())
    }
}

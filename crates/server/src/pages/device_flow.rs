//! The pages of the device authorization grant (RFC 8628): the form for the user code, the confirmation, and the
//! result.

use askama::Template;

use super::display::DisplayTime;
use super::layout::{Icon, Layout};
use super::messages::Messages;
use super::name::ClientInfo;
use super::name::Name;
use super::texts::PageText;

/// The form for the user code.
#[derive(Template)]
#[template(path = "pages/device.html")]
pub struct DeviceForm<'a> {
    pub layout: &'a Layout,
    pub action: &'a str,
    /// As given by a link, or as submitted before.
    pub user_code: &'a str,
    pub error: Option<UserCodeError>,
    /// Identifies this attempt in the log; shown with an error.
    pub reference: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCodeError {
    /// Unknown, expired or used.
    Wrong,
    TooMany {
        retry_after_seconds: u64,
    },
}

/// The page between the user code and the login, which names the client and the device.
#[derive(Template)]
#[template(path = "pages/device_confirm.html")]
pub struct DeviceConfirm<'a> {
    pub layout: &'a Layout,
    pub app: ClientInfo,
    pub device: DeviceInfo,
    pub go_on: &'a str,
    pub cancel: &'a str,
}

/// The properties by which the user recognizes the device.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    pub user_code: String,
    pub address: Name,
    pub program: Name,
    pub requested: DisplayTime,
}

/// The result of the decision.
#[derive(Template)]
#[template(path = "pages/device_done.html")]
pub struct DeviceDone<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    pub approved: bool,
}

impl DeviceForm<'_> {
    fn title(&self) -> String {
        let title = self.layout.text(PageText::DeviceTitle);
        match self.error {
            Some(_) => format!("{}: {title}", self.layout.messages.password.error),
            None => title.to_owned(),
        }
    }
}

impl UserCodeError {
    fn happened(self, messages: &Messages) -> &'static str {
        match self {
            UserCodeError::Wrong => messages.device.wrong,
            UserCodeError::TooMany { .. } => messages.password.too_many,
        }
    }

    fn todo(self, messages: &Messages) -> String {
        match self {
            UserCodeError::Wrong => messages.device.wrong_todo.to_owned(),
            UserCodeError::TooMany { retry_after_seconds: seconds } if seconds < 90 => {
                messages.password.retry_seconds.of(seconds)
            }
            UserCodeError::TooMany { retry_after_seconds: seconds } => {
                messages.password.retry_minutes.of(seconds.div_ceil(60))
            }
        }
    }
}

impl DeviceConfirm<'_> {
    fn title(&self) -> String {
        self.layout.messages.device.confirm_heading.plain(&self.app.name)
    }
}

impl DeviceDone<'_> {
    fn heading(&self) -> &'static str {
        let t = &self.layout.messages.device;
        if self.approved { t.approved } else { t.denied }
    }

    fn title(&self) -> String {
        format!("{} · {}", self.heading(), self.client_name.short())
    }
}

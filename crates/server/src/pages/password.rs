//! The page with the login form for name and password.

use askama::Template;

use super::icon::Icon;
use super::layout::Layout;
use super::messages::FormattedMessage;
use super::name::ClientInfo;
use super::name::Name;
use super::texts::PageText;

/// Longest login name that the form shows again.
const LONGEST_LOGIN: usize = 320;

#[derive(Template)]
#[template(path = "pages/password.html")]
pub struct Password<'a> {
    pub layout: &'a Layout,
    pub app: ClientInfo,
    pub connector_name: Name,
    /// A local account: the page names no upstream.
    pub is_local: bool,
    /// Label of the first field, as configured for the connector: "Email Address", "Username".
    pub prompt: Name,
    pub login_kind: LoginKind,
    /// The login name submitted before, or a hint; otherwise empty.
    pub login: &'a str,
    /// The sealed pending login.
    pub req: &'a str,
    pub action: &'a str,
    /// Link to the selection of connectors, if there are several.
    pub back: Option<&'a str>,
    pub error: Option<LoginError>,
    /// Identifies this attempt in the log; shown with an error.
    pub reference: &'a str,
}

/// Decides the keyboard that a phone shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKind {
    Username,
    Email,
}

impl LoginKind {
    fn keyboard(self) -> &'static str {
        match self {
            LoginKind::Username => "text",
            LoginKind::Email => "email",
        }
    }
}

/// Why the form is shown again. None of these reveals whether the account exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    Wrong,
    TooMany {
        retry_after_seconds: u64,
    },
    /// The password was correct, or the directory reports this state for any password.
    PasswordExpired,
    Locked,
    Disabled,
    /// The upstream does not respond.
    Down,
}

impl LoginError {
    fn happened<'l>(&self, layout: &'l Layout) -> &'l str {
        let t = &layout.messages.password;
        match self {
            LoginError::Wrong => layout.text(PageText::PasswordWrong),
            LoginError::TooMany { .. } => t.too_many,
            LoginError::PasswordExpired => t.expired,
            LoginError::Locked => t.locked,
            LoginError::Disabled => t.disabled,
            LoginError::Down => t.down,
        }
    }

    fn todo(&self, layout: &Layout) -> String {
        let t = &layout.messages.password;
        match self {
            LoginError::Wrong => layout.text(PageText::PasswordWrongHint).to_owned(),
            LoginError::TooMany { retry_after_seconds: seconds @ ..=90 } => {
                t.retry_seconds.of(*seconds)
            }
            LoginError::TooMany { retry_after_seconds } => {
                t.retry_minutes.of(retry_after_seconds.div_ceil(60))
            }
            LoginError::PasswordExpired => t.expired_todo.to_owned(),
            LoginError::Locked => t.locked_todo.to_owned(),
            LoginError::Disabled => t.disabled_todo.to_owned(),
            LoginError::Down => t.down_todo.to_owned(),
        }
    }
}

impl Password<'_> {
    fn title(&self) -> String {
        let title = self.layout.unescaped_text_with(PageText::SignInTitle, &self.app.name);
        match self.error {
            None => title,
            // First, so that a screen reader announces it first.
            Some(_) => format!("{}: {title}", self.layout.messages.password.error),
        }
    }

    /// Which account's password to enter. A local connector's name, such as "Email", would suggest the mailbox
    /// password.
    fn which_account(&self) -> FormattedMessage<'_> {
        let layout = self.layout;
        match self.is_local {
            true => layout.text_with(PageText::PasswordLocalAccount, &layout.issuer_name),
            false => layout.text_with(PageText::PasswordUpstreamAccount, &self.connector_name),
        }
    }

    /// The login name as submitted; empty if too long, because a truncated name could be another user's.
    fn shown_login(&self) -> &str {
        if self.login.chars().nth(LONGEST_LOGIN).is_some() { "" } else { self.login }
    }

    /// Whether the submitted credentials were wrong.
    fn typed_wrong(&self) -> bool {
        self.error == Some(LoginError::Wrong)
    }

    /// Whether the login name is filled in, so that the password field gets the focus.
    fn password_first(&self) -> bool {
        !self.shown_login().is_empty()
    }
}

//! The pages on which a user signs in: the choice of the connector, with the logos of upstreams ([`Brand`]), and the form
//! for name and password.

use askama::Template;

use super::layout::{Icon, Layout};
use super::messages::FormattedMessage;
use super::name::{ClientInfo, Name};
use super::texts::PageText;

/// Longest login name that the form shows again.
const LONGEST_LOGIN: usize = 320;

/// The choice of the connector.
#[derive(Template)]
#[template(path = "pages/choose_connector.html")]
pub struct ChooseConnector<'a> {
    pub layout: &'a Layout,
    pub app: ClientInfo,
    /// In display order; the caller puts the connector used last first.
    pub entries: Vec<ConnectorEntry>,
}

/// One connector to choose.
pub struct ConnectorEntry {
    /// Connector id; the link's element id is `connector-<id>`.
    pub id: String,
    pub name: Name,
    pub kind: ConnectorKind,
    pub href: String,
    pub last_used: bool,
    /// The upstream did not respond recently. The link remains, since it may have recovered.
    pub down: bool,
}

/// Decides only the logo or icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorKind {
    Password,
    Directory,
    GitHub,
    Google,
    Redirect,
    Mock,
}

impl ConnectorKind {
    /// From a connector's configured `type`.
    pub fn of(connector_type: &str) -> Self {
        match connector_type {
            "local" => ConnectorKind::Password,
            "ldap" | "keystone" | "atlassian-crowd" => ConnectorKind::Directory,
            "github" => ConnectorKind::GitHub,
            "google" => ConnectorKind::Google,
            "mockCallback" | "mockPassword" => ConnectorKind::Mock,
            _ => ConnectorKind::Redirect,
        }
    }

    /// The upstream's logo, if its guidelines permit us to show it.
    fn brand(self) -> Option<&'static Brand> {
        match self {
            ConnectorKind::GitHub => Some(&GITHUB),
            ConnectorKind::Google => Some(&GOOGLE),
            _ => None,
        }
    }

    fn icon(self) -> Icon {
        match self {
            ConnectorKind::Password => Icon::Key,
            ConnectorKind::Directory => Icon::Building,
            ConnectorKind::GitHub | ConnectorKind::Google | ConnectorKind::Redirect => Icon::Globe,
            ConnectorKind::Mock => Icon::Flask,
        }
    }
}

impl ConnectorEntry {
    /// Classes of the link.
    fn class(&self) -> String {
        let brand = self.kind.brand().map_or("", |brand| brand.class);
        let last = if self.last_used { "last" } else { "" };
        let classes = ["way", last, brand].into_iter().filter(|class| !class.is_empty());
        classes.collect::<Vec<_>>().join(" ")
    }
}

impl ChooseConnector<'_> {
    fn title(&self) -> String {
        self.layout.unescaped_text_with(PageText::SignInTitle, &self.app.name)
    }
}

/// The form for name and password.
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

/// The logo of an upstream on its login button, only where the owners' guidelines permit them.
///
/// | upstream | rule, as published | here |
/// |---|---|---|
/// | GitHub | `github.com/logos`: a permitted logo may tell that something integrates with GitHub; unmodified, in its own black or white, less prominent than one's own | the Invertocat, black or white |
/// | Google | `developers.google.com/identity/branding-guidelines`: a button of one's own has the "G" in its standard colours on the light or dark fill, with the outline, text colour and font they name | the "G", on a button with these |
/// | GitLab | Trademark Guidelines: logos are not permitted, the name is | our icon |
/// | Microsoft | logo and "Sign in" buttons as downloaded from Microsoft, to their measures | our icon |
/// | LinkedIn | LinkedIn's own button images | our icon |
///
/// All other upstreams have our own icon. The logos are the owners' own drawings, unmodified as their rules require;
/// the trademarks remain theirs.
pub(crate) struct Brand {
    /// The CSS class of the button.
    pub class: &'static str,
    pub view_box: &'static str,
    /// Pairs of colour and shape; without a colour it is black or white.
    pub shapes: &'static [(Option<&'static str>, &'static str)],
}

pub(crate) const GITHUB: Brand = Brand {
    class: "github",
    view_box: "0 0 98 96",
    shapes: &[(
        None,
        "M48.854 0C21.839 0 0 22 0 49.217c0 21.756 13.993 40.172 33.405 46.69 2.427.49 3.316-1.059 3.316-2.362 \
         0-1.141-.08-5.052-.08-9.127-13.59 2.934-16.42-5.867-16.42-5.867-2.184-5.704-5.42-7.17-5.42-7.17-4.448-3.015.324-3.015.324-3.015 \
         4.934.326 7.523 5.052 7.523 5.052 4.367 7.496 11.404 5.378 14.235 4.074.404-3.178 1.699-5.378 3.074-6.6-10.839-1.141-22.243-5.378-22.243-24.283 \
         0-5.378 1.94-9.778 5.014-13.2-.485-1.222-2.184-6.275.486-13.038 0 0 4.125-1.304 13.426 5.052a46.97 46.97 0 0 1 12.214-1.63c4.125 0 8.33.571 12.213 1.63 \
         9.302-6.356 13.427-5.052 13.427-5.052 2.67 6.763.97 11.816.485 13.038 3.155 3.422 5.015 7.822 5.015 13.2 0 18.905-11.404 23.06-22.324 24.283 \
         1.78 1.548 3.316 4.481 3.316 9.126 0 6.6-.08 11.897-.08 13.526 0 1.304.89 2.853 3.316 2.364 19.412-6.52 33.405-24.935 33.405-46.691C97.707 22 75.788 0 48.854 0z",
    )],
};

pub(crate) const GOOGLE: Brand = Brand {
    class: "google",
    view_box: "0 0 48 48",
    shapes: &[
        (
            Some("#EA4335"),
            "M24 9.5c3.54 0 6.71 1.22 9.21 3.6l6.85-6.85C35.9 2.38 30.47 0 24 0 14.62 0 6.51 5.38 2.56 13.22l7.98 6.19C12.43 13.72 17.74 9.5 24 9.5z",
        ),
        (
            Some("#4285F4"),
            "M46.98 24.55c0-1.57-.15-3.09-.38-4.55H24v9.02h12.94c-.58 2.96-2.26 5.48-4.78 7.18l7.73 6c4.51-4.18 7.09-10.36 7.09-17.65z",
        ),
        (
            Some("#FBBC05"),
            "M10.53 28.59c-.48-1.45-.76-2.99-.76-4.59s.27-3.14.76-4.59l-7.98-6.19C.92 16.46 0 20.12 0 24c0 3.88.92 7.54 2.56 10.78l7.97-6.19z",
        ),
        (
            Some("#34A853"),
            "M24 48c6.48 0 11.93-2.13 15.89-5.81l-7.73-6c-2.15 1.45-4.92 2.3-8.16 2.3-6.26 0-11.57-4.22-13.47-9.91l-7.98 6.19C6.51 42.62 14.62 48 24 48z",
        ),
    ],
};

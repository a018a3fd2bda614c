//! The pages before and after signing out.

use askama::Template;

use super::href::PageLink;
use super::layout::Layout;
use super::name::Name;
use super::name::SignedInUser;

#[derive(Template)]
#[template(path = "logout_confirm.html")]
pub struct LogoutConfirm<'a> {
    pub layout: &'a Layout,
    pub user: SignedInUser,
    pub action: &'a str,
    pub csrf: &'a str,
    /// The parameters of the application (`id_token_hint`, `post_logout_redirect_uri`, `state`), to be posted again.
    pub fields: Vec<(&'a str, &'a str)>,
    /// Whether to offer the checkbox `tools=end`: the session has grants that would outlive it.
    pub offers_tools: bool,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut<'a> {
    pub layout: &'a Layout,
    pub tools: OfflineGrants,
    /// Applications that receive a logout token.
    pub notified: Vec<Name>,
    /// Name and id of the client that asked for a redirect to an address that is not registered for it.
    pub unregistered: Option<(Name, Name)>,
    /// The `id_token_hint` was not a valid token of ours, and the browser had no session: nothing was ended.
    pub hint_refused: bool,
    pub link: Option<PageLink>,
    /// Where to sign out of the upstream as well.
    pub upstream: Option<PageLink>,
}

/// What became of the command-line tools of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineGrants {
    /// There were none.
    None,
    Kept,
    Ended,
}

impl LogoutConfirm<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.logout.heading
    }
}

impl SignedOut<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.logout.done
    }
}

//! The pages before and after a logout.

use askama::Template;

use super::href::PageLink;
use super::layout::Layout;
use super::name::Name;
use super::name::SignedInUser;

#[derive(Template)]
#[template(path = "pages/logout_confirm.html")]
pub struct LogoutConfirm<'a> {
    pub layout: &'a Layout,
    pub user: SignedInUser,
    pub action: &'a str,
    pub csrf: &'a str,
    /// The client's parameters (`id_token_hint`, `post_logout_redirect_uri`, `state`), repeated in the form.
    pub fields: Vec<(&'a str, &'a str)>,
    /// Whether to offer the checkbox `tools=end`: the session has grants that a logout would not end.
    pub offers_tools: bool,
}

#[derive(Template)]
#[template(path = "pages/signed_out.html")]
pub struct SignedOut<'a> {
    pub layout: &'a Layout,
    pub tools: OfflineGrants,
    /// Clients that receive a logout token.
    pub notified: Vec<Name>,
    /// Name and id of the client that requested a redirect URI that is not registered for it.
    pub unregistered: Option<(Name, Name)>,
    /// The `id_token_hint` was not a valid token of this issuer, and the browser had no session: nothing was ended.
    pub hint_refused: bool,
    pub link: Option<PageLink>,
    /// Link to the upstream's logout.
    pub upstream: Option<PageLink>,
}

/// What happened to the session's grants with `offline_access`.
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

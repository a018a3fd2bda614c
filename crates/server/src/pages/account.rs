//! The pages of an account: the user's session in this browser with their other sessions and their groups, the search in
//! their groups, the clusters that they may see, and the pages before and after a logout.

use askama::Template;

use super::display::DisplayTime;
use super::href::PageLink;
use super::layout::{Icon, Layout};
use super::messages::Messages;
use super::name::{Name, SignedInUser};
use super::sessions::{EndFlash, SignInCard};
use super::texts::PageText;

/// Above this number the groups are collapsed.
const UNFOLDED_GROUPS: usize = 12;

#[derive(Template)]
#[template(path = "pages/home_signed_in.html")]
pub struct HomeSignedIn<'a> {
    pub layout: &'a Layout,
    pub user: SignedInUser,
    pub flash: Option<EndFlash>,
    pub since: DisplayTime,
    pub until: DisplayTime,
    /// The session of this browser, then some of the others.
    pub cards: Vec<SignInCard>,
    /// Total number of sessions, and the link to the page that lists them.
    pub sign_ins: u64,
    pub all_sign_ins: &'a str,
    /// Where the forms that end something are posted.
    pub end: &'a str,
    pub groups: HeldGroups,
    /// Link to the page with all groups.
    pub all_groups: &'a str,
    /// Link to the consents page.
    pub consents: &'a str,
    /// Where the logout form is posted.
    pub logout: &'a str,
    pub csrf: &'a str,
    /// Whether to offer the checkbox `tools=end`: the session has grants that a logout would not end.
    pub offers_tools: bool,
    /// URL of the discovery document.
    pub discovery: &'a str,
    /// Link to the clusters page, if the user may see a cluster.
    pub clusters: Option<String>,
    /// Link to the administration pages, for administrators.
    pub admin: Option<String>,
}

/// The groups of a user, and the upstream that returned them.
pub struct HeldGroups {
    pub names: Vec<Name>,
    /// Total number; `names` may be a part of them.
    pub count: u64,
    pub source: Name,
    /// When the upstream last returned the groups.
    pub as_of: DisplayTime,
    /// The upstream did not respond just now.
    pub stale: bool,
    /// Link to a login that requests groups, if this session's login did not.
    pub ask: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/home_signed_out.html")]
pub struct HomeSignedOut<'a> {
    pub layout: &'a Layout,
    pub sign_in: &'a str,
    /// What was ended, if it was this browser's own session.
    pub flash: Option<EndFlash>,
    /// URL of the discovery document.
    pub discovery: &'a str,
}

impl HomeSignedIn<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.home.signed_in_heading
    }

    fn others(&self) -> bool {
        self.sign_ins > 1
    }

    fn shows_all(&self) -> bool {
        self.sign_ins <= self.cards.len() as u64
    }

    fn all_sign_ins_label(&self) -> String {
        self.layout.messages.sessions.all.of(self.sign_ins)
    }
}

impl HeldGroups {
    /// The names that fit into this many bytes of markup.
    pub fn fitting<'a>(names: impl IntoIterator<Item = &'a String>, bytes: usize) -> Vec<Name> {
        const AROUND_BYTES: usize = 22;
        let mut left = bytes;
        let escaped = |name: &Name| {
            let special = name.as_str().bytes().filter(|b| b"<>&\"'".contains(b)).count();
            AROUND_BYTES + name.as_str().len() + 4 * special
        };
        let names = names.into_iter().map(Name::from);
        let fits = |name: &Name| {
            let size = escaped(name);
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        };
        names.take_while(fits).collect()
    }

    fn shows_all(&self) -> bool {
        self.count <= self.names.len() as u64
    }

    fn folds(&self) -> bool {
        self.names.len() > UNFOLDED_GROUPS
    }

    fn fold_label(&self, messages: &Messages) -> String {
        messages.home.groups.of(self.names.len() as u64)
    }

    fn all_label(&self, messages: &Messages) -> String {
        messages.groups.all.of(self.count)
    }
}

impl HomeSignedOut<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.home.signed_out_heading
    }
}

#[derive(Template)]
#[template(path = "pages/groups.html")]
pub struct Groups<'a> {
    pub layout: &'a Layout,
    pub groups: HeldGroups,
    /// The search text as submitted.
    pub search: &'a str,
    /// Target of the search form (GET).
    pub action: &'a str,
    pub earlier: Option<String>,
    pub more: Option<String>,
}

impl Groups<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.groups.heading
    }

    fn messages(&self) -> &'static Messages {
        self.layout.messages
    }
}

/// The clusters that a user may see.
#[derive(Template)]
#[template(path = "pages/clusters.html")]
pub struct Clusters<'a> {
    pub layout: &'a Layout,
    pub user: SignedInUser,
    pub cards: Vec<ClusterCard>,
    /// The command that configures all of them.
    pub login: String,
    /// Link to a kubeconfig with all of them, if there are several.
    pub all: Option<String>,
}

/// One cluster.
pub struct ClusterCard {
    pub name: Name,
    pub description: Option<Name>,
    pub server: Name,
    /// The command that signs in and writes the kubeconfig.
    pub login: String,
    pub kubeconfig: String,
}

impl Clusters<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.clusters.heading
    }
}

impl ClusterCard {
    fn check(&self) -> String {
        format!("kubectl --context {} auth whoami", self.name)
    }
}

/// Asks before a logout.
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

/// What a logout has ended.
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

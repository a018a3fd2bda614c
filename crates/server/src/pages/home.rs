//! The account page: the user's session in this browser, their other sessions, and their groups with search.

use askama::Template;

use super::display_time::DisplayTime;
use super::icon::Icon;
use super::layout::Layout;
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

//! The issuer's own page: who is signed in here and where else; and all groups of a person, to be searched.

use askama::Template;

use super::display_time::DisplayTime;
use super::icon::Icon;
use super::layout::Layout;
use super::messages::Messages;
use super::name::{Name, SignedInUser};
use super::sessions::{EndFlash, SignInCard};

/// More groups than this are folded away.
const UNFOLDED_GROUPS: usize = 12;

#[derive(Template)]
#[template(path = "home_signed_in.html")]
pub struct HomeSignedIn<'a> {
    pub layout: &'a Layout,
    pub user: SignedInUser,
    pub flash: Option<EndFlash>,
    pub since: DisplayTime,
    pub until: DisplayTime,
    /// This browser's first, then some of the others.
    pub cards: Vec<SignInCard>,
    /// How many there are in all, and the page with them.
    pub sign_ins: u64,
    pub all_sign_ins: &'a str,
    /// Where the buttons that end something are posted.
    pub end: &'a str,
    pub groups: HeldGroups,
    /// The page with all groups.
    pub all_groups: &'a str,
    /// Where the sign-out form is posted.
    pub consents: &'a str,
    pub logout: &'a str,
    pub csrf: &'a str,
    /// Whether to offer the checkbox `tools=end`: the session has grants that would outlive it.
    pub offers_tools: bool,
    /// Address of the discovery document.
    pub discovery: &'a str,
    /// The page of the clusters, where this person may see one.
    pub clusters: Option<String>,
    /// The administrator's pages, for users who may see them.
    pub admin: Option<String>,
}

/// The groups of a person, and where we have them from.
pub struct HeldGroups {
    pub names: Vec<Name>,
    /// How many there are in all: `names` may be some of them.
    pub count: u64,
    pub source: Name,
    /// When the source was last requested.
    pub as_of: DisplayTime,
    /// The source did not answer the request just now.
    pub stale: bool,
    /// The way to sign in with groups, where this sign-in did not ask for them.
    pub ask: Option<String>,
}

#[derive(Template)]
#[template(path = "home_signed_out.html")]
pub struct HomeSignedOut<'a> {
    pub layout: &'a Layout,
    pub sign_in: &'a str,
    /// What was ended, when that was this browser's own sign-in.
    pub flash: Option<EndFlash>,
    /// Address of the discovery document.
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
    /// As many as there is room for, in this many bytes of markup.
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
#[template(path = "groups.html")]
pub struct Groups<'a> {
    pub layout: &'a Layout,
    pub groups: HeldGroups,
    /// What was looked for, as typed.
    pub search: &'a str,
    /// Where the search is sent, by GET.
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

//! The issuer's own page: who is signed in here, or what this place is.

use askama::Template;

use super::layout::Layout;
use super::moment::Moment;
use super::name::Name;
use super::people::User;

/// More groups than this are folded away.
const UNFOLDED_GROUPS: usize = 12;

#[derive(Template)]
#[template(path = "home_signed_in.html")]
pub struct HomeSignedIn<'a> {
    pub layout: &'a Layout,
    pub user: User,
    pub since: Moment,
    pub until: Moment,
    pub groups: Vec<HeldGroup>,
    /// Where the sign-out form is posted.
    pub logout: &'a str,
    pub csrf: &'a str,
    /// Whether to offer the checkbox `tools=end`: the session has grants that would outlive it.
    pub offers_tools: bool,
    /// Address of the discovery document.
    pub discovery: &'a str,
}

/// A group, and where we have it from.
pub struct HeldGroup {
    pub name: Name,
    pub source: Name,
}

#[derive(Template)]
#[template(path = "home_signed_out.html")]
pub struct HomeSignedOut<'a> {
    pub layout: &'a Layout,
    /// Address of the discovery document.
    pub discovery: &'a str,
}

impl HomeSignedIn<'_> {
    fn title(&self) -> &'static str {
        self.layout.texts.home.signed_in_heading
    }

    fn group_count(&self) -> String {
        self.layout.texts.home.groups.of(self.groups.len() as u64)
    }

    fn folds_groups(&self) -> bool {
        self.groups.len() > UNFOLDED_GROUPS
    }
}

impl HomeSignedOut<'_> {
    fn title(&self) -> &'static str {
        self.layout.texts.home.signed_out_heading
    }
}

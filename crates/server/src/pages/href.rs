//! Where a link or a form of ours may lead.

use super::name::Name;
use super::texts::Texts;

/// The one thing a person can do next on a page that ends here.
#[derive(Clone, Debug)]
pub enum Way {
    /// Back to the application: its address and its name.
    BackTo(String, Name),
    /// The list of connectors, with the login still in flight.
    OtherWays(String),
    /// The same step once more.
    TryAgain(String),
    /// The person's own page at this issuer.
    Home(String),
    /// To sign in with another account.
    SomebodyElse(String),
    /// Where they sign out of the upstream too: its address and its name.
    SignOutOf(String, Name),
}

impl Way {
    pub(super) fn href(&self) -> &str {
        let (Way::BackTo(href, _)
        | Way::OtherWays(href)
        | Way::TryAgain(href)
        | Way::Home(href)
        | Way::SomebodyElse(href)
        | Way::SignOutOf(href, _)) = self;
        web(href)
    }

    pub(super) fn label(&self, texts: &Texts) -> String {
        match self {
            Way::BackTo(_, app) => texts.ways.back_to.plain(app),
            Way::OtherWays(_) => texts.ways.other_ways.to_owned(),
            Way::TryAgain(_) => texts.ways.try_again.to_owned(),
            Way::Home(_) => texts.ways.home.to_owned(),
            Way::SomebodyElse(_) => texts.admin.somebody_else.to_owned(),
            Way::SignOutOf(_, upstream) => texts.ways.sign_out_of.plain(upstream),
        }
    }
}

/// `href` if it is a path of ours or a web address, else `#`. What a client registered is its own, `javascript:` too.
pub fn web(href: &str) -> &str {
    let path = href.starts_with('/') && !href.starts_with("//") && !href.starts_with("/\\");
    if path || starts_with(href, "https://") || starts_with(href, "http://") { href } else { "#" }
}

/// Where a form with a code in it may be sent: any scheme a native client may register, none that runs as script.
pub fn form_action(href: &str) -> &str {
    let runs = ["javascript:", "data:", "vbscript:", "blob:", "file:"];
    // A URL parser drops tabs and line ends anywhere and spaces in front, so nothing that has them gets through.
    let plain = href.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if plain && !runs.iter().any(|scheme| starts_with(href, scheme)) { href } else { "#" }
}

fn starts_with(href: &str, prefix: &str) -> bool {
    href.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

//! Where a link or a form of ours may lead.

use super::messages::Messages;
use super::name::Name;

/// The one thing a person can do next on a page that ends here.
#[derive(Clone, Debug)]
pub enum PageLink {
    /// Back to the application: its address and its name.
    BackToClient(String, Name),
    /// The list of connectors, with the login still in flight.
    OtherConnectors(String),
    /// The same step once more.
    TryAgain(String),
    /// The person's own page at this issuer.
    Home(String),
    /// To sign in with another account.
    OtherAccount(String),
    /// Where they sign out of the upstream too: its address and its name.
    UpstreamLogout(String, Name),
}

impl PageLink {
    pub(crate) fn href(&self) -> &str {
        let (PageLink::BackToClient(href, _)
        | PageLink::OtherConnectors(href)
        | PageLink::TryAgain(href)
        | PageLink::Home(href)
        | PageLink::OtherAccount(href)
        | PageLink::UpstreamLogout(href, _)) = self;
        web(href)
    }

    pub(crate) fn label(&self, messages: &Messages) -> String {
        match self {
            PageLink::BackToClient(_, app) => messages.links.back_to.plain(app),
            PageLink::OtherConnectors(_) => messages.links.other_connectors.to_owned(),
            PageLink::TryAgain(_) => messages.links.try_again.to_owned(),
            PageLink::Home(_) => messages.links.home.to_owned(),
            PageLink::OtherAccount(_) => messages.admin.somebody_else.to_owned(),
            PageLink::UpstreamLogout(_, upstream) => messages.links.sign_out_of.plain(upstream),
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

//! Permitted targets of links and forms.

use super::messages::Messages;
use super::name::Name;

/// The link of a page that ends a flow.
#[derive(Clone, Debug)]
pub enum PageLink {
    /// Back to the client: URL and name.
    BackToClient(String, Name),
    /// The selection of connectors, with the pending login.
    OtherConnectors(String),
    /// The same step again.
    TryAgain(String),
    /// The user's account page.
    Home(String),
    /// Sign in with another account.
    OtherAccount(String),
    /// Log out at the upstream as well: URL and name.
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

/// `href` if it is a path on this origin or a web URL, otherwise `#`. A client may register any URI, even
/// `javascript:`.
pub fn web(href: &str) -> &str {
    let path = href.starts_with('/') && !href.starts_with("//") && !href.starts_with("/\\");
    if path || starts_with(href, "https://") || starts_with(href, "http://") { href } else { "#" }
}

/// `href` as a form target for a response with a code: any scheme a native client may register, except those that
/// execute.
pub fn form_action(href: &str) -> &str {
    let runs = ["javascript:", "data:", "vbscript:", "blob:", "file:"];
    // A URL parser ignores tabs, line ends and leading spaces, so a text with whitespace is refused.
    let plain = href.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if plain && !runs.iter().any(|scheme| starts_with(href, scheme)) { href } else { "#" }
}

fn starts_with(href: &str, prefix: &str) -> bool {
    href.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::{form_action, web};

    #[test]
    fn links_lead_to_the_web_and_forms_to_no_script() {
        for good in ["/dex/auth?x=1", "https://app.example.com/", "HTTP://localhost:8000/cb"] {
            assert_eq!(web(good), good);
        }
        for bad in [
            "javascript:alert(1)",
            "//evil.example.com",
            "/\\evil.example.com",
            "data:text/html,x",
            "app:/cb",
            "é",
            "",
        ] {
            assert_eq!(web(bad), "#");
        }
        for good in ["https://app.example.com/cb", "com.example.app:/cb", "http://127.0.0.1:8000"] {
            assert_eq!(form_action(good), good);
        }
        for bad in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "data:,x",
        ] {
            assert_eq!(form_action(bad), "#");
        }
    }
}

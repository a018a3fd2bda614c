//! Texts of one's own: the file `texts.yaml` of `frontend.dir` replaces or adds texts of the pages that users see.
//!
//! They are plain text, which the templates escape. The warnings that protect a user, such as the one about codes sent
//! by others, are not among them.

use std::collections::BTreeMap;

use countersign_core::text::is_deceptive;

use super::messages::Messages;

/// Longest heading or label, in characters.
const LONGEST_LABEL: usize = 80;
/// Longest paragraph, in characters.
const LONGEST_PARAGRAPH: usize = 600;
/// Largest number of links in the footer.
pub const MOST_LINKS: usize = 6;
const LONGEST_URL: usize = 1024;

/// A text that can be replaced, or added where there is none by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageText {
    SignInTitle,
    SignInIntroduction,
    SignInChooseAccount,
    PasswordUpstreamAccount,
    PasswordLocalAccount,
    PasswordLabel,
    PasswordShow,
    PasswordHide,
    PasswordSubmit,
    PasswordOtherConnectors,
    PasswordWrong,
    PasswordWrongHint,
    ConsentTitle,
    ConsentIntroduction,
    ConsentReceives,
    ConsentMay,
    ConsentAllow,
    ConsentDeny,
    DeviceTitle,
    DeviceIntroduction,
    DeviceCode,
    HomeIntroduction,
    ErrorContact,
    HelpText,
    FooterText,
}

impl PageText {
    pub const ALL: [Self; 25] = [
        Self::SignInTitle,
        Self::SignInIntroduction,
        Self::SignInChooseAccount,
        Self::PasswordUpstreamAccount,
        Self::PasswordLocalAccount,
        Self::PasswordLabel,
        Self::PasswordShow,
        Self::PasswordHide,
        Self::PasswordSubmit,
        Self::PasswordOtherConnectors,
        Self::PasswordWrong,
        Self::PasswordWrongHint,
        Self::ConsentTitle,
        Self::ConsentIntroduction,
        Self::ConsentReceives,
        Self::ConsentMay,
        Self::ConsentAllow,
        Self::ConsentDeny,
        Self::DeviceTitle,
        Self::DeviceIntroduction,
        Self::DeviceCode,
        Self::HomeIntroduction,
        Self::ErrorContact,
        Self::HelpText,
        Self::FooterText,
    ];
    /// The sections of the file.
    pub const SECTIONS: [&'static str; 8] =
        ["signIn", "password", "consent", "device", "home", "error", "help", "footer"];

    /// Section and key in the file.
    pub const fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::SignInTitle => ("signIn", "title"),
            Self::SignInIntroduction => ("signIn", "introduction"),
            Self::SignInChooseAccount => ("signIn", "chooseAccount"),
            Self::PasswordUpstreamAccount => ("password", "upstreamAccount"),
            Self::PasswordLocalAccount => ("password", "localAccount"),
            Self::PasswordLabel => ("password", "label"),
            Self::PasswordShow => ("password", "show"),
            Self::PasswordHide => ("password", "hide"),
            Self::PasswordSubmit => ("password", "submit"),
            Self::PasswordOtherConnectors => ("password", "otherConnectors"),
            Self::PasswordWrong => ("password", "wrong"),
            Self::PasswordWrongHint => ("password", "wrongHint"),
            Self::ConsentTitle => ("consent", "title"),
            Self::ConsentIntroduction => ("consent", "introduction"),
            Self::ConsentReceives => ("consent", "receives"),
            Self::ConsentMay => ("consent", "may"),
            Self::ConsentAllow => ("consent", "allow"),
            Self::ConsentDeny => ("consent", "deny"),
            Self::DeviceTitle => ("device", "title"),
            Self::DeviceIntroduction => ("device", "introduction"),
            Self::DeviceCode => ("device", "code"),
            Self::HomeIntroduction => ("home", "introduction"),
            Self::ErrorContact => ("error", "contact"),
            Self::HelpText => ("help", "text"),
            Self::FooterText => ("footer", "text"),
        }
    }

    /// The text without the file; empty where nothing is shown then. `{}` stands for the placeholder.
    pub const fn default_text(self, messages: &Messages) -> &'static str {
        match self {
            Self::SignInTitle => messages.sign_in_to.0,
            Self::SignInChooseAccount => messages.choose.how,
            Self::PasswordUpstreamAccount => messages.password.with_account.0,
            Self::PasswordLocalAccount => messages.password.with_own_account.0,
            Self::PasswordLabel => messages.password.password,
            Self::PasswordShow => messages.password.show,
            Self::PasswordHide => messages.password.hide,
            Self::PasswordSubmit => messages.password.sign_in,
            Self::PasswordOtherConnectors => messages.password.other_connectors,
            Self::PasswordWrong => messages.password.wrong,
            Self::PasswordWrongHint => messages.password.wrong_todo,
            Self::ConsentTitle => messages.approval.heading.0,
            Self::ConsentReceives => messages.approval.receives,
            Self::ConsentMay => messages.approval.may,
            Self::ConsentAllow => messages.approval.allow,
            Self::ConsentDeny => messages.approval.deny,
            Self::DeviceTitle => messages.device.heading,
            Self::DeviceIntroduction => messages.device.explain,
            Self::DeviceCode => messages.device.code,
            Self::HomeIntroduction => messages.home.what_this_is,
            Self::SignInIntroduction
            | Self::ConsentIntroduction
            | Self::ErrorContact
            | Self::HelpText
            | Self::FooterText => "",
        }
    }

    /// The placeholder that the text must contain once, without its braces: a page says who asks, and whose account is
    /// meant.
    pub const fn placeholder(self) -> Option<&'static str> {
        match self {
            Self::SignInTitle | Self::ConsentTitle => Some("application"),
            Self::PasswordUpstreamAccount => Some("connector"),
            Self::PasswordLocalAccount => Some("service"),
            _ => None,
        }
    }

    /// In characters.
    pub const fn longest(self) -> usize {
        match self {
            Self::SignInIntroduction
            | Self::PasswordWrongHint
            | Self::ConsentIntroduction
            | Self::DeviceIntroduction
            | Self::HomeIntroduction
            | Self::ErrorContact
            | Self::HelpText
            | Self::FooterText => LONGEST_PARAGRAPH,
            _ => LONGEST_LABEL,
        }
    }
}

/// The texts of the file. Empty: all defaults.
#[derive(Clone, Debug, Default)]
pub struct PageTexts {
    own: BTreeMap<PageText, String>,
    /// After `help.text`.
    pub help_link: Option<TextLink>,
    /// Below every page for users.
    pub footer_links: Vec<TextLink>,
}

/// A link of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextLink {
    pub label: String,
    pub url: String,
}

impl PageTexts {
    /// Replaces a text. The error says what is wrong with it.
    pub fn set(&mut self, text: PageText, own: &str) -> Result<(), String> {
        let own = plain_text(own, text.longest())?;
        let own = match text.placeholder() {
            None => own,
            Some(name) => {
                let placeholder = format!("{{{name}}}");
                if own.matches(&placeholder).count() != 1 {
                    return Err(format!("must contain {placeholder} once"));
                }
                own.replace(&placeholder, "{}")
            }
        };
        let expected = usize::from(text.placeholder().is_some());
        if own.matches('{').count() != expected || own.matches('}').count() != expected {
            return Err("contains a brace that belongs to no placeholder of this text".to_owned());
        }
        self.own.insert(text, own);
        Ok(())
    }

    /// The text for a page. `{}` stands for the placeholder.
    pub fn get(&self, text: PageText, messages: &Messages) -> &str {
        self.own.get(&text).map_or_else(|| text.default_text(messages), String::as_str)
    }

    pub fn has_footer(&self) -> bool {
        self.own.contains_key(&PageText::FooterText) || !self.footer_links.is_empty()
    }
}

impl TextLink {
    pub fn label(label: &str) -> Result<String, String> {
        plain_text(label, LONGEST_LABEL)
    }

    /// Accepts web, mail and telephone URLs, and paths on this host.
    pub fn url(url: &str) -> Result<String, String> {
        let lower = url.to_ascii_lowercase();
        let is_path =
            lower.starts_with('/') && !lower.starts_with("//") && !lower.starts_with("/\\");
        let has_scheme = ["https://", "http://", "mailto:", "tel:"];
        let is_plain = url.len() <= LONGEST_URL && url.chars().all(|c| c.is_ascii_graphic());
        if is_plain && (is_path || has_scheme.iter().any(|scheme| lower.starts_with(scheme))) {
            return Ok(url.to_owned());
        }
        Err("expected an http, https, mailto or tel URL, or a path".to_owned())
    }
}

/// The text on one line.
fn plain_text(text: &str, longest: usize) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    if text.is_empty() {
        return Err("is empty: leave the key out for the default".to_owned());
    }
    if text.chars().any(is_deceptive) {
        return Err("contains a character that is invisible or changes the direction".to_owned());
    }
    let length = text.chars().count();
    if length > longest {
        return Err(format!("has {length} characters, at most {longest} are shown"));
    }
    Ok(text)
}

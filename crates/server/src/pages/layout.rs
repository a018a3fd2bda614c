//! What all pages share. Built once at start-up.

use super::assets::{self, ThemeFiles};
use super::messages::{ENGLISH, FormattedMessage, Messages};
use super::name::Name;
use super::texts::{PageText, PageTexts, TextLink};

/// `frontend.theme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// By the user's system preference.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// Parses the configured name; `None` if there is no such theme. Dex's oldest themes were light.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Theme::Auto),
            "light" | "coreos" | "tectonic" => Some(Theme::Light),
            "dark" => Some(Theme::Dark),
            _ => None,
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    pub(crate) fn color_scheme(self) -> &'static str {
        match self {
            Theme::Auto => "light dark",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Layout {
    pub issuer_name: Name,
    /// A path on this origin, or a remote URL if the configuration allows those. `None`: our own logo.
    pub logo: Option<String>,
    pub theme: Theme,
    pub messages: &'static Messages,
    /// Replace some of `messages`.
    pub texts: PageTexts,
    pub(crate) mark: String,
    pub(crate) stylesheet: String,
    /// A custom stylesheet, loaded after ours.
    pub(crate) theme_stylesheet: Option<String>,
    pub(crate) favicon: Option<String>,
    pub(crate) admin_stylesheet: String,
    pub(crate) form_post_script: String,
    pub(crate) show_password_script: String,
    base: String,
}

impl Layout {
    /// `base` is the path of the issuer without a trailing slash: `""`, `"/dex"`.
    pub fn new(base: &str, issuer_name: impl Into<Name>) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self {
            issuer_name: issuer_name.into(),
            logo: None,
            theme: Theme::Auto,
            messages: &ENGLISH,
            texts: PageTexts::default(),
            mark: assets::MARK.url(&base),
            stylesheet: assets::STYLESHEET.url(&base),
            theme_stylesheet: None,
            favicon: None,
            admin_stylesheet: assets::ADMIN_STYLESHEET.url(&base),
            form_post_script: assets::FORM_POST_SCRIPT.url(&base),
            show_password_script: assets::SHOW_PASSWORD_SCRIPT.url(&base),
            base,
        }
    }

    /// Uses the files of `frontend.dir`. A configured logo takes precedence over the theme's.
    pub fn use_theme(&mut self, files: &ThemeFiles) {
        let path = |name| format!("{}/theme/{name}", self.base);
        let styles = files.styles.as_ref().map(|_| path(assets::STYLES));
        let favicon = files.favicon.as_ref().map(|_| path(assets::FAVICON));
        let logo = files.logo.as_ref().map(|_| path(assets::LOGO));
        self.theme_stylesheet = styles;
        self.favicon = favicon;
        self.logo = self.logo.take().or(logo);
    }

    /// Path of the account page.
    pub(crate) fn home(&self) -> String {
        format!("{}/", self.base)
    }

    /// A text as configured, or its default.
    pub(crate) fn text(&self, text: PageText) -> &str {
        self.texts.get(text, self.messages)
    }

    /// A text that is shown only if it is configured.
    pub(crate) fn optional_text(&self, text: PageText) -> Option<&str> {
        Some(self.text(text)).filter(|text| !text.is_empty())
    }

    /// As HTML, with the shortened name in its own `<bdi>` in place of the placeholder.
    pub(crate) fn text_with(&self, text: PageText, name: &Name) -> FormattedMessage<'_> {
        FormattedMessage::with_whole(self.text(text), &name.short())
    }

    /// As unescaped text, for a title.
    pub(crate) fn unescaped_text_with(&self, text: PageText, name: &Name) -> String {
        FormattedMessage::unescaped(self.text(text), name)
    }

    pub(crate) fn footer_text(&self) -> Option<&str> {
        self.optional_text(PageText::FooterText)
    }

    /// Where a user finds help with signing in.
    pub(crate) fn help(&self) -> Option<Help<'_>> {
        Help::of(self.text(PageText::HelpText), self.texts.help_link.as_ref())
    }

    /// Whom a user can ask about an error.
    pub(crate) fn error_contact(&self) -> Option<Help<'_>> {
        let own = self.optional_text(PageText::ErrorContact);
        let text = own.unwrap_or_else(|| self.text(PageText::HelpText));
        Help::of(text, self.texts.help_link.as_ref())
    }
}

/// The configured contact: a text, a link or both.
pub(crate) struct Help<'a> {
    pub(crate) text: &'a str,
    pub(crate) link: Option<&'a TextLink>,
}

impl<'a> Help<'a> {
    fn of(text: &'a str, link: Option<&'a TextLink>) -> Option<Self> {
        (!text.is_empty() || link.is_some()).then_some(Self { text, link })
    }
}

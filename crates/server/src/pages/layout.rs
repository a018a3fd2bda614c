//! What all pages share: the layout, built once at start-up, and the icons.

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

/// The icons: one path each on a 24 by 24 grid, drawn with the stroke of the stylesheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Alert,
    Back,
    Badge,
    Building,
    Clock,
    Exchange,
    Flask,
    Forward,
    Globe,
    Key,
    Mail,
    People,
    Person,
    Phone,
    Screen,
    Tag,
}

impl Icon {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Icon::Alert => "M12 3 2.5 20h19zM12 10v4.5M12 17.2v.1",
            Icon::Back => "M19 12H5M11 6l-6 6 6 6",
            Icon::Badge => {
                "M3 5.5h18v13H3zM9 11.7a1.6 1.6 0 1 0-.1 0M6 15.7c.6-3 5.4-3 6 0M15 10h3M15 13.5h3"
            }
            Icon::Building => "M5 21V4h10v17M15 9h4v12M3 21h18M8.5 8h3M8.5 12h3M8.5 16h3",
            Icon::Clock => "M12 3.5a8.5 8.5 0 1 0 .1 0M12 7.5V12l3 2",
            Icon::Exchange => "M4 8.5h15M15 4.5l4 4-4 4M20 15.5H5M9 11.5l-4 4 4 4",
            Icon::Flask => {
                "M9 3.5h6M10 3.5V10l-5 9.2c-.4.7.1 1.3.8 1.3h12.4c.7 0 1.2-.6.8-1.3L14 10V3.5M7.5 15h9"
            }
            Icon::Forward => "M9 5.5l6.5 6.5L9 18.5",
            Icon::Globe => {
                "M12 3.5a8.5 8.5 0 1 0 .1 0M3.5 12h17M12 3.5c-5 5-5 12 0 17 5-5 5-12 0-17"
            }
            Icon::Key => "M8 11.5a4 4 0 1 0 .1 0M11 12.7 19.5 4M15.5 8l2.5 2.5",
            Icon::Mail => "M3.5 5.5h17v13h-17zM3.5 7l8.5 6.5L20.5 7",
            Icon::People => {
                "M9 11.5a3.5 3.5 0 1 0-.1 0M2.5 20c.6-7.3 12.4-7.3 13 0M15.5 4.9a3.5 3.5 0 0 1 0 6.3M18 14.6c2 .8 3.3 2.6 3.5 5.4"
            }
            Icon::Phone => "M7 2.5h10v19H7zM11 18.5h2",
            Icon::Screen => "M3 4.5h18v12H3zM8 20.5h8M12 16.5v4",
            Icon::Person => "M12 11.5a4 4 0 1 0-.1 0M4.5 20.5c.8-8 14.2-8 15 0",
            Icon::Tag => "M4 4h7.5l8.5 8.5-7.5 7.5L4 11.5zM8 8v.1",
        }
    }
}

//! `frontend` (pages) and `logger`.

mod frontend_dir;

use std::path::Path;

use countersign_config::{Environment, Section};
use countersign_server::pages::Theme;

pub use frontend_dir::{DirFile, FrontendDir};

#[derive(Clone, Debug)]
pub struct Frontend {
    /// The name of the installation, shown on every page.
    pub issuer: String,
    pub logo_url: Option<String>,
    pub theme: Theme,
    /// Whether logos of other hosts are loaded; these hosts can then observe logins.
    pub allow_remote_logos: bool,
    /// The content of `frontend.dir`.
    pub dir: FrontendDir,
}

#[derive(Clone, Debug)]
pub struct Logger {
    pub level: LogLevel,
    /// `None`: text on a terminal, JSON otherwise.
    pub format: Option<LogFormat>,
    /// Names of fields that are never logged, such as `email`.
    pub exclude_fields: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

const DISPLAY_NAME: &str = "Countersign";

pub fn read_frontend(root: &Section<'_>, env: Environment<'_>) -> Frontend {
    let mut frontend = Frontend {
        issuer: DISPLAY_NAME.to_owned(),
        logo_url: None,
        theme: Theme::Auto,
        allow_remote_logos: false,
        dir: FrontendDir::default(),
    };
    let of_environment = env("DEX_FRONTEND_DIR").filter(|dir| !dir.is_empty());
    let Some(section) = root.section("frontend") else {
        if let Some(dir) = of_environment {
            frontend.dir = frontend_dir::read(root, Path::new(&dir), "light");
        }
        return frontend;
    };
    let dir = section.text("dir").filter(|dir| !dir.is_empty()).or(of_environment);
    if let Some(name) = section.text("issuer").filter(|name| !name.is_empty()) {
        frontend.issuer = name;
    }
    let themes = [
        ("auto", Theme::Auto),
        ("light", Theme::Light),
        ("dark", Theme::Dark),
        // Dex's old names.
        ("coreos", Theme::Light),
        ("tectonic", Theme::Light),
    ];
    if let Some(text) = section.text("theme").filter(|text| !text.is_empty()) {
        match themes.iter().find(|(word, _)| *word == text) {
            Some((_, theme)) => frontend.theme = *theme,
            // A directory below `themes` of the custom files.
            None if dir.is_some() => {}
            None => {
                section
                    .error("theme", format!("found {text:?}, expected one of auto, light, dark"));
            }
        }
    }
    frontend.allow_remote_logos = section.flag("allowRemoteLogos").unwrap_or(false);
    frontend.logo_url = read_logo(&section, frontend.allow_remote_logos);
    if let Some(dir) = dir {
        let theme = section.text("theme").filter(|theme| !theme.is_empty());
        let theme = theme.unwrap_or_else(|| "light".to_owned());
        frontend.dir = frontend_dir::read(&section, Path::new(&dir), &theme);
    }
    drop_missing_logo(&section, &mut frontend);
    warn_of_extra(&section);
    section.finish();
    frontend
}

/// A relative `logoURL` is a file of `dir`, because nothing else is served below the issuer. Any other would be a
/// broken image on every page.
fn drop_missing_logo(section: &Section<'_>, frontend: &mut Frontend) {
    let Some(url) = frontend.logo_url.as_deref() else { return };
    let is_relative = !url.starts_with('/') && !url.contains("://");
    let file = url.strip_prefix("theme/").and_then(|name| frontend.dir.theme.find(name));
    if is_relative && file.is_none() {
        let reason = "is not shown: below the issuer only theme/logo.png and theme/favicon.png of frontend.dir are \
                      served";
        // Dex's own logo, which published files name, is not ours.
        if url != "theme/logo.png" {
            section.warning("logoURL", reason);
        }
        frontend.logo_url = None;
    }
}

/// `extra`: texts that Dex's templates may show.
fn warn_of_extra(section: &Section<'_>) {
    let Some(extra) = section.tolerated_section("extra") else { return };
    for (key, _) in extra.entries() {
        let reason = "has no effect here: it fills in Dex's templates, which are not used: see docs/pages.md";
        extra.warning(&key.text, reason);
    }
    extra.finish_open();
}

/// The logo at `logoURL`, with a warning when it would not be shown.
pub fn read_logo(section: &Section<'_>, allow_remote: bool) -> Option<String> {
    let url = section.text("logoURL").filter(|url| !url.is_empty())?;
    let lower = url.to_ascii_lowercase();
    let remote =
        lower.starts_with("http://") || lower.starts_with("https://") || lower.starts_with("//");
    if !remote && lower.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':')) {
        section.error("logoURL", "expected an http or https URL, or a path");
        return None;
    }
    if remote && !allow_remote {
        section.warning("logoURL", "is not shown without frontend.allowRemoteLogos");
    }
    Some(url)
}

pub fn read_logger(root: &Section<'_>) -> Logger {
    let mut logger = Logger { level: LogLevel::Info, format: None, exclude_fields: Vec::new() };
    let Some(section) = root.section("logger") else { return logger };
    let levels = [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    if let Some(text) = section.text("level").filter(|text| !text.is_empty()) {
        match levels.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
            Some((_, level)) => logger.level = *level,
            None => {
                let words = "debug, info, warn, error";
                section.error("level", format!("found {text:?}, expected one of {words}"));
            }
        }
    }
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    logger.format = section.choice("format", &formats);
    logger.exclude_fields = section.texts("excludeFields");
    section.finish();
    logger
}

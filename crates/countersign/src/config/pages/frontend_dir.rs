//! `frontend.dir`: a directory as in Dex, from which the theme's stylesheet, logo and favicon are served, and the
//! texts of the pages are read.
//!
//! Dex's pages are Go templates and cannot be rendered here; each one found causes a warning that names it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use countersign_config::{Section, Severity};
use countersign_jose::hash::sha256_hex;
use countersign_server::pages::{PageText, PageTexts, TextLink, ThemeFiles, texts};

/// Texts of one's own, and links, for the pages that users see.
const TEXTS_FILE: &str = "texts.yaml";
/// Larger files are refused, because they are kept in memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What the directory contains.
#[derive(Clone, Debug, Default)]
pub struct FrontendDir {
    pub theme: ThemeFiles,
    pub texts: PageTexts,
    /// The files that are used if they exist.
    pub files: Vec<DirFile>,
}

/// A file of the directory, for noticing that it has changed.
#[derive(Clone, Debug)]
pub struct DirFile {
    /// Its path within the directory.
    pub name: String,
    pub path: PathBuf,
    /// SHA-256 of the content; `None` if there is no such file.
    pub hash: Option<String>,
}

pub fn read(section: &Section<'_>, dir: &Path, theme: &str) -> FrontendDir {
    let mut found = FrontendDir::default();
    if theme.contains(['/', '\\']) || theme.starts_with('.') {
        section
            .error("theme", format!("found {theme:?}, expected the name of a folder below themes"));
        return found;
    }
    let is_there = dir.is_dir();
    if is_there {
        warn_of_templates(section, &dir.join("templates"));
    } else {
        // Dex's own image has this directory, and its configuration files are used with other images.
        let missing = dir.display().to_string();
        section.warning(
            "dir",
            format!("the folder {missing:?} does not exist: the pages look as without it"),
        );
    }
    // Also the files of a missing directory are kept, so that it is noticed when it appears.
    let mut file = |name: String| {
        let path = dir.join(&name);
        let bytes = is_there.then(|| read_file(section, &path)).flatten();
        found.files.push(DirFile { name, path, hash: bytes.as_deref().map(sha256_hex) });
        bytes
    };
    let theme_files = ThemeFiles {
        styles: file(format!("themes/{theme}/styles.css")),
        logo: file(format!("themes/{theme}/logo.png")),
        favicon: file(format!("themes/{theme}/favicon.png")),
    };
    let own_texts = file(TEXTS_FILE.to_owned());
    let is_empty = theme_files.styles.is_none()
        && theme_files.logo.is_none()
        && theme_files.favicon.is_none()
        && own_texts.is_none();
    found.theme = theme_files;
    if let Some(bytes) = own_texts {
        found.texts = read_texts(section, &dir.join(TEXTS_FILE), &bytes);
    }
    if is_there && is_empty {
        let what = "none of styles.css, logo.png and favicon.png";
        section
            .warning("dir", format!("has {what} in themes/{theme}: the pages look as without it"));
    }
    if dir.join("texts.yml").exists() {
        section.warning("dir", format!("texts.yml is not read: its name is {TEXTS_FILE}"));
    }
    found
}

/// `None` if there is no such file, or with a problem recorded.
fn read_file(section: &Section<'_>, path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Ok(read) if u64::try_from(read).is_ok_and(|read| read <= MAX_FILE_BYTES) => Some(bytes),
        Ok(_) => {
            section.error("dir", format!("{:?} is larger than 1 MiB", path.display()));
            None
        }
        Err(error) => {
            section.error("dir", format!("{:?} cannot be read: {error}", path.display()));
            None
        }
    }
}

fn warn_of_templates(section: &Section<'_>, folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "html"))
        .collect();
    names.sort();
    for name in names {
        let reason =
            "a Go template cannot be used here; see docs/pages.md for how to change that page";
        section.warning("dir", format!("templates/{name} is not used: {reason}"));
    }
}

/// Reads [`TEXTS_FILE`]. Its problems are recorded at `dir` of `frontend`, each with the file, the line and the key that
/// it is about.
fn read_texts(frontend: &Section<'_>, path: &Path, bytes: &[u8]) -> PageTexts {
    let Ok(text) = std::str::from_utf8(bytes) else {
        frontend.error("dir", format!("{}: is not UTF-8", path.display()));
        return PageTexts::default();
    };
    // A file in which every line is a comment has no root that could be read as a map.
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_comment) {
        return PageTexts::default();
    }
    let loaded =
        countersign_config::read(text, path, &|_| None, false, |root| Some(read_sections(root)));
    for problem in &loaded.problems {
        match problem.severity {
            Severity::Error => frontend.error("dir", loaded.line(problem)),
            Severity::Warning => frontend.warning("dir", loaded.line(problem)),
        }
    }
    loaded.config.unwrap_or_default()
}

fn read_sections(root: &Section<'_>) -> PageTexts {
    let mut own = PageTexts::default();
    for name in PageText::SECTIONS {
        let Some(section) = root.section(name) else { continue };
        for text in PageText::ALL {
            let (of, key) = text.path();
            if of == name
                && let Some(found) = section.text(key)
                && let Err(reason) = own.set(text, &found)
            {
                section.error(key, reason);
            }
        }
        match name {
            "help" => own.help_link = section.section("link").and_then(read_link),
            "footer" => own.footer_links = read_links(&section),
            _ => {}
        }
        section.finish();
    }
    own
}

fn read_links(footer: &Section<'_>) -> Vec<TextLink> {
    let links = footer.sections("links");
    if links.len() > texts::MOST_LINKS {
        let (found, most) = (links.len(), texts::MOST_LINKS);
        footer.error("links", format!("has {found} entries, at most {most} are shown"));
    }
    links.into_iter().filter_map(read_link).collect()
}

fn read_link(section: Section<'_>) -> Option<TextLink> {
    let checked = |key, check: fn(&str) -> Result<String, String>| {
        let checked = check(&section.required_text(key)?);
        checked.map_err(|reason| section.error(key, reason)).ok()
    };
    let (label, url) = (checked("text", TextLink::label), checked("url", TextLink::url));
    section.finish();
    Some(TextLink { label: label?, url: url? })
}

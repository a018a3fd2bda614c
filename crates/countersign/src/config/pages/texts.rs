//! `texts.yaml` in `frontend.dir`: texts of one's own, and links, for the pages that users see.

use std::path::Path;

use countersign_config::{Section, Severity};
use countersign_server::pages::{PageText, PageTexts, TextLink, texts};

pub const FILE_NAME: &str = "texts.yaml";

/// Reads the file. Its problems are recorded at `dir` of `frontend`, each with the file, the line and the key that it
/// is about.
pub fn read(frontend: &Section<'_>, path: &Path, bytes: &[u8]) -> PageTexts {
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

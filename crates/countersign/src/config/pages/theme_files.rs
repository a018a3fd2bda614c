//! `frontend.dir`: a directory as in Dex, from which the theme's stylesheet, logo and favicon are served.
//!
//! Dex's pages are Go templates and cannot be rendered here; each one found causes a warning that names it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use countersign_config::Section;
use countersign_server::pages::ThemeFiles;

/// Larger files are refused, because they are kept in memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

pub fn read(section: &Section<'_>, dir: &Path, theme: &str) -> ThemeFiles {
    if theme.contains(['/', '\\']) || theme.starts_with('.') {
        section
            .error("theme", format!("found {theme:?}, expected the name of a folder below themes"));
        return ThemeFiles::default();
    }
    if !dir.is_dir() {
        // Dex's own image has this directory, and its configuration files are used with other images.
        let found = dir.display().to_string();
        section.warning(
            "dir",
            format!("the folder {found:?} does not exist: the pages look as without it"),
        );
        return ThemeFiles::default();
    }
    warn_of_templates(section, &dir.join("templates"));
    let folder = dir.join("themes").join(theme);
    let file = |name| read_file(section, &folder.join(name));
    let files = ThemeFiles {
        styles: file("styles.css"),
        logo: file("logo.png"),
        favicon: file("favicon.png"),
    };
    if files.styles.is_none() && files.logo.is_none() && files.favicon.is_none() {
        let what = "none of styles.css, logo.png and favicon.png";
        section
            .warning("dir", format!("has {what} in themes/{theme}: the pages look as without it"));
    }
    files
}

fn read_file(section: &Section<'_>, path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    match file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes) {
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
        let reason = "a Go template cannot be used here; see docs/moving-from-dex.md for how to change that page";
        section.warning("dir", format!("templates/{name} is not used: {reason}"));
    }
}

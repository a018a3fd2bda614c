//! Makes cargo build this crate again when a file in `templates/custom` is added, changed or removed. A file there that
//! replaces no template, such as one with a misspelt name, is an error.

use std::fs;
use std::path::{Path, PathBuf};

const TEMPLATES: &str = "../../templates";
const CUSTOM: &str = "../../templates/custom";

fn main() {
    println!("cargo::rerun-if-changed={CUSTOM}");
    for file in files_below(Path::new(CUSTOM)) {
        let Ok(name) = file.strip_prefix(CUSTOM) else { continue };
        if name != Path::new("README.md") && !Path::new(TEMPLATES).join(name).is_file() {
            let name = name.display();
            println!(
                "cargo::error=templates/custom/{name} replaces no template: see docs/pages.md"
            );
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

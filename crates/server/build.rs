//! Makes cargo build this crate again when a file in `templates/custom` is added, changed or removed. A file there that
//! replaces no template, such as one with a misspelt name, is an error.
//!
//! Writes the stylesheets of `templates/static`, minified, to `OUT_DIR`, where `pages::assets` includes them.

#[path = "src/pages/minify_css.rs"]
mod minify_css;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const TEMPLATES: &str = "../../templates";
const CUSTOM: &str = "../../templates/custom";
const STATIC: &str = "../../templates/static";
const STYLESHEETS: [&str; 3] = ["countersign.css", "admin.css", "example-app.css"];

fn main() -> io::Result<()> {
    check_custom_templates();
    minify_stylesheets()
}

fn check_custom_templates() {
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

#[expect(clippy::disallowed_methods, reason = "cargo names the folder in the environment")]
fn minify_stylesheets() -> io::Result<()> {
    let out_dir = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    for name in STYLESHEETS {
        let source = Path::new(STATIC).join(name);
        println!("cargo::rerun-if-changed={}", source.display());
        let minified = minify_css::minify(&fs::read_to_string(&source)?);
        fs::write(Path::new(&out_dir).join(name), minified)?;
    }
    Ok(())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

//! Rules about the source text: file lengths, modules that import each other, words that are not used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod words;

/// Lines of one file, its unit tests included.
const MAX_LINES: usize = 400;

#[test]
fn no_file_is_longer_than_the_limit() {
    let mut long = Vec::new();
    for folder in ["crates", "tests"] {
        for (path, text) in rust_files(&root().join(folder)) {
            let lines = text.lines().count();
            if lines > MAX_LINES {
                long.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn no_two_modules_of_a_crate_import_each_other() {
    let mut circles = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap().map(Result::unwrap) {
        let modules = modules(&entry.path().join("src"));
        let imports: BTreeMap<_, _> =
            modules.iter().map(|(name, text)| (name, imports(name, text, &modules))).collect();
        for (name, imported) in &imports {
            for other in imported.iter().filter(|other| name < other) {
                if imports.get(other).is_some_and(|back| back.contains(*name)) {
                    let crate_name = entry.file_name();
                    circles.push(format!(
                        "{crate_name:?}: {} and {}",
                        name.join("::"),
                        other.join("::")
                    ));
                }
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// A file that is read by other means than `FilesRead` would not cause a reload when it changes.
#[test]
fn readers_of_the_configuration_read_files_by_the_type_that_registers_them() {
    let folders = ["crates/countersign/src/config", "crates/connectors/src"];
    let mut others = Vec::new();
    for (path, text) in folders.iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let text = without_comments(&text).replace("tokio::fs::", "");
        let is_test = path.iter().any(|part| part == "tests" || part == "tests.rs");
        // The files of this directory are registered as files that need not exist.
        let is_exempt = is_test || path.ends_with("pages/frontend_dir.rs");
        if !is_exempt && ["fs::", "std::fs", "File::open"].iter().any(|word| text.contains(word)) {
            others.push(path);
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

type ModulePath = Vec<String>;

/// The modules under `src`, by path; the crate's root is left out, because everything hangs from it.
fn modules(src: &Path) -> BTreeMap<ModulePath, String> {
    let mut modules = BTreeMap::new();
    for (path, text) in rust_files(src) {
        let relative = path.strip_prefix(src).unwrap().with_extension("");
        let name: ModulePath =
            relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if !matches!(name.as_slice(), [root] if root == "lib" || root == "main") {
            modules.insert(name, without_comments(&text));
        }
    }
    modules
}

fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules that `text`, the module `name`, names by `crate::` or `super::`, except the modules that
/// contain it and those it contains.
fn imports(
    name: &ModulePath,
    text: &str,
    modules: &BTreeMap<ModulePath, String>,
) -> BTreeSet<ModulePath> {
    let mut imported = BTreeSet::new();
    for path in absolute_paths(name, text) {
        let module = (1..=path.len()).rev().map(|n| &path[..n]).find(|p| modules.contains_key(*p));
        if let Some(module) = module
            && !module.starts_with(name)
            && !name.starts_with(module)
        {
            imported.insert(module.to_vec());
        }
    }
    imported
}

/// Every path in `text` that begins with `crate` or `super`, from the crate's root; a group
/// `crate::a::{b, c::d}` gives one path for each member.
fn absolute_paths(name: &ModulePath, text: &str) -> Vec<ModulePath> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some((start, word)) =
        ["crate::", "super::"].iter().filter_map(|w| rest.find(w).map(|at| (at, *w))).min()
    {
        let is_whole_word = !rest[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let mut base = if word == "crate::" { Vec::new() } else { name.clone() };
        rest = &rest[start..];
        if rest.starts_with("crate::") {
            rest = &rest["crate::".len()..];
        }
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        if is_whole_word {
            let prefix = leading_path(rest);
            let after = &rest[prefix.len()..];
            let mut prefix_parts = base;
            prefix_parts.extend(parts(prefix));
            if let Some(group) = after.strip_prefix('{') {
                for member in group_members(group) {
                    let mut path = prefix_parts.clone();
                    path.extend(parts(leading_path(member.trim_start())));
                    paths.push(path);
                }
            } else {
                paths.push(prefix_parts);
            }
        }
    }
    paths
}

fn leading_path(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    &text[..end.unwrap_or(text.len())]
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    path.split("::").filter(|part| !part.is_empty()).map(str::to_owned)
}

/// The members of a `{a, b::{c, d}}` whose opening brace was read, at its outermost level.
fn group_members(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut members) = (1, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            members.push(&group[begin..at]);
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    members
}

fn rust_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            // Files that a program has generated are not checked.
            let is_ours = !path.ends_with("target") && !path.ends_with("generated");
            if path.is_dir() && is_ours {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn the_reader_of_imports_finds_what_it_should() {
    let name = vec!["a".to_owned(), "b".to_owned()];
    let text = "use crate::x::{y, z::W};\nuse super::c::D;\nlet _ = crate::q::run();";
    let found: Vec<_> =
        absolute_paths(&name, text).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["x::y", "x::z::W", "a::c::D", "q::run"]);
}

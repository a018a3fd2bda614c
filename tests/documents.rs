//! Checks the repository's documents: links lead to files, and the journeys of ARCHITECTURE.md stay short.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The targets of all relative links, without fragments.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://")).collect()
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut documents = vec![root().join("tests/README.md")];
    for folder in [root(), root().join("docs")] {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(files.filter(|file| file.extension().is_some_and(|e| e == "md")));
    }
    let mut broken = Vec::new();
    for document in &documents {
        let folder = document.parent().unwrap();
        for target in links(&std::fs::read_to_string(document).unwrap()) {
            if !folder.join(target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(documents.len() > 6, "{documents:?}");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Issue 8: a login is read in at most 20 files, a refresh and ending a group's sessions in at most 12.
#[test]
fn the_journeys_are_short() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let journeys: Vec<_> = page.split("\n## ").filter(|part| part.starts_with("Journey")).collect();
    assert_eq!(journeys.len(), 4);
    for (journey, most) in journeys.iter().zip([20, 12, 12, 12]) {
        let files = links(journey);
        assert!((5..=most).contains(&files.len()), "{} files: {journey}", files.len());
    }
}

/// docs/pages.md lists each template with the variables of its struct.
#[test]
fn the_variables_of_every_template_are_documented() {
    let document = std::fs::read_to_string(root().join("docs/pages.md")).unwrap();
    let mut documented = BTreeMap::new();
    for row in document.lines().filter(|line| line.starts_with("| `pages/")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let template = cells[0].trim_start_matches("| ").trim_matches('`');
        let variables = cells[2].split(' ').map(|name| name.trim_matches('`').to_owned()).collect();
        let repeated = documented.insert(template.to_owned(), variables);
        assert_eq!(repeated, None::<Vec<String>>, "{template} is there twice");
    }
    let mut structs = BTreeMap::new();
    templates_of(&root().join("crates/server/src"), &mut structs);
    assert!(structs.len() > 30, "{structs:?}");
    assert_eq!(documented, structs);
}

/// The templates named below a folder, with the fields of the struct that each renders; tests are left out.
fn templates_of(folder: &Path, into: &mut BTreeMap<String, Vec<String>>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("tests") {
            templates_of(&path, into);
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("#[template(path = \"").skip(1) {
            let (template, rest) = part.split_once('"').unwrap();
            let (_, body) = rest.split_once("{\n").unwrap();
            let (body, _) = body.split_once("\n}").unwrap();
            // Fields are the lines `name: Type` at the first level of indentation.
            let fields = body.lines().filter_map(|line| {
                let line =
                    line.strip_prefix("    ").filter(|line| !line.starts_with([' ', '/', '#']))?;
                let (declared, _) = line.split_once(": ")?;
                declared.split(' ').next_back().map(str::to_owned)
            });
            into.insert(template.to_owned(), fields.collect());
        }
    }
}

//! Checks the repository's documents: links lead to files, and the journeys of ARCHITECTURE.md stay short.

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

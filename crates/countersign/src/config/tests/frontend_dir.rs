//! `texts.yaml` of `frontend.dir`: its documented keys, and its errors.

use std::collections::BTreeSet;
use std::path::Path;

use countersign_config::{Node, Value, parse_yaml};
use countersign_core::Secret;
use countersign_server::pages::PageText;
use countersign_server::pages::messages::ENGLISH;
use tempfile::TempDir;

use super::example::paths;
use super::{Config, Loaded, lines, load, with};
use crate::config::blocks::{Difference, differences};

/// A configuration with a directory that has this file.
fn with_texts(text: &str) -> (TempDir, Loaded) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("texts.yaml"), text).unwrap();
    let loaded = load(&with(&format!("frontend: {{dir: {}}}", dir.path().display())));
    (dir, loaded)
}

/// The problems, with `DIR` for the directory.
fn problems_of(text: &str) -> Vec<String> {
    let (dir, loaded) = with_texts(text);
    let dir = dir.path().to_str().unwrap();
    lines(&loaded).iter().map(|line| line.replace(dir, "DIR")).collect()
}

/// The file as docs/pages.md shows it.
fn documented() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pages.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, section) = text.split_once("\n## Texts\n").unwrap();
    let (_, block) = section.split_once("```yaml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn value<'a>(node: &'a Node, key: &str) -> &'a Node {
    let Value::Map(entries) = &node.value else { panic!("{key}: not in a map") };
    entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node).expect(key)
}

#[test]
fn the_documentation_has_every_key_with_its_default() {
    let text = documented();
    let root = parse_yaml(&text).unwrap();
    for page_text in PageText::ALL {
        let (section, key) = page_text.path();
        let node = value(value(&root, section), key);
        let Value::Scalar { text: shown, .. } = &node.value else { panic!("{section}.{key}") };
        let default = page_text.default_text(&ENGLISH);
        if default.is_empty() {
            // The value is an example; the comment above it has the default.
            let above = text.lines().nth(node.mark.line - 2).unwrap();
            assert!(above.contains("Default: "), "{section}.{key}: {above}");
            continue;
        }
        let placeholder = page_text.placeholder().unwrap_or_default();
        assert_eq!(*shown, default.replace("{}", &format!("{{{placeholder}}}")), "{section}.{key}");
    }
    let mut named = BTreeSet::new();
    paths(&root, "", &mut named);
    let keys = PageText::ALL.map(PageText::path).map(|(section, key)| format!("{section}.{key}"));
    let links = [
        "help.link",
        "help.link.text",
        "help.link.url",
        "footer.links",
        "footer.links[].text",
        "footer.links[].url",
    ];
    let known = PageText::SECTIONS.into_iter().chain(links).map(str::to_owned).chain(keys);
    assert_eq!(named, known.collect::<BTreeSet<String>>());
    assert_eq!(problems_of(&text), [""; 0]);
}

#[test]
fn errors_name_file_line_and_key() {
    for (text, expected) in [
        ("signIn:\n  titel: Hello", "2:3: signIn.titel: is not a known key, did you mean title?"),
        ("sign: {}", "1:1: sign: is not a known key"),
        ("signIn: {title: Hello}", "1:17: signIn.title: must contain {application} once"),
        ("signIn: Hello", "1:9: signIn: found a plain value, expected a map"),
        (
            "password:\n  label: 42",
            "2:10: password.label: found 42, expected text: put it in quotes",
        ),
        ("password: {label: a, label: b}", "1:22: password.label: is given twice"),
        ("help: {link: {text: Help}}", "1:14: help.link.url: is missing"),
        (
            "footer: {links: [{text: Imprint, url: imprint.html}]}",
            "1:39: footer.links[0].url: expected an http, https, mailto or tel URL, or a path",
        ),
        ("- signIn", "1:1: found a list, expected a map"),
    ] {
        let found = problems_of(text);
        assert_eq!(found, [format!("2:17: frontend.dir: DIR/texts.yaml:{expected}")], "{text}");
    }
    let links = "{text: a, url: /a}, ".repeat(7);
    let found = problems_of(&format!("footer: {{links: [{links}]}}"));
    assert!(found[0].ends_with("footer.links: has 7 entries, at most 6 are shown"), "{found:?}");
    let found = problems_of("signIn: [");
    assert!(found[0].starts_with("2:17: frontend.dir: DIR/texts.yaml:"), "{found:?}");
}

#[test]
fn the_texts_are_read_and_a_file_of_comments_has_none() {
    let (_dir, loaded) = with_texts("help:\n  text: Call 4711\n  link: {text: Help, url: /help}\n");
    assert_eq!(lines(&loaded), [""; 0], "no theme is needed beside the texts");
    let texts = loaded.config.unwrap().frontend.dir.texts;
    assert_eq!(texts.get(PageText::HelpText, &ENGLISH), "Call 4711");
    assert_eq!(texts.help_link.map(|link| link.url).as_deref(), Some("/help"));
    for text in ["", "# help:\n\n  # text: Call 4711\n", "help:\n  #text: Call 4711\n"] {
        assert_eq!(problems_of(text), [""; 0], "{text}");
    }
}

/// A reload plan names the file, and the file is watched, whether it exists or not.
#[test]
fn a_changed_text_is_a_difference_between_two_configurations() {
    let hmacs = |config: &Config| config.blocks.hmacs(&Secret::new("a key"));
    let (dir, loaded) = with_texts("help: {text: Call 4711}");
    let before = loaded.config.unwrap();
    let file = dir.path().join("texts.yaml");
    assert!(before.blocks.optional_files.contains(&file), "{:?}", before.blocks.optional_files);
    std::fs::write(&file, "help: {text: Call 4712}").unwrap();
    let text = with(&format!("frontend: {{dir: {}}}", dir.path().display()));
    let after = load(&text).config.unwrap();
    let changed = Difference::Changed("frontend.dir/texts.yaml".to_owned());
    assert_eq!(differences(&hmacs(&before), &hmacs(&after)), [changed]);
    std::fs::remove_file(&file).unwrap();
    let gone = load(&text).config.unwrap();
    let removed = Difference::Removed("frontend.dir/texts.yaml".to_owned());
    assert_eq!(differences(&hmacs(&after), &hmacs(&gone)), [removed]);
    assert!(gone.blocks.optional_files.contains(&file));
}

#[test]
fn a_file_that_is_not_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = with(&format!("frontend: {{dir: {}}}", dir.path().display()));
    std::fs::write(dir.path().join("texts.yml"), "help: {text: Call 4711}").unwrap();
    let found = lines(&load(&text));
    assert!(found.iter().any(|line| line.contains("texts.yml is not read")), "{found:?}");
    std::fs::write(dir.path().join("texts.yaml"), [0xff, 0xfe]).unwrap();
    let found = lines(&load(&text));
    assert!(found.iter().any(|line| line.contains("texts.yaml: is not UTF-8")), "{found:?}");
    std::fs::remove_file(dir.path().join("texts.yaml")).unwrap();
    std::fs::create_dir(dir.path().join("texts.yaml")).unwrap();
    let found = lines(&load(&text));
    assert!(found.iter().any(|line| line.contains("texts.yaml\" cannot be read")), "{found:?}");
}

//! Templates of one's own (docs/pages.md): askama's configuration of the build, with the folder of this test in place
//! of `templates/custom`. The structs below are compiled with it.

use std::path::{Path, PathBuf};

use askama::Template;

use super::super::*;

const CONFIG: &str = include_str!("own_templates/askama.toml");
const CONFIG_OF_THE_BUILD: &str = include_str!("../../../askama.toml");

/// A page whose template is replaced; it extends our layout.
#[derive(Template)]
#[template(path = "pages/out_of_band.html", config = "src/pages/tests/own_templates/askama.toml")]
struct ReplacedPage<'a> {
    layout: &'a Layout,
    client_name: Name,
    code: &'a str,
}

impl ReplacedPage<'_> {
    fn title(&self) -> String {
        format!("Code for {}", self.client_name)
    }
}

/// A page whose own template is ours, and a part of which is replaced.
#[derive(Template)]
#[template(
    path = "pages/home_signed_out.html",
    config = "src/pages/tests/own_templates/askama.toml"
)]
struct PageWithReplacedPart<'a> {
    layout: &'a Layout,
    sign_in: &'a str,
    flash: Option<EndFlash>,
    discovery: &'a str,
}

impl PageWithReplacedPart<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.home.signed_out_heading
    }
}

#[test]
fn the_first_folder_of_the_build_is_that_for_templates_of_ones_own() {
    let with_test_folder = CONFIG_OF_THE_BUILD
        .replace("\"../../templates/custom\"", "\"src/pages/tests/own_templates\"");
    assert_eq!(CONFIG, with_test_folder);
    assert_ne!(CONFIG, CONFIG_OF_THE_BUILD);
}

#[test]
fn a_template_of_ones_own_replaces_ours() {
    let layout = Layout::new("/dex", "Example Inc");
    let page = ReplacedPage { layout: &layout, client_name: "<Grafana>".into(), code: "c0de" };
    let html = askama::Template::render(&page).unwrap();
    assert!(html.contains("<h1>Give c0de to &#60;Grafana&#62;</h1>"), "{html}");
    assert!(html.contains("<title>Code for &#60;Grafana&#62; · Example Inc</title>"), "{html}");
    assert!(!html.contains("Copy this code"), "{html}");
}

#[test]
fn a_part_of_ones_own_replaces_ours_in_our_pages() {
    let mut layout = Layout::new("/dex", "Example Inc");
    layout.texts.set(PageText::HelpText, "Call 4711.").unwrap();
    let page =
        PageWithReplacedPart { layout: &layout, sign_in: "/in", flash: None, discovery: "/d" };
    let html = askama::Template::render(&page).unwrap();
    assert!(html.contains("<p id=\"own-part\">Call 4711.</p>"), "{html}");
    assert!(html.contains("You are not signed in"), "{html}");
}

/// askama looks for a template beside the file that names it before it looks in the folders of its configuration: such
/// a template could not be replaced.
#[test]
fn no_template_is_found_beside_the_one_that_names_it() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let files: Vec<PathBuf> = ["pages", "parts"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(templates.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() > 50, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for tag in ["{% include \"", "{% extends \""] {
            for name in text.split(tag).skip(1).filter_map(|rest| rest.split('"').next()) {
                let (file_name, exists) = (file.display(), templates.join(name).is_file());
                assert!(exists && name.starts_with("parts/"), "{file_name} names {name}");
                assert!(!file.with_file_name(name).exists(), "{file_name} names {name}");
            }
        }
    }
}

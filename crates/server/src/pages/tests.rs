//! Properties of every page, with ordinary and with hostile data.
//!
//! `COUNTERSIGN_PREVIEW=/tmp/preview cargo test -p countersign-server pages` also writes the pages there for viewing.

mod admin;
mod admin_more;
mod own;
mod own_templates;
mod samples;
mod support;
mod texts;

use samples::pages;
use support::{HOSTILE, Tag, World, decode, inner, tags};

use super::assets;

const LARGEST_PAGE: usize = 30 * 1024;

fn all() -> Vec<(String, String)> {
    let everyday = pages(&World::everyday());
    let hostile =
        pages(&World::hostile()).into_iter().map(|(name, html)| (format!("hostile-{name}"), html));
    everyday.into_iter().chain(hostile).collect()
}

fn page(wanted: &str) -> String {
    all().into_iter().find(|(name, _)| name == wanted).map(|(_, html)| html).unwrap_or_default()
}

/// Every tag of every page, with the page's name.
fn all_tags() -> Vec<(String, Tag)> {
    all()
        .into_iter()
        .flat_map(|(page, html)| tags(&html).into_iter().map(move |tag| (page.clone(), tag)))
        .collect()
}

#[test]
fn names_of_strangers_make_no_markup() {
    let ours = "html head meta title link body div svg pattern path rect header main img p bdi span h1 h2 ul li a b \
                small form input label button details summary dl dt dd time code script nav footer table caption thead tbody tr th td select \
                option ol br wbr";
    for (page, tag) in all_tags() {
        assert!(ours.split(' ').any(|name| name == tag.name), "{page}: <{}>", tag.name);
        assert!(!tag.has("src", "x"), "{page}: an injected <{}>", tag.name);
    }
}

#[test]
fn names_of_strangers_are_shown_as_they_are_but_cannot_turn_the_text() {
    let html = page("hostile-choose");
    let heading = decode(&inner(&html, "h1").replace("<bdi>", "").replace("</bdi>", ""));
    assert!(
        heading.starts_with("Sign in to <img src=x onerror=alert(1)>\"'&txt.exe{{7*7}}"),
        "{heading}"
    );
    assert!(!html.contains(['\u{202e}', '\u{202c}']));
}

#[test]
fn no_inline_code_or_style_anywhere() {
    for (page, tag) in all_tags() {
        for (name, _) in &tag.attributes {
            assert!(!name.starts_with("on") && name != "style", "{page}: <{} {name}>", tag.name);
        }
        assert_ne!(tag.name, "style", "{page}");
        assert!(tag.name != "script" || tag.get("src").is_some(), "{page}: inline script");
    }
    for (page, html) in all() {
        assert_eq!(inner(&html, "script").trim(), "", "{page}");
    }
}

#[test]
fn no_third_party_resource_is_loaded_and_no_link_runs_code() {
    for (page, tag) in all_tags() {
        if let Some(src) = tag.get("src") {
            assert!(src.starts_with("/dex/static/"), "{page}: {src}");
        }
        if tag.name == "link" {
            assert!(tag.get("href").is_some_and(|to| to.starts_with("/dex/static/")), "{page}");
        }
        for to in ["href", "action"].iter().filter_map(|name| tag.get(name)) {
            let is_web = to.starts_with('/') || to.starts_with("https://");
            assert!(to.starts_with('#') || is_web, "{page}: {to}");
        }
    }
}

#[test]
fn every_page_has_one_heading_a_language_and_a_title_of_its_own() {
    for (page, html) in all() {
        let found = tags(&html);
        for once in ["h1", "main", "header", "title"] {
            assert_eq!(found.iter().filter(|tag| tag.name == once).count(), 1, "{page}: <{once}>");
        }
        assert!(
            found.first().is_some_and(|tag| tag.has("lang", "en") && tag.has("dir", "ltr")),
            "{page}"
        );
        assert!(html.starts_with("<!DOCTYPE html>"), "{page}");
    }
    for (name, title) in [
        ("choose", "Sign in to Grafana · Example Inc"),
        ("password", "Sign in to Grafana · Example Inc"),
        ("password-wrong", "Error: Sign in to Grafana · Example Inc"),
        ("approval", "Continue to Grafana? · Example Inc"),
        ("error-LoginExpired", "Please start again · Example Inc"),
        ("home", "You are signed in · Example Inc"),
        ("logout", "Sign out? · Example Inc"),
        ("out-of-band", "Code for Grafana · Example Inc"),
    ] {
        assert_eq!(inner(&page(name), "title"), title, "{name}");
    }
}

#[test]
fn every_field_has_a_label_and_every_reference_leads_somewhere() {
    for (page, html) in all() {
        let found = tags(&html);
        let ids: Vec<&str> = found.iter().filter_map(|tag| tag.get("id")).collect();
        let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{page}: an id is there twice: {ids:?}");
        let labelled: Vec<&str> = found.iter().filter_map(|tag| tag.get("for")).collect();
        for field in found.iter().filter(|tag| {
            ["input", "select"].contains(&tag.name.as_str()) && !tag.has("type", "hidden")
        }) {
            assert!(
                field.get("id").is_some_and(|id| labelled.contains(&id)),
                "{page}: a field without a label"
            );
        }
        let skips = found.iter().filter_map(|tag| tag.get("href")?.strip_prefix('#'));
        for target in skips.filter(|target| !target.is_empty()) {
            assert!(ids.contains(&target), "{page}: the link #{target} leads nowhere");
        }
        for name in ["for", "aria-describedby", "aria-labelledby"] {
            for id in found.iter().filter_map(|tag| tag.get(name)) {
                assert!(ids.contains(&id), "{page}: {name}={id}");
            }
        }
        for image in found.iter().filter(|tag| tag.name == "img") {
            assert!(image.get("alt").is_some(), "{page}: an image without alt");
        }
    }
}

#[test]
fn stable_names_of_the_password_page() {
    let found = tags(&page("password-wrong"));
    let field = |name: &str| found.iter().find(|tag| tag.name == "input" && tag.has("name", name));
    assert!(
        field("req").is_some_and(
            |tag| tag.has("type", "hidden") && tag.has("value", &World::everyday().req)
        )
    );
    assert!(
        field("login")
            .is_some_and(|tag| tag.has("autocomplete", "username") && tag.has("value", "jane"))
    );
    let password = field("password");
    assert!(password.is_some_and(
        |tag| tag.has("type", "password") && tag.has("autocomplete", "current-password")
    ));
    assert!(
        password.is_some_and(|tag| tag.get("value").is_none() && tag.get("autofocus").is_some())
    );
    assert!(password.is_some_and(|tag| tag.has("aria-describedby", "login-error")));
    assert!(found.iter().any(|tag| tag.has("id", "login-error") && tag.has("role", "alert")));
    assert!(found.iter().any(|tag| tag.name == "button" && tag.has("id", "submit-login")));
    assert!(found.iter().any(|tag| tag.name == "form" && tag.has("method", "post")));
}

#[test]
fn the_login_comes_back_as_typed_and_only_if_a_person_may_have_typed_it() {
    let login = |html: &str| {
        tags(html)
            .iter()
            .find(|tag| tag.has("name", "login"))
            .and_then(|tag| tag.get("value").map(str::to_owned))
    };
    assert_eq!(login(&page("hostile-password-wrong")).as_deref(), Some(HOSTILE));
    let endless = World { text: "a".repeat(10_000), ..World::everyday() };
    let html = pages(&endless)
        .into_iter()
        .find(|(name, _)| name == "password-wrong")
        .map(|(_, html)| html);
    assert_eq!(html.as_deref().and_then(login).as_deref(), Some(""));
}

#[test]
fn stable_names_of_the_other_forms() {
    let approval = tags(&page("approval"));
    for value in ["approve", "rejected", "switch"] {
        let button = |tag: &Tag| {
            tag.name == "button" && tag.has("name", "approval") && tag.has("value", value)
        };
        assert!(approval.iter().any(button), "{value}");
    }
    assert!(approval.iter().any(|tag| tag.has("name", "req")));
    for name in ["home", "logout"] {
        let found = tags(&page(name));
        assert!(
            found.iter().any(|tag| tag.has("name", "csrf") && tag.has("type", "hidden")),
            "{name}"
        );
        assert!(
            found.iter().any(|tag| tag.name == "form" && tag.has("action", "/dex/logout")),
            "{name}"
        );
    }
    assert!(
        tags(&page("choose")).iter().any(|tag| tag.name == "a" && tag.has("id", "connector-ldap"))
    );
    let form_post = tags(&page("hostile-form-post"));
    assert!(form_post.iter().any(|tag| tag.has("name", "state") && tag.has("value", HOSTILE)));
    assert!(form_post.iter().any(|tag| tag.name == "form" && tag.has("id", "form-post")));
    assert!(form_post.iter().any(|tag| tag.name == "button"), "it works without the script");
    assert!(
        String::from_utf8_lossy(assets::FORM_POST_SCRIPT.bytes)
            .contains("getElementById(\"form-post\")")
    );
    assert!(page("error-Internal").contains("7f3k-92qx-mw4c"));
}

#[test]
fn a_page_is_small() {
    let css = assets::STYLESHEET.bytes.len();
    assert!(css < 10 * 1024, "stylesheet: {css}");
    // Both style sheets are separate files that a browser requests once and keeps for a year (`static_files::get`).
    // A list of 25 rows is bounded without them, every other page with them.
    let admin = assets::ADMIN_STYLESHEET;
    assert!(admin.bytes.len() < 8 * 1024, "administrator's style sheet: {}", admin.bytes.len());
    for (name, html) in all() {
        let styles = if html.contains(&admin.url("/dex")) { 0 } else { css };
        assert!(html.len() + styles < LARGEST_PAGE, "{name}: {}", html.len());
    }
}

#[test]
fn only_the_versioned_names_of_our_files_are_found() {
    for asset in assets::ALL {
        assert_eq!(assets::find(&asset.file_name()).map(|found| found.bytes), Some(asset.bytes));
        // There is no sample of the example application; its system test loads this file.
        if asset.file_name().starts_with("example-app.") {
            continue;
        }
        let used = |(_, html): &(String, String)| html.contains(&asset.url("/dex"));
        assert!(all().iter().any(used), "{}", asset.file_name());
    }
    for other in ["countersign.css", "", "../mark.svg", "countersign.00000000.css"] {
        assert!(assets::find(other).is_none(), "{other}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a folder to write the pages to, for people")]
#[test]
fn preview() -> std::io::Result<()> {
    let Ok(folder) = std::env::var("COUNTERSIGN_PREVIEW") else { return Ok(()) };
    let folder = std::path::Path::new(&folder);
    std::fs::create_dir_all(folder.join("dex/static"))?;
    for asset in assets::ALL {
        std::fs::write(folder.join("dex/static").join(asset.file_name()), asset.bytes)?;
    }
    for (name, html) in all() {
        std::fs::write(folder.join(format!("{name}.html")), html)?;
    }
    Ok(())
}

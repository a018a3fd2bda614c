//! Texts of one's own: where they appear, and what is refused.

use std::collections::BTreeSet;

use super::super::messages::ENGLISH;
use super::super::texts::MOST_LINKS;
use super::super::*;
use super::samples::pages;
use super::support::{World, decode, inner, tags};

/// Larger than a page without texts of one's own, the stylesheet included.
const LARGEST_PAGE: usize = 40 * 1024;

/// The pages with these texts.
fn with(change: impl FnOnce(&mut PageTexts)) -> Vec<(String, String)> {
    let mut world = World::everyday();
    change(&mut world.layout.texts);
    pages(&world)
}

fn find<'a>(pages: &'a [(String, String)], name: &str) -> &'a str {
    pages.iter().find(|(found, _)| found == name).map(|(_, html)| html.as_str()).unwrap()
}

/// The placeholder of a text, in its braces.
fn placeholder(text: PageText) -> String {
    text.placeholder().map(|name| format!("{{{name}}}")).unwrap_or_default()
}

fn link(label: &str, url: &str) -> TextLink {
    TextLink { label: TextLink::label(label).unwrap(), url: TextLink::url(url).unwrap() }
}

#[test]
fn each_text_is_shown_and_its_markup_is_text() {
    for text in PageText::ALL {
        let own = format!("<img src=x> & \"{text:?}\" {}", placeholder(text));
        let pages = with(|texts| texts.set(text, &own).unwrap());
        let shown = |html: &str| decode(html).contains(&format!("<img src=x> & \"{text:?}\""));
        let on: Vec<&str> =
            pages.iter().filter(|(_, html)| shown(html)).map(|(name, _)| name.as_str()).collect();
        assert!(!on.is_empty(), "{text:?} is on no page");
        assert!(on.iter().all(|page| !page.starts_with("admin")), "{text:?}: {on:?}");
        for (page, html) in &pages {
            assert!(tags(html).iter().all(|tag| !tag.has("src", "x")), "{text:?} on {page}");
        }
    }
}

#[test]
fn a_placeholder_is_replaced_in_heading_and_title() {
    let pages = with(|texts| {
        texts.set(PageText::SignInTitle, "Welcome! {application} awaits you").unwrap();
        texts.set(PageText::PasswordLocalAccount, "The {service} account").unwrap();
    });
    let page = find(&pages, "password");
    assert_eq!(inner(page, "title"), "Welcome! Grafana awaits you · Example Inc");
    assert_eq!(inner(page, "h1"), "Welcome! <bdi>Grafana</bdi> awaits you");
    assert!(page.contains("The <bdi>Example Inc</bdi> account"), "{page}");
}

#[test]
fn help_is_where_people_sign_in_and_a_contact_on_every_error_page() {
    let help = |texts: &mut PageTexts| {
        texts.set(PageText::HelpText, "Cannot sign in?").unwrap();
        texts.help_link = Some(link("Service desk", "mailto:help@example.com"));
    };
    let pages = with(help);
    for (page, html) in &pages {
        let is_error = page.starts_with("error-");
        let expected = is_error
            || ["choose", "password", "approval"].iter().any(|start| page.starts_with(start))
            || ["device", "device-wrong", "device-wait", "home-signed-out"]
                .contains(&page.as_str());
        let shown = html.contains("Cannot sign in?")
            && tags(html).iter().any(|tag| tag.has("href", "mailto:help@example.com"));
        assert_eq!(shown, expected, "{page}");
    }
    let pages = with(|texts| {
        help(texts);
        texts.set(PageText::ErrorContact, "Call 4711.").unwrap();
    });
    let page = find(&pages, "error-NotAllowed");
    assert!(page.contains("Call 4711.") && !page.contains("Cannot sign in?"), "{page}");
}

#[test]
fn the_footer_is_below_every_page_for_users() {
    let pages = with(|texts| {
        texts.footer_links =
            vec![link("Privacy", "https://www.example.com/privacy"), link("Imprint", "/imprint")];
    });
    for (page, html) in &pages {
        let found = tags(html);
        let linked = ["https://www.example.com/privacy", "/imprint"]
            .map(|url| found.iter().any(|tag| tag.has("href", url)));
        assert_eq!(linked, [!page.starts_with("admin"); 2], "{page}");
    }
}

/// Without the file nothing is added to a page.
#[test]
fn without_the_file_the_pages_have_no_footer_and_no_help() {
    for (page, html) in pages(&World::everyday()) {
        let found = tags(&html);
        assert!(found.iter().all(|tag| tag.name != "footer" && !tag.has("id", "help")), "{page}");
        assert!(!html.contains("class=\"introduction\""), "{page}");
    }
}

/// Whatever is replaced, the warning that a code from somebody else is an attack stays.
#[test]
fn warnings_cannot_be_replaced() {
    let pages = with(|texts| {
        for text in PageText::ALL {
            texts.set(text, &format!("Nothing {}", placeholder(text))).unwrap();
        }
    });
    assert!(find(&pages, "device").contains(ENGLISH.device.careful));
    assert!(find(&pages, "device-confirm").contains(ENGLISH.device.otherwise));
    assert!(find(&pages, "approval-device").contains(ENGLISH.device.only_yours));
    assert!(find(&pages, "out-of-band").contains(ENGLISH.out_of_band.careful));
}

#[test]
fn the_longest_texts_fit_on_a_page() {
    let pages = with(|texts| {
        for text in PageText::ALL {
            let placeholder = placeholder(text);
            let room = text.longest() - placeholder.chars().count();
            texts.set(text, &format!("{}{placeholder}", "<".repeat(room))).unwrap();
        }
        texts.footer_links = vec![link(&"\"".repeat(80), "https://www.example.com/"); MOST_LINKS];
        texts.help_link = texts.footer_links.first().cloned();
    });
    let css = assets::STYLESHEET.bytes.len();
    for (page, html) in pages.iter().filter(|(page, _)| !page.starts_with("admin")) {
        assert!(html.len() + css < LARGEST_PAGE, "{page}: {}", html.len() + css);
    }
}

#[test]
fn a_text_that_could_mislead_is_refused() {
    let long = "x".repeat(81);
    for (text, own, reason) in [
        (PageText::SignInTitle, "Welcome", "must contain {application} once"),
        (PageText::SignInTitle, "{application} {application}", "must contain {application} once"),
        (PageText::ConsentTitle, "Go to {app}?", "must contain {application} once"),
        (
            PageText::ConsentTitle,
            "{application} {}",
            "contains a brace that belongs to no placeholder",
        ),
        (
            PageText::PasswordLabel,
            "Password of {service}",
            "contains a brace that belongs to no placeholder",
        ),
        (PageText::PasswordLabel, " \n ", "is empty: leave the key out for the default"),
        (PageText::PasswordLabel, &long, "has 81 characters, at most 80 are shown"),
        (
            PageText::HelpText,
            "a\u{202e}b",
            "contains a character that is invisible or changes the direction",
        ),
        (
            PageText::HelpText,
            "a\u{0}b",
            "contains a character that is invisible or changes the direction",
        ),
    ] {
        let refused = PageTexts::default().set(text, own).unwrap_err();
        assert!(refused.starts_with(reason), "{own:?}: {refused}");
    }
    let mut texts = PageTexts::default();
    texts.set(PageText::HelpText, "  two\n lines ").unwrap();
    assert_eq!(texts.get(PageText::HelpText, &ENGLISH), "two lines");
}

#[test]
fn links_lead_to_the_web_to_mail_or_to_a_telephone() {
    for url in
        ["https://a.example/", "HTTP://a.example", "mailto:a@b.c", "tel:+49-30-4711", "/imprint"]
    {
        assert_eq!(TextLink::url(url).as_deref(), Ok(url));
    }
    let long = format!("https://a.example/{}", "x".repeat(2000));
    for url in [
        "javascript:alert(1)",
        "//a.example",
        "/\\a.example",
        "imprint",
        "data:,",
        "https://a b",
        "",
        &long,
    ] {
        assert!(TextLink::url(url).is_err(), "{url}");
    }
}

#[test]
fn every_text_has_a_key_of_its_own_in_a_known_section() {
    let paths: BTreeSet<_> = PageText::ALL.iter().map(|text| text.path()).collect();
    assert_eq!(paths.len(), PageText::ALL.len());
    for text in PageText::ALL {
        let default = text.default_text(&ENGLISH);
        assert!(PageText::SECTIONS.contains(&text.path().0), "{text:?}");
        assert_eq!(default.contains("{}"), text.placeholder().is_some(), "{text:?}");
        assert!(default.chars().count() <= text.longest(), "{text:?}");
    }
}

/// Without its `{}` a sentence would lose the name or the count.
#[test]
fn every_sentence_has_its_place_for_a_name() {
    let messages = format!("{ENGLISH:?}");
    for marker in [" Message(\"", " many: \""] {
        for text in messages.split(marker).skip(1).filter_map(|rest| rest.split('"').next()) {
            assert_eq!(text.matches("{}").count(), 1, "{text}");
        }
    }
}

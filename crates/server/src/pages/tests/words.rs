//! Corner cases of names, links, times and texts.

use super::super::messages::ENGLISH;
use super::super::{DisplayTime, Name, PageErrorKind, href};

const NOW: i64 = 1_763_900_000_000;

#[test]
fn a_name_is_cleaned_and_cut() {
    for (raw, shown) in [
        ("Jane Doe", "Jane Doe"),
        ("  Jane\t\r\n Doe ", "Jane Doe"),
        ("\u{202e}evil\u{202c}", "evil"),
        ("\u{200b}\u{2069}\0", "—"),
        ("", "—"),
        ("علی\u{200c}رضا", "علی\u{200c}رضا"),
    ] {
        assert_eq!(Name::new(raw).as_str(), shown);
    }
    assert_eq!(Name::new(&"x".repeat(10_000)).as_str().chars().count(), 256);
    assert_eq!(Name::new(" élan").initial(), "É");
}

#[test]
fn links_lead_to_the_web_and_forms_to_no_script() {
    for good in ["/dex/auth?x=1", "https://app.example.com/", "HTTP://localhost:8000/cb"] {
        assert_eq!(href::web(good), good);
    }
    for bad in [
        "javascript:alert(1)",
        "//evil.example.com",
        "/\\evil.example.com",
        "data:text/html,x",
        "app:/cb",
        "é",
        "",
    ] {
        assert_eq!(href::web(bad), "#");
    }
    for good in ["https://app.example.com/cb", "com.example.app:/cb", "http://127.0.0.1:8000"] {
        assert_eq!(href::form_action(good), good);
    }
    for bad in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:,x",
    ] {
        assert_eq!(href::form_action(bad), "#");
    }
}

#[test]
fn a_time_is_shown_relative_and_exact() {
    let at = |millis: i64| DisplayTime::new(NOW + millis, NOW, &ENGLISH);
    assert_eq!(at(0).iso, "2025-11-23T12:13:00Z");
    assert_eq!(at(0).exact, "23 November 2025, 12:13 UTC");
    for (millis, distance) in [
        (-30_000, "now"),
        (-60_000, "one minute ago"),
        (89 * 60_000, "in 89 minutes"),
        (-2 * 3_600_000, "2 hours ago"),
        (-8 * 3_600_000 + 1, "7 hours ago"),
        (22 * 3_600_000, "in 22 hours"),
        (8 * 3_600_000 - 1, "in 8 hours"),
        (600_000 - 1, "in 10 minutes"),
        (29_000, "now"),
        (-40 * 86_400_000, "40 days ago"),
    ] {
        assert_eq!(at(millis).distance, distance);
    }
    assert_eq!(
        DisplayTime::new(951_782_400_000, NOW, &ENGLISH).exact,
        "29 February 2000, 00:00 UTC"
    );
    assert_eq!(DisplayTime::new(-1, NOW, &ENGLISH).iso, "1969-12-31T23:59:00Z");
}

#[test]
fn every_problem_has_words_and_a_status_of_its_kind() {
    for problem in PageErrorKind::ALL {
        let messages = problem.messages(&ENGLISH);
        assert!((400..=503).contains(&problem.status()), "{problem:?}");
        assert!(
            [messages.title, messages.happened, messages.todo].iter().all(|text| !text.is_empty()),
            "{problem:?}"
        );
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

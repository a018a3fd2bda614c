//! Parts of the samples of the administration pages.

use crate::admin::{filters::*, frame::*};

use super::super::messages::ENGLISH;
use super::super::{DisplayTime, Name};
use super::sample_data::World;

pub const NOW: i64 = 1_763_900_000_000;
pub const ID: &str = "session-0123456789abcdef01234567";

pub fn display_time(w: &World, millis: i64) -> DisplayTime {
    DisplayTime::to_the_second(NOW + millis, NOW, w.layout.messages)
}

pub fn frame(w: &World, section: Section) -> Frame<'_> {
    Frame {
        layout: &w.layout,
        section,
        user: w.user.name.clone(),
        base: "/dex".to_owned(),
        configuration_failure: None,
        csrf: "csrf-0123456789abcdef0123456789abcdef01234567".to_owned(),
        flash: Some(ENGLISH.admin.inventory.confirmed.plain(&w.user.connector_name)),
    }
}

pub fn name(w: &World) -> Name {
    w.user.name.clone()
}

#[expect(clippy::unnecessary_wraps, reason = "the views have optional links")]
pub fn link(query: &str) -> Option<String> {
    Some(format!("/dex/admin?{query}"))
}

pub fn field(w: &World, name: &'static str) -> Field {
    Field {
        name,
        label: ENGLISH.admin.label(name),
        value: w.text.clone(),
        problem: (name == "seen_since").then(|| Name::new(&w.text)),
        instant: name == "seen_since",
    }
}

pub fn form(w: &World) -> FilterForm {
    FilterForm {
        action: "/dex/admin".to_owned(),
        main: ["text", "group", "client"].map(|name| field(w, name)).into(),
        more: ["user", "connector", "ip", "seen_since", "seen_before"]
            .map(|name| field(w, name))
            .into(),
        choice: Some(Choice {
            name: "state",
            label: ENGLISH.admin.label("state"),
            options: vec![
                ("live".into(), "Live".into(), true),
                ("all".into(), "All".into(), false),
            ],
        }),
        problem: Some(Name::new(&w.text)),
        submit: "Find",
    }
}

pub fn part<T>(items: Vec<T>, further: usize) -> Part<T> {
    let total = items.len() + further;
    Part { items, total, further, more: link("from=9"), first: link("") }
}

pub fn groups(w: &World, bytes: usize) -> Part<Name> {
    let names: Vec<String> = w.groups.iter().map(ToString::to_string).collect();
    part(super::super::HeldGroups::fitting(&names, bytes), 40)
}

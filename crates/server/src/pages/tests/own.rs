//! Samples of the account pages, and the properties specific to them.

use super::super::*;
use super::support::{World, tags};

const NOW: i64 = 1_763_900_000_000;

fn display_time(w: &World, millis: i64) -> DisplayTime {
    DisplayTime::new(NOW + millis, NOW, w.layout.messages)
}

pub fn flash(w: &World) -> EndFlash {
    EndFlash {
        what: EndedItem::Grant(w.app.name.clone()),
        tokens_until: Some(display_time(w, 540_000)),
    }
}

pub fn held(w: &World, bytes: usize) -> HeldGroups {
    let names: Vec<String> = w.groups.iter().map(ToString::to_string).collect();
    HeldGroups {
        names: HeldGroups::fitting(&names, bytes),
        count: 500,
        source: w.user.connector_name.clone(),
        as_of: display_time(w, -180_000),
        stale: true,
        ask: None,
    }
}

fn grant(w: &World, n: usize) -> GrantLine {
    let scopes = ["openid", "profile", "email", "groups", "offline_access", &w.text];
    GrantLine {
        id: format!("grant-{n}-0123456789abcdef0123456789"),
        app: w.app.name.clone(),
        scopes: scopes.into_iter().take(5 + n % 2).map(Scope::of).collect(),
        since: display_time(w, -7_200_000),
        used: display_time(w, -120_000),
        until: (n % 2 == 1).then(|| display_time(w, 480_000)),
        refreshable: n.is_multiple_of(2),
    }
}

fn card(w: &World, n: usize, grants: usize) -> SignInCard {
    const AGENTS: [&str; 3] = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Safari/604.1",
        "curl/8.5.0",
    ];
    let agent = if w.text == "jane" { AGENTS[n % 3] } else { &w.text };
    SignInCard {
        id: format!("session-{n}-0123456789abcdef01234567"),
        device: Device::of(agent),
        address: "2001:db8:1234:5678:9abc:def0:1234:5678".into(),
        since: display_time(w, -90_000_000),
        used: display_time(w, -240_000),
        here: n == 0,
        grants: (0..grants).map(|n| grant(w, n)).collect(),
        more_grants: 35,
        href: format!("/dex/sessions/session-{n}-0123456789abcdef01234567"),
    }
}

pub fn cards(w: &World) -> Vec<SignInCard> {
    std::iter::once(card(w, 0, 4)).chain((1..4).map(|n| card(w, n, 2))).collect()
}

pub fn pages(w: &World) -> Vec<(String, String)> {
    let page = |number: &str| Some(format!("/dex/sessions?page={number}"));
    let list = Sessions {
        layout: &w.layout,
        flash: Some(EndFlash { what: EndedItem::Others(49), tokens_until: None }),
        cards: (0..6).map(|n| card(w, n, 2)).collect(),
        others: true,
        action: "/dex/sessions",
        csrf: &w.text,
        back: "/sessions?page=1",
        newer: page("0"),
        older: page("2"),
    };
    let one = OneSession {
        layout: &w.layout,
        flash: Some(flash(w)),
        card: card(w, 1, 15),
        browser_until: Some(display_time(w, 3_600_000)),
        action: "/dex/sessions",
        csrf: &w.text,
        back: "/sessions/x?page=1",
        newer: page("0"),
        older: page("2"),
    };
    let groups = |found: bool| {
        let mut groups = held(w, 12 * 1024);
        if !found {
            groups.names = Vec::new();
        }
        Groups {
            layout: &w.layout,
            groups,
            search: &w.text,
            action: "/dex/groups",
            earlier: Some("/dex/groups?q=&from=0".to_owned()),
            more: Some("/dex/groups?q=&from=100".to_owned()),
        }
        .render()
    };
    [
        ("sessions", list.render()),
        ("session", one.render()),
        ("consents", consents(w)),
        ("groups", groups(true)),
        ("groups-none", groups(false)),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn consents(w: &World) -> String {
    let consent = |n: usize| ConsentLine {
        client_id: format!("app-{n}"),
        app: w.app.name.clone(),
        scopes: grant(w, n).scopes,
        granted: display_time(w, -90_000_000),
    };
    let shown = Consents {
        layout: &w.layout,
        flash: Some(EndFlash { what: EndedItem::Consent(w.app.name.clone()), tokens_until: None }),
        consents: (0..10).map(consent).collect(),
        action: "/dex/consents",
        csrf: &w.text,
    };
    shown.render()
}

#[test]
fn every_button_has_an_accessible_name_of_what_it_ends() {
    let found = pages(&World::everyday());
    let sessions = found.iter().find(|(name, _)| name == "sessions").map(|(_, html)| tags(html));
    let sessions = sessions.unwrap();
    let named = |name: &str| {
        let buttons = sessions.iter().filter(|tag| tag.name == "button" && tag.has("name", name));
        buttons.map(|tag| tag.get("aria-label").unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        named("session").first().map(String::as_str),
        Some("End the sign-in with Safari on iPhone")
    );
    assert_eq!(named("session").len(), 5, "this browser signs out");
    assert_eq!(named("grant").first().map(String::as_str), Some("End what Grafana was given"));
    assert_eq!(named("grant").len(), 12);
    assert_eq!(named("others").len(), 1);
}

/// Groups that do not fit on a page continue on the next, however long their names are.
#[test]
fn groups_are_shown_as_far_as_there_is_room() {
    let many: Vec<String> = (0..500).map(|n| format!("<team> & '{n}'")).collect();
    let shown = HeldGroups::fitting(&many, 4096);
    assert!((50..100).contains(&shown.len()), "{}", shown.len());
    assert_eq!(HeldGroups::fitting(&many, 1024 * 1024).len(), 500);
}

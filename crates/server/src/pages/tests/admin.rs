//! Samples of the administration pages, and the properties specific to them.

use countersign_core::event::EventKind;
use countersign_core::session::EndReason;

use crate::admin::sessions::detail::*;
use crate::admin::sessions::end_views::*;
use crate::admin::sessions::*;
use crate::admin::{clients::*, events::*, filters::*, frame::*, memberships::*};

use super::super::messages::ENGLISH;
use super::super::{DisplayTime, Name, Page};
use super::admin_more::{blocked, connectors, explain, key_drop, keys};
use super::support::{
    ID, NOW, World, display_time, field, form, frame, groups, link, name, part, tags,
};

fn ended_line(w: &World) -> EndedLine {
    EndedLine {
        at: display_time(w, -60_000),
        by: Name::new(&w.text),
        reason: "by an administrator".into(),
    }
}

fn session_row(w: &World, n: usize) -> SessionRow {
    SessionRow {
        id: ID.to_owned(),
        href: format!("/dex/admin/sessions/{ID}"),
        name: name(w),
        login: w.user.email.clone(),
        connector: w.user.connector_name.clone(),
        address: "2001:db8:1234:5678:9abc:def0:1234:5678".into(),
        device: "Firefox on Linux".into(),
        since: display_time(w, -90_000_000),
        used: display_time(w, -240_000),
        apps: vec![w.app.name.clone(); 2],
        more_apps: n,
        ended: n.is_multiple_of(3).then(|| ended_line(w)),
    }
}

fn event(w: &World) -> EventRow {
    EventRow {
        at: display_time(w, -90_000),
        what: "Session ended".into(),
        actor: Name::new(&w.text),
        of_actor: Some("/dex/admin/events?actor=user%3Aid-of-alice%40local".to_owned()),
        about: vec![Name::new(&w.text), w.user.connector_name.clone(), w.app.name.clone()],
        session: Some(format!("/dex/admin/sessions/{ID}")),
        address: Some("192.0.2.7".into()),
        reason: Some("by an administrator".into()),
        details: Some(Name::new(&w.text)),
    }
}

fn summary(w: &World) -> EndSummary {
    EndSummary { sessions: 916, grants: 917, tokens_until: Some(display_time(w, 600_001)) }
}

fn chips(w: &World) -> Vec<Chip> {
    ["user", "group"]
        .map(|name| Chip { label: ENGLISH.admin.label(name), value: Name::new(&w.text) })
        .into()
}

pub fn pages(w: &World) -> Vec<(String, String)> {
    let mut pages = of_sessions(w);
    pages.extend(of_ends(w));
    pages.extend(of_the_rest(w));
    pages.extend(blocked(w));
    pages
}

fn of_sessions(w: &World) -> Vec<(String, String)> {
    let list = SessionList {
        layout: &w.layout,
        frame: frame(w, Section::Sessions),
        form: form(w),
        // The handler shows fewer rows where so many would exceed the page size.
        rows: (0..if w.text == "jane" { 10 } else { 5 }).map(|n| session_row(w, n)).collect(),
        total: Some(9_000),
        end: link("user=jane"),
        end_selected: "/dex/admin/end".to_owned(),
        narrowed: true,
        first: link(""),
        next: link("page=abc"),
    };
    let grant = |n: usize| GrantRow {
        id: format!("grant-{n}-0123456789abcdef"),
        app: w.app.name.clone(),
        scopes: "openid profile email groups offline_access".into(),
        refreshable: true,
        granted: display_time(w, -7_200_000),
        used: display_time(w, -120_000),
        until: display_time(w, 480_000),
        ended: (n == 1).then(|| ended_line(w)),
    };
    let one = SessionDetail {
        layout: &w.layout,
        frame: frame(w, Section::Sessions),
        done: Some(summary(w)),
        id: ID,
        own: true,
        name: name(w),
        facts: vec![("Login", name(w)), ("Email", name(w)), ("User ID", Name::new(&w.text))],
        since: display_time(w, -90_000_000),
        proved: display_time(w, -90_000_000),
        used: display_time(w, -240_000),
        ended: None,
        tokens_until: Some(display_time(w, 480_000)),
        groups: groups(w, 768),
        groups_as_of: display_time(w, -300_000),
        grants: part((0..4).map(grant).collect(), 7),
        events: (0..3).map(|_| event(w)).collect(),
        all_events: "/dex/admin/events?session=x".to_owned(),
        trace: groups(w, 768),
        of_person: "/dex/admin?user=x".to_owned(),
        explain: "/dex/admin/explain?user=x".to_owned(),
        block: "/dex/admin/block?user_id=x".to_owned(),
        blocked: Some(Name::new(&w.text)),
        action: format!("/dex/admin/sessions/{ID}"),
    };
    [("admin-sessions", list.render()), ("admin-session", one.render())]
        .map(|(name, html)| (name.to_owned(), html))
        .into()
}

fn of_ends(w: &World) -> Vec<(String, String)> {
    let end = EndMany {
        layout: &w.layout,
        frame: frame(w, Section::Sessions),
        since: field(w, "seen_since"),
        problem: Some(Name::new(&w.text)),
        action: "/dex/admin/end".to_owned(),
    };
    let preview = Preview {
        layout: &w.layout,
        frame: frame(w, Section::Sessions),
        chips: chips(w),
        sessions: 916,
        people: 258,
        who: (0..12).map(|_| person_line(w)).collect(),
        grants: 917,
        apps: vec![(w.app.name.clone(), 9); 20],
        more_apps: 3,
        tokens_until: Some(display_time(w, 600_001)),
        yours: true,
        sure: Some(true),
        action: "/dex/admin/end?user=jane".to_owned(),
        back: "/dex/admin?user=jane".to_owned(),
    };
    let ended = Ended {
        layout: &w.layout,
        frame: frame(w, Section::Sessions),
        chips: Some(chips(w)),
        done: summary(w),
        more: link("user=jane"),
        own_ended: true,
        sure: true,
        back: "/dex/admin?user=jane".to_owned(),
    };
    [
        ("admin-end", end.render()),
        ("admin-preview", preview.render()),
        ("admin-ended", ended.render()),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

fn person_line(w: &World) -> PersonLine {
    let (name, login) = (name(w), w.user.email.clone());
    PersonLine { name, login, connector: w.user.connector_name.clone() }
}

fn interval(w: &World, until: Option<i64>) -> Interval {
    let until = until.map(|until| display_time(w, until));
    Interval { since: display_time(w, -90_000_000), until, tokens_until: None }
}

fn of_the_rest(w: &World) -> Vec<(String, String)> {
    let events = Events {
        layout: &w.layout,
        frame: frame(w, Section::Events),
        form: form(w),
        rows: (0..10).map(|_| event(w)).collect(),
        first: link(""),
        next: link("page=abc"),
    };
    let holder = || MembershipRow {
        person: name(w),
        user_id: Name::new(&w.text),
        connector: w.user.connector_name.clone(),
        sessions: "/dex/admin/sessions?user=jane".to_owned(),
        intervals: vec![interval(w, None), interval(w, Some(-60_000))],
    };
    let holders = Memberships {
        layout: &w.layout,
        frame: frame(w, Section::Memberships),
        form: form(w),
        has_query: true,
        rows: (0..12).map(|_| holder()).collect(),
        first: link(""),
        next: link("page=abc"),
    };
    let client = || ClientRow {
        name: w.app.name.clone(),
        id: "grafana".into(),
        public: false,
        redirects: vec![Name::new("https://grafana.example.com/login/generic_oauth"); 3],
        more_redirects: 2,
        connectors: vec![w.user.connector_name.clone()],
        tokens_live_seconds: 600,
        sessions: 12,
        grants: 13,
        at_least: true,
        href: "/dex/admin?client=grafana".to_owned(),
    };
    let clients = Clients {
        layout: &w.layout,
        frame: frame(w, Section::Clients),
        clients: (0..10).map(|_| client()).collect(),
        total: 13,
        first: link(""),
        next: link("page=25"),
    };
    [
        ("admin-events", events.render()),
        ("admin-holders", holders.render()),
        ("admin-clients", clients.render()),
        ("admin-connectors", connectors(w)),
        ("admin-keys", keys(w)),
        ("admin-key-drop", key_drop(w)),
        ("admin-explain", explain(w)),
    ]
    .map(|(name, html)| (name.to_owned(), html))
    .into()
}

#[test]
fn every_table_has_a_caption_and_column_headers() {
    for (page, html) in pages(&World::everyday()) {
        let found = tags(&html);
        let count = |name: &str| found.iter().filter(|tag| tag.name == name).count();
        assert_eq!(count("table"), count("caption"), "{page}");
        // The name of a table, and no live region (axe: only-allowed-roles).
        let mut captions =
            html.split("<caption").skip(1).filter_map(|part| part.split("</caption>").next());
        assert!(captions.all(|caption| !caption.contains("role=")), "{page}");
        let headers = found.iter().filter(|tag| tag.name == "th");
        assert!(
            headers.clone().all(|tag| tag.has("scope", "col") || tag.has("scope", "row")),
            "{page}"
        );
        // On a phone a table is shown as a list of cards, so each cell needs the name of its column.
        let cells =
            found.iter().filter(|tag| ["table", "tr", "th", "td"].contains(&tag.name.as_str()));
        assert!(cells.clone().all(|tag| tag.get("role").is_some()), "{page}");
        assert_eq!(found.iter().filter(|tag| tag.has("aria-current", "page")).count(), 1, "{page}");
    }
}

#[test]
fn every_kind_and_reason_has_words() {
    for (kind, _) in ENGLISH.admin.kinds {
        assert!(EventKind::parse(kind).is_some(), "{kind}");
    }
    for (reason, _) in ENGLISH.admin.reasons {
        assert!(EndReason::parse(reason).is_some(), "{reason}");
    }
    let word = label_for(&ENGLISH.admin.kinds, "something_new");
    assert_eq!(word.as_str(), "something_new");
}

/// An announced time is rounded up, so that it is never too early.
#[test]
fn an_announced_instant_is_rounded_up_to_its_second() {
    for (millis, second) in
        [(1_763_899_980_000, "00"), (1_763_899_980_001, "01"), (1_763_900_039_001, "00")]
    {
        let display_time = DisplayTime::to_the_second(millis, NOW, &ENGLISH);
        assert!(display_time.exact.ends_with(&format!(":{second} UTC")), "{}", display_time.exact);
        assert!(display_time.iso.ends_with(&format!(":{second}Z")), "{}", display_time.iso);
    }
}

//! More samples of the administration pages: blocked users, connectors, keys, explanations.

use crate::admin::blocked_users::block::*;
use crate::admin::blocked_users::*;
use crate::admin::{connectors::*, explain::*, filters::*, frame::*, keys::*};

use super::super::messages::ENGLISH;
use super::super::{Name, Page};
use super::support::{World, display_time, field, form, frame, groups, link, name};

pub fn blocked(w: &World) -> Vec<(String, String)> {
    let row = || BlockedUserRow {
        name: name(w),
        user_id: w.text.clone(),
        connector_id: "ldap".to_owned(),
        connector: w.user.connector_name.clone(),
        reason: Name::new(&w.text),
        at: display_time(w, -90_000),
        by: Name::new(&w.text),
        until: Some(display_time(w, 90_000)),
        sessions: "/dex/admin?user=x".to_owned(),
    };
    let list = BlockedUsers {
        layout: &w.layout,
        frame: frame(w, Section::BlockedUsers),
        tokens_until: Some(display_time(w, 480_000)),
        rows: (0..10).map(|_| row()).collect(),
        first: link(""),
        next: link("page=abc"),
        action: "/dex/admin/blocked-users".to_owned(),
        block: "/dex/admin/block".to_owned(),
        connectors: Choice {
            name: "connector",
            label: ENGLISH.admin.label("connector"),
            options: vec![("ldap".into(), w.user.connector_name.clone(), false)],
        },
        user_id: field(w, "user_id"),
    };
    let block = Block {
        layout: &w.layout,
        frame: frame(w, Section::BlockedUsers),
        problem: Some(Name::new(&w.text)),
        preview: Some(BlockPreview {
            name: None,
            user_id: Name::new(&w.text),
            connector: w.user.connector_name.clone(),
            blocked: Some((Name::new(&w.text), Name::new(&w.text))),
            suggestions: vec![(name(w), name(w), "/dex/admin/block?user_id=x".to_owned())],
            sessions: 3,
            grants: 4,
            apps: vec![(w.app.name.clone(), 9)],
            tokens_until: Some(display_time(w, 480_000)),
            reason: field(w, "reason"),
            until: field(w, "until"),
            action: "/dex/admin/block?user_id=x".to_owned(),
        }),
        back: "/dex/admin/blocked-users".to_owned(),
    };
    [("admin-blocked-users", list.render()), ("admin-block", block.render())]
        .map(|(name, html)| (name.to_owned(), html))
        .into()
}

pub fn connectors(w: &World) -> String {
    let card = |health| ConnectorCard {
        id: "ldap".to_owned(),
        name: w.user.connector_name.clone(),
        kind: "ldap".into(),
        health,
        last_response: Some(display_time(w, -60_000)),
        last_failure: Some(display_time(w, -1_000)),
        last_error: Some(name(w)),
        circuit_open_since: (health == Health::CircuitOpen).then(|| display_time(w, -1_000)),
        sessions: 5,
        at_least: false,
        href: "/dex/admin?connector=ldap".to_owned(),
    };
    let shown = Connectors {
        layout: &w.layout,
        frame: frame(w, Section::Connectors),
        connectors: [Health::Up, Health::Down, Health::Unknown, Health::CircuitOpen]
            .map(card)
            .into(),
        total: 4,
        first: link(""),
        next: link("page=25"),
        action: "/dex/admin/connectors".to_owned(),
    };
    shown.render()
}

fn key(w: &World, number: i64) -> KeyRow {
    KeyRow {
        number,
        kid: "f978aea1f14614e6affc2bca15a204713325d738".into(),
        algorithm: "RS256".into(),
        state: ENGLISH.admin.keys.signing,
        signs: number == 2,
        created: display_time(w, -90_000_000),
        signs_from: display_time(w, -86_000_000),
        drops_at: (number == 1).then(|| display_time(w, 86_000_000)),
        drop: format!("/dex/admin/keys/{number}"),
    }
}

pub fn keys(w: &World) -> String {
    let shown = Keys {
        layout: &w.layout,
        frame: frame(w, Section::Keys),
        rotated: Some(("Key 3 has been made. It signs".to_owned(), display_time(w, 3_600_000))),
        rows: [3, 2, 1].map(|number| key(w, number)).into(),
        kept_by: None,
        action: "/dex/admin/keys".to_owned(),
    };
    shown.render()
}

pub fn key_drop(w: &World) -> String {
    let shown = KeyDrop {
        layout: &w.layout,
        frame: frame(w, Section::Keys),
        key: key(w, 2),
        tokens_until: Some(display_time(w, 86_000_000)),
        signing_kid: Some("f978aea1f14614e6affc2bca15a204713325d738".into()),
        action: "/dex/admin/keys/2".to_owned(),
        back: "/dex/admin/keys".to_owned(),
    };
    shown.render()
}

pub fn explain(w: &World) -> String {
    let person = PersonCard {
        name: name(w),
        email: name(w),
        user_id: Name::new(&w.text),
        connector: w.user.connector_name.clone(),
        sub: "CgtpZC1vZi1hbGljZRIFbG9jYWw".into(),
        administrator: true,
        blocked: Some(Name::new(&w.text)),
        block: "/dex/admin/block?user_id=x".to_owned(),
        groups: groups(w, 3072),
        sessions: "/dex/admin?user=x".to_owned(),
        client: Some((w.app.name.clone(), false, "10 minutes".into(), vec![name(w)])),
    };
    let upstream = UpstreamCard {
        connector: w.user.connector_name.clone(),
        outcome: name(w),
        user_id: Some(Name::new(&w.text)),
        groups: Some(groups(w, 1024)),
        trace: groups(w, 2048),
    };
    let shown = Explain {
        layout: &w.layout,
        frame: frame(w, Section::Explain),
        form: form(w),
        has_query: true,
        people: vec![person],
        upstreams: vec![upstream],
    };
    shown.render()
}

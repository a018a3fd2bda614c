//! Threats 115, 116 and 118: header fields sent by the proxy, by a browser behind it, and by another peer.

use std::net::IpAddr;

use countersign_config::Node;
use countersign_core::connector::{
    LoginMethod, LoginOutcome, ProxyHeaders, Refusal, TrustedHeaderLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, Trace};

use crate::tree::{self, list, map, text};
use std::sync::Arc;

type Keys = Vec<(&'static str, Node)>;

const PROXY: &str = "10.1.2.3";

fn configured(mut keys: Keys) -> (Option<Connector>, Vec<String>) {
    if !keys.iter().any(|(name, _)| *name == "trustedProxies") {
        keys.push(("trustedProxies", list(vec![text("10.1.2.0/24"), text("fd00::1")])));
    }
    tree::read(map(keys), |section| {
        crate::read("authproxy", ConnectorId::new("proxy"), "Proxy".to_owned(), Some(section))
    })
}

fn proxy(keys: Keys) -> Arc<dyn TrustedHeaderLogin> {
    let (connector, problems) = configured(keys);
    let connector = connector.unwrap_or_else(|| panic!("{problems:#?}"));
    assert!(connector.refresh.is_none(), "a proxy cannot be refreshed");
    let LoginMethod::TrustedHeader(method) = connector.login_method else {
        panic!("it is a trusted header")
    };
    method
}

fn headers(fields: &[(&str, &str)]) -> ProxyHeaders {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    ProxyHeaders { peer: Some(PROXY.parse().unwrap()), fields: fields.collect() }
}

fn accepted(method: &Arc<dyn TrustedHeaderLogin>, proxy_headers: &ProxyHeaders) -> Identity {
    match method.login(proxy_headers, &mut Trace::default()) {
        LoginOutcome::Accepted(person) => person.identity,
        LoginOutcome::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn refused(method: &Arc<dyn TrustedHeaderLogin>, proxy_headers: &ProxyHeaders) -> Refusal {
    match method.login(proxy_headers, &mut Trace::default()) {
        LoginOutcome::Refused(refusal) => refusal,
        LoginOutcome::Accepted(person) => panic!("{person:?}"),
    }
}

fn unclear(method: &Arc<dyn TrustedHeaderLogin>, proxy_headers: &ProxyHeaders) -> String {
    match refused(method, proxy_headers) {
        Refusal::UnclearHeaders { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn janes_identity_is_the_one_dex_would_return() {
    let method = proxy(vec![("staticGroups", list(vec![text("everybody"), text("ops")]))]);
    let all = headers(&[
        ("x-remote-user", "jane"),
        ("x-remote-user-id", "4711"),
        ("x-remote-user-name", "Doe, Jane"),
        ("x-remote-user-email", "jane@example.com"),
        ("x-remote-group", " admins , ops,,admins"),
    ]);
    let jane = accepted(&method, &all);
    assert_eq!((jane.user_id.as_str(), jane.username.as_str()), ("4711", "jane"));
    assert_eq!(jane.preferred_username, "Doe, Jane");
    assert_eq!((jane.email.as_str(), jane.email_verified), ("jane@example.com", true));
    assert_eq!(jane.groups, ["admins", "ops", "everybody"]);

    let bare = accepted(&method, &headers(&[("x-remote-user", "jane"), ("x-remote-user-id", "")]));
    assert_eq!((bare.user_id.as_str(), bare.preferred_username.as_str()), ("jane", "jane"));
    assert_eq!(
        (bare.email.as_str(), bare.groups),
        ("jane", vec!["everybody".into(), "ops".into()])
    );
}

#[test]
fn other_headers_and_another_separator_can_be_configured() {
    let method = proxy(vec![
        ("userHeader", text("X-Forwarded-User")),
        ("groupHeader", text("X-Groups")),
        ("groupHeaderSeparator", text(";")),
    ]);
    let proxy_headers = headers(&[("x-forwarded-user", "jane"), ("x-groups", "a,b; c")]);
    assert_eq!(accepted(&method, &proxy_headers).groups, ["a,b", "c"]);
    assert!(method.fields().contains(&"x-forwarded-user"));
    assert!(unclear(&method, &headers(&[("x-remote-user", "jane")])).contains("missing"));
}

#[test]
fn threat_115_only_the_address_of_the_connection_makes_a_proxy() {
    let method = proxy(vec![]);
    let mut proxy_headers = headers(&[("x-remote-user", "jane"), ("x-forwarded-for", PROXY)]);
    for (peer, is_proxy) in [
        (Some(PROXY), true),
        (Some("::ffff:10.1.2.3"), true),
        (Some("fd00::1"), true),
        (Some("10.1.3.3"), false),
        (Some("fd00::2"), false),
        (Some("127.0.0.1"), false),
        (Some("0.0.0.0"), false),
        (None, false),
    ] {
        proxy_headers.peer = peer.map(|peer| peer.parse::<IpAddr>().unwrap());
        match is_proxy {
            true => assert_eq!(accepted(&method, &proxy_headers).username, "jane"),
            false => {
                assert_eq!(refused(&method, &proxy_headers), Refusal::NotThroughProxy, "{peer:?}");
            }
        }
    }
}

#[test]
fn threat_116_what_can_be_understood_in_two_ways_is_refused() {
    let method = proxy(vec![]);
    for fields in [
        vec![("x-remote-user", "jane"), ("x-remote-user", "admin")],
        vec![("x-remote-user", "jane"), ("x-remote-user", "jane")],
        vec![("x-remote-user", "jane"), ("x_remote_user", "admin")],
        vec![("x-remote-user", "jane"), ("x-remote_user-id", "1")],
        vec![("x-remote-user", "jane"), ("x_remote_group", "admins")],
        vec![("x-remote-user", "jane,admin")],
        vec![("x-remote-user", "jane, admin")],
        vec![("x-remote-user", "jane"), ("x-remote-user-id", "1,2")],
        vec![("x-remote-user", "jane"), ("x-remote-user-email", "a@b.c;d@e.f")],
        vec![("x-remote-user", "jane"), ("connection", "close, X-Remote-Group")],
        vec![("x-remote-user", "jane"), ("connection", "X_REMOTE_USER_ID")],
        vec![("x-remote-user", "")],
        vec![("x-remote-user", "  ")],
        vec![("x-remote-user-id", "4711"), ("x-remote-user-email", "jane@example.com")],
        vec![],
        vec![("x-remote-user", "ja\u{200b}ne")],
        vec![("x-remote-user", "ja\tne")],
        vec![("x-remote-user", "\u{202e}enaj")],
    ] {
        let message = unclear(&method, &headers(&fields));
        assert!(
            !message.contains("admin") && !message.contains("jane"),
            "names headers only: {message}"
        );
    }
    let kept = headers(&[("x-remote-user", " jane "), ("connection", "keep-alive")]);
    assert_eq!(accepted(&method, &kept).user_id, "jane");
}

#[test]
fn threat_118_groups_have_one_parse() {
    let method = proxy(vec![]);
    let groups = |value: &str| {
        accepted(&method, &headers(&[("x-remote-user", "j"), ("x-remote-group", value)])).groups
    };
    assert_eq!(groups("a,b"), ["a", "b"]);
    assert_eq!(groups(",a , b b,\u{fc}ber,"), ["a", "b b", "\u{fc}ber"]);
    assert!(groups(" , ,").is_empty());
    assert_eq!(groups(&"a,".repeat(10_000)), ["a"]);
    for (value, expected) in [
        ("\"a,b\",c".to_owned(), "quotes"),
        ("a".repeat(64 * 1024), "too long"),
        ("a,b\u{0}".to_owned(), "see"),
    ] {
        let message =
            unclear(&method, &headers(&[("x-remote-user", "j"), ("x-remote-group", &value)]));
        assert!(message.contains(expected), "{message}");
    }
    let twice =
        headers(&[("x-remote-user", "j"), ("x-remote-group", "a"), ("x-remote-group", "b")]);
    assert!(unclear(&method, &twice).contains("more than once"));
    let mut latin = headers(&[("x-remote-user", "j")]);
    latin.fields.push(("x-remote-group".to_owned(), vec![b'a', 0xfc]));
    assert!(unclear(&method, &latin).contains("UTF-8"));
    let long = "a".repeat(1025);
    assert!(unclear(&method, &headers(&[("x-remote-user", &long)])).contains("too long"));
}

#[test]
fn a_configuration_that_would_trust_anybody_does_not_start() {
    for (keys, expected) in [
        (vec![("trustedProxies", list(vec![]))], "trustedProxies: is missing"),
        (vec![("trustedProxies", list(vec![text("*")]))], "expected an address"),
        (vec![("trustedProxies", list(vec![text("0.0.0.0/0")]))], "the whole world"),
        (vec![("trustedProxies", list(vec![text("::/0")]))], "the whole world"),
        (vec![("userHeader", text("Authorization"))], "meaning of its own"),
        (vec![("userHeader", text("X-Forwarded-For"))], "meaning of its own"),
        (vec![("userHeader", text("X_Remote_User"))], "letters, digits and '-'"),
        (vec![("userHeader", text("X Remote"))], "letters, digits and '-'"),
        (vec![("emailHeader", text("x-remote-user"))], "already used"),
        (vec![("groupHeaderSeparator", text("\t"))], "expected such as"),
    ] {
        let (connector, problems) = configured(keys);
        assert!(connector.is_none(), "{expected}");
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:#?}");
    }
}

#[test]
fn the_requirements_on_the_proxy_are_listed() {
    let mut trace = Trace::default();
    proxy(vec![]).diagnose(&mut trace);
    let steps: String = trace.steps().iter().map(|step| step.text.clone() + "\n").collect();
    for word in ["10.1.2.0/24", "/callback/proxy", "x-remote-user", "x-remote-group"] {
        assert!(steps.contains(word), "{word}: {steps}");
    }
}

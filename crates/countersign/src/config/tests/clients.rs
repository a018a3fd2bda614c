//! `staticClients`, with lifetimes and logout keys.

use std::time::Duration;

use countersign_core::Limit;

use super::{config, problems};

#[test]
fn a_client_is_read() {
    let config = config(
        "staticClients:
- ID: app
  secret: s
  name: App
  redirectUris: ['https://app.example.com/cb', 'com.example.app:/cb', 'myapp://cb']
  trustedPeers: [kubernetes]
  allowedConnectors: [mock]
- {id: kubernetes, name: Kubernetes, public: true, secret: ''}
",
    );
    let [app, kubernetes] = config.clients.as_slice() else { panic!("two clients") };
    assert_eq!(app.id.as_str(), "app");
    assert!(app.secret.as_ref().unwrap().matches("s"));
    assert_eq!(
        app.redirect_uris,
        ["https://app.example.com/cb", "com.example.app:/cb", "myapp://cb"]
    );
    assert_eq!(app.trusted_peers.len(), 1);
    assert_eq!(app.allowed_connectors.len(), 1);
    assert!(kubernetes.public && kubernetes.secret.is_none());
}

#[test]
fn unsafe_redirect_uris_are_refused() {
    for (uri, expected) in [
        ("javascript:alert(1)", "whose scheme a browser would run instead of visit"),
        ("DATA:text/html,x", "whose scheme a browser would run instead of visit"),
        ("vbscript:x", "whose scheme a browser would run instead of visit"),
        ("file:///etc/passwd", "whose scheme a browser would run instead of visit"),
        ("blob:https://a.example/x", "whose scheme a browser would run instead of visit"),
        ("about:blank", "whose scheme a browser would run instead of visit"),
        ("https://a.example/cb#x", "expected no fragment (#) in it"),
        ("https://u:p@a.example/cb", "expected no user in it"),
        ("https://a.example/c b", "expected only the characters of RFC 3986 in it"),
        ("https://a.example\\@b.example/", "expected only the characters of RFC 3986 in it"),
        ("//evil.example/cb", "expected an absolute URI such as https://app.example.com/callback"),
        ("/\\evil.example/cb", "expected an absolute URI such as https://app.example.com/callback"),
        ("a.example/cb", "expected an absolute URI such as https://app.example.com/callback"),
        ("c:/cb", "expected an absolute URI such as https://app.example.com/callback"),
        ("https:a.example", "expected an absolute URI such as https://app.example.com/callback"),
        ("", "expected an absolute URI such as https://app.example.com/callback"),
    ] {
        let block =
            format!("staticClients: [{{id: a, name: A, secret: s, redirectURIs: ['{uri}']}}]");
        let place = "2:60: staticClients[0].redirectURIs[0]: found";
        assert_eq!(problems(&block), [format!("{place} {uri:?}, {expected}")]);
    }
}

#[test]
fn unusual_redirect_uris_get_a_warning() {
    for (uri, expected) in [
        (
            "http://app.example.com/cb",
            "is http beyond this machine: codes travel in clear, expected https",
        ),
        (
            "/oauth2/callback",
            "is relative: the browser is sent to this path on the host of the issuer, as by Dex; right only where a proxy serves the application there",
        ),
        ("https://*.example.com/cb", "is compared exactly: * is taken literally here"),
    ] {
        let block =
            format!("staticClients: [{{id: a, name: A, secret: s, redirectURIs: ['{uri}']}}]");
        let place = "2:60: warning: staticClients[0].redirectURIs[0]:";
        assert_eq!(problems(&block), [format!("{place} {expected}")]);
    }
    let fine = [
        "http://localhost:8000",
        "http://127.0.0.1/cb",
        "urn:ietf:wg:oauth:2.0:oob",
        "/device/callback",
        "/dex/device/callback",
    ];
    for uri in fine {
        let block =
            format!("staticClients: [{{id: a, name: A, public: true, redirectURIs: ['{uri}']}}]");
        assert_eq!(problems(&block), [""; 0], "{uri}");
    }
}

#[test]
fn trusted_peers_and_connectors_must_exist() {
    assert_eq!(
        problems(
            "staticClients:
- {id: kubernetes, name: K, public: true, trustedPeers: [kubernets, other]}
- {id: 'a b', name: A, public: true, allowedConnectors: [mok]}
- {id: c, idEnv: C, name: C, public: true, mfaChain: [], ssoSharedWith: ['*']}
"
        ),
        [
            "3:58: warning: staticClients[0].trustedPeers[0]: \"kubernets\" is no client in this file, did you mean kubernetes?",
            "3:69: warning: staticClients[0].trustedPeers[1]: \"other\" is no client in this file",
            "4:8: warning: staticClients[1].id: contains a space: the scope audience:server:client_id: cannot name this client",
            "4:58: staticClients[1].allowedConnectors[0]: \"mok\" is no connector in this file, did you mean mock?",
            "5:18: staticClients[2].idEnv: is given together with id, expected only one of them",
            "5:54: staticClients[2].mfaChain: is a key of Dex that is not supported yet",
            "5:73: warning: staticClients[2].ssoSharedWith: is a key of Dex that is not supported yet",
        ]
    );
}

#[test]
fn the_client_id_of_our_own_pages_is_reserved() {
    let block = "staticClients: [{id: countersign-own-pages, name: A, secret: s}]";
    let expected = "2:22: staticClients[0].id: countersign-own-pages is what our own pages are called, \
                    expected another id";
    assert!(problems(block).iter().any(|line| line == expected), "{:?}", problems(block));
}

fn client(keys: &str) -> String {
    format!("staticClients: [{{id: a, name: A, public: true, {keys}}}]")
}

#[test]
fn lifetimes_of_a_client_have_the_keys_of_the_global_ones() {
    let config = config(&client(
        "expiry: {idTokens: 5m, authRequests: 20m, codes: 30s, refreshTokens: {disableRotation: true, \
         reuseInterval: 1m, absoluteLifetime: 0s, validIfNotUsedFor: 12h}}, \
         sessions: {absoluteLifetime: 4h, validIfNotUsedFor: 1h}",
    ));
    let own = config.clients[0].lifetimes;
    let minutes = |n: u64| Some(Duration::from_secs(n * 60));
    assert_eq!((own.tokens, own.requests), (minutes(5), minutes(20)));
    assert_eq!((own.codes, own.rotate), (Some(Duration::from_secs(30)), Some(false)));
    assert_eq!((own.reuse_interval, own.refresh_absolute), (minutes(1), Some(Limit::Never)));
    assert_eq!(own.refresh_idle, Some(Limit::After(Duration::from_hours(12))));
    assert_eq!((own.session_absolute, own.session_idle), (minutes(240), minutes(60)));
    let summary = config.summary();
    let line = "tokens 5m, codes 30s, logins 20m, refresh tokens not rotated, reusable for 1m, unused at \
                most 12h, in all at most any time, sign-on at most 4h, idle at most 1h";
    assert!(summary.contains(line), "{summary}");
}

#[test]
fn a_client_without_lifetimes_has_none_in_the_summary() {
    let config = config(&client("redirectURIs: []"));
    assert!(config.clients[0].lifetimes.is_default());
    assert!(!config.summary().contains("its own"), "{}", config.summary());
}

#[test]
fn contradictory_lifetimes_are_reported() {
    for (keys, expected) in [
        (
            "expiry: {idTokens: 0s}",
            "staticClients[0].expiry.idTokens: found 0s, expected 1s or more",
        ),
        (
            "expiry: {idToken: 5m}",
            "staticClients[0].expiry.idToken: is not a known key, did you mean idTokens?",
        ),
        (
            "sessions: {absoluteLifetime: 1h, validIfNotUsedFor: 2h}",
            "staticClients[0].sessions.validIfNotUsedFor: is longer than absoluteLifetime",
        ),
        ("expiry: {codes: 20m}", "warning: staticClients[0].expiry.codes: is over 10m"),
        (
            "expiry: {refreshTokens: {reuseInterval: 3s}}",
            "warning: staticClients[0].expiry.refreshTokens.reuseInterval: a client",
        ),
    ] {
        let problems = problems(&client(keys)).join("\n");
        assert!(problems.contains(expected), "{keys}: {problems}");
    }
}

#[test]
fn backchannel_logout_uri_is_checked() {
    for fine in [
        "https://app.example.com/bye?tenant=1",
        "http://127.0.0.1:8080/bye",
        "https://10.0.0.7/bye",
    ] {
        let keys = client(&format!(
            "backchannelLogoutURI: '{fine}', backchannelLogoutSessionRequired: true"
        ));
        assert_eq!(problems(&keys), [""; 0], "{fine}");
        let read = config(&keys);
        assert_eq!(read.clients[0].backchannel_logout_uri.as_ref().unwrap().as_str(), fine);
        assert!(read.summary().contains(fine));
    }
    let exposed =
        problems(&client("backchannelLogoutURI: 'http://app.example.com/bye'")).join("\n");
    assert!(exposed.contains("warning: ") && exposed.contains("expected https"), "{exposed}");
    for (uri, expected) in [
        ("app.example.com", "expected a URL such as"),
        ("ftp://app.example.com/", "expected a URL such as"),
        ("https:app.example.com", "expected a URL such as"),
        ("https://app.example.com/#x", "expected no fragment (#) in it"),
        ("https://a:b@app.example.com/", "expected no user in it"),
        ("http://169.254.169.254/latest", "which is no application's address"),
    ] {
        let problems = problems(&client(&format!("backchannelLogoutURI: '{uri}'"))).join("\n");
        assert!(problems.contains(expected) && !problems.contains("warning"), "{uri}: {problems}");
    }
}

#[test]
fn post_logout_redirect_uris_are_checked_like_redirect_uris() {
    let fine =
        client("postLogoutRedirectURIs: ['https://app.example.com/bye', 'com.example.app:/bye']");
    assert_eq!(problems(&fine), [""; 0]);
    assert_eq!(config(&fine).clients[0].post_logout_redirect_uris.len(), 2);
    let problems = problems(&client("postLogoutRedirectURIs: ['javascript:alert(1)']")).join("\n");
    assert!(
        problems.contains("postLogoutRedirectURIs[0]: found \"javascript:alert(1)\""),
        "{problems}"
    );
}

#[test]
fn dexs_refresh_token_lifetime_is_supported() {
    for (word, ends) in [("", false), ("standalone", false), ("session", true)] {
        let read = config(&client(&format!("refreshTokenLifetime: '{word}'")));
        assert_eq!(read.clients[0].ends_with_browser, ends, "{word}");
    }
    assert!(!problems(&client("refreshTokenLifetime: forever")).is_empty());
}

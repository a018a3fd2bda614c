//! Lifetimes and logout keys of a client.

use std::time::Duration;

use countersign_core::Limit;

use super::{config, problems};

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

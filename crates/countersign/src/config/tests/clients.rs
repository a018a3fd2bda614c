//! `staticClients`.

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

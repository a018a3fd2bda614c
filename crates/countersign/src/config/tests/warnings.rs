//! Configurations that start with warnings.

use super::{load, problems, with};

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn unusual_settings_get_a_warning() {
    for (block, expected) in [
        (
            "expiry: {}",
            "2:9: warning: expiry.idTokens: is absent: tokens live 24h, and the tokens of an ended session stay valid so long",
        ),
        (
            "expiry:",
            "1:1: warning: expiry.idTokens: is absent: tokens live 24h, and the tokens of an ended session stay valid so long",
        ),
        (
            "expiry: {idTokens: 10m, refreshTokens: {reuseInterval: 3s}}",
            "2:56: warning: expiry.refreshTokens.reuseInterval: found 3s: a client that misses one answer is signed out, expected 10s or more",
        ),
        (
            "expiry: {idTokens: 10m, codes: 11m}",
            "2:32: warning: expiry.codes: is over 10m, the most that RFC 6749 section 4.1.2 recommends",
        ),
        (
            "connectors: [{type: mockCallback, id: mock, name: Mock, grantTypes: [refresh_token]}]",
            "2:69: warning: connectors[0].grantTypes: does not contain authorization_code: nobody can sign in through this connector",
        ),
        (
            "grpc: {addr: ':5557'}",
            "2:14: warning: grpc.addr: [::]:5557 requires no client certificate: whoever can connect can read client secrets and create clients and users: give tlsClientCA, or listen on this machine only",
        ),
        ("grpc: {reflection: true}", "2:7: warning: grpc.addr: is missing: the API is not served"),
        (
            "frontend: {dir: /x}",
            "2:17: warning: frontend.dir: the folder \"/x\" does not exist: the pages look as without it",
        ),
        (
            "frontend: {extra: {tos: 'https://a/'}}",
            "2:25: warning: frontend.extra.tos: has no effect here: it fills in Dex's templates, which are not used: \
             see docs/pages.md",
        ),
        (
            "frontend: {logoURL: 'https://x/logo.png'}",
            "2:21: warning: frontend.logoURL: is not shown without frontend.allowRemoteLogos",
        ),
        (
            "frontend: {logoURL: static/logo.svg}",
            "2:21: warning: frontend.logoURL: is not shown: below the issuer only theme/logo.png and theme/favicon.png of frontend.dir are served",
        ),
        (
            "oauth2: {grantTypes: [authorization_code, implicit]}",
            "2:43: warning: oauth2.grantTypes[1]: has no effect without token or id_token in oauth2.responseTypes",
        ),
        (
            "oauth2: {grantTypes: [authorization_code, password]}",
            "2:43: warning: oauth2.grantTypes[1]: has no effect without oauth2.passwordConnector",
        ),
        (
            "oauth2: {passwordConnector: mock}",
            "2:29: warning: oauth2.passwordConnector: reveals users' passwords to applications (RFC 9700 section 2.4)",
        ),
        (
            "oauth2: {responseTypes: [token]}",
            "2:26: warning: oauth2.responseTypes[0]: puts tokens into addresses of browsers (RFC 9700 section 2.1.2)",
        ),
        (
            "oauth2: {responseTypes: [code, id_token code]}",
            "2:32: warning: oauth2.responseTypes[1]: puts tokens into addresses of browsers (RFC 9700 section 2.1.2)",
        ),
        (
            "oauth2: {pkce: {codeChallengeMethodsSupported: [plain]}}",
            "2:49: warning: oauth2.pkce.codeChallengeMethodsSupported[0]: plain protects nothing that is read on the way (RFC 9700 section 2.1.1)",
        ),
        (
            "sessions: {cookieName: dex_session}",
            "2:24: warning: sessions.cookieName: has no effect here: the name of the cookie is derived from the issuer",
        ),
        (
            "web: {http: ':1', clientRemoteIP: {header: X-Real-IP}}",
            "2:44: warning: web.clientRemoteIP.header: is ignored without trustedProxies, because anybody could send it",
        ),
        (
            "web: {http: ':1', allowedOrigins: ['https://a.example/']}",
            "2:36: warning: web.allowedOrigins[0]: found \"https://a.example/\", which no browser sends, expected an origin such as https://app.example.com",
        ),
        (
            "storage: {type: postgres, config: {database: d, user: u}}",
            "1:1: warning: rootKey: is missing: signing keys rest unsealed in the database, as in Dex",
        ),
    ] {
        assert_eq!(problems(block), [expected], "{block}");
        assert!(load(&with(block)).config.is_some(), "{block}");
    }
}

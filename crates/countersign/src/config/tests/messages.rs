//! Invalid files: every problem with its position, and no secret.

use std::path::Path;

use countersign_config::Severity;

use super::{lines, load, no_environment, problems, read, with};

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let text = "issuer: ftp://login.example.com
storage:
  type: sqlite3
  config:
    fiel: countersign.db
web:
  http: 5556
  https: 0.0.0.0:5554
  tlsMinVersion: 1.2
telemetri: {}
oauth2:
  grantTypes: [authorization_cod]
  passwordConnector: local
expiry:
  idTokens: 1 day
staticPasswords: [{}]
staticClients:
- id: app
  name: 5
- id: app
  secret: ''
mfa: {}
storage: {type: memory}
";
    assert_eq!(
        lines(&load(text)),
        [
            "1:1: connectors: is empty: nobody could sign in; add a connector or set enablePasswordDB: true",
            "1:9: issuer: found \"ftp://login.example.com\", expected a URL such as https://login.example.com/dex",
            "5:5: storage.config.fiel: is not a known key, did you mean file?",
            "5:5: storage.config.file: is missing",
            "7:3: web.tlsCert: is missing, and https needs it",
            "7:3: web.tlsKey: is missing, and https needs it",
            "7:9: web.http: found 5556, expected text: put it in quotes",
            "9:18: web.tlsMinVersion: found 1.2, expected text: put it in quotes",
            "10:1: telemetri: is not a known key, did you mean telemetry?",
            "12:15: oauth2.grantTypes: does not hold authorization_code, without which nobody can sign in",
            "12:16: oauth2.grantTypes[0]: found \"authorization_cod\", which is no grant type, did you mean authorization_code?",
            "13:22: oauth2.passwordConnector: \"local\" is no connector in this file",
            "15:13: expiry.idTokens: found \"1 day\", expected a duration such as 10m or 1h30m",
            "16:18: staticPasswords: needs enablePasswordDB: true",
            "16:19: staticPasswords[0].email: is missing",
            "16:19: staticPasswords[0].hash: is missing: give hash or hashFromEnv",
            "16:19: staticPasswords[0].userID: is missing: with Dex all users without one have the same sub, so each of them is the other to every application; give each an id of its own, such as uuidgen prints, and grant again what was granted to that common sub",
            "18:3: warning: staticClients[0].redirectURIs: is empty: nobody can sign in to this client",
            "18:3: staticClients[0].secret: is missing: give secret or secretEnv, or set public: true",
            "19:9: staticClients[0].name: found 5, expected text: put it in quotes",
            "20:3: staticClients[1].name: is missing",
            "20:3: warning: staticClients[1].redirectURIs: is empty: nobody can sign in to this client",
            "20:7: staticClients[1].id: app is the id of another client above",
            "21:11: staticClients[1].secret: is empty, and the client is not public",
            "22:6: mfa: is a key of Dex that is not supported yet",
            "23:1: storage: is given twice",
        ]
    );
    assert!(load(text).config.is_none());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn each_error_gets_one_message() {
    for (block, expected) in [
        (
            "storage: {type: etcd}",
            "2:17: storage.type: found \"etcd\", which is a storage of Dex that is not served from, only taken over. 1. Stop Dex and run `etcdctl get --prefix \"\" -w json > dex.json`. 2. Write instead of this block `storage: {type: sqlite3, config: {file: /var/lib/countersign/countersign.db}}`, or `type: postgres` for several replicas. 3. Run `countersign import dex --from dex.json --config` with this file, then `countersign serve` with it: see docs/moving-from-dex.md",
        ),
        (
            "storage: {type: sqlite}",
            "2:17: storage.type: found \"sqlite\", expected sqlite3, postgres or memory",
        ),
        ("storage: {type: sqlite3}", "2:10: storage.config: is missing"),
        ("storage:", "2:8: storage: is missing"),
        (
            "storage: {type: postgres, config: {host: a, hosts: [b], database: d, user: u}}",
            "2:52: storage.config.hosts: host and hosts are both given, expected one of them",
        ),
        (
            "storage: {type: postgres, config: {hosts: ['a:x'], database: d, user: u}}",
            "2:44: storage.config.hosts[0]: found \"a:x\", expected a host name or host:port",
        ),
        (
            "storage: {type: postgres, config: {hosts: [], database: d, user: u}}",
            "2:43: storage.config.hosts: names no server",
        ),
        (
            "web: {}",
            "2:6: web.http: is missing: one of http and https is needed, such as 127.0.0.1:5556",
        ),
        (
            "web: {http: ':55x'}",
            "2:13: web.http: found \":55x\", expected host:port such as 127.0.0.1:5556",
        ),
        ("web: [a]", "2:6: web: found a list, expected a map"),
        ("connectors: {a: b}", "2:13: connectors: found a map, expected a list"),
        (
            "staticClients: [{id: a, name: A, public: true, trustedPeers: [[a]]}]",
            "2:63: staticClients[0].trustedPeers[0]: found a list, expected text",
        ),
        (
            "connectors: []",
            "2:13: connectors: is empty: nobody could sign in; add a connector or set enablePasswordDB: true",
        ),
        (
            "connectors: [{type: mockCallback, id: a/b, name: X}]",
            "2:39: connectors[0].id: found \"a/b\", expected a path segment: printable ASCII without / \\ ? # % \" < >, and no space at its ends",
        ),
        (
            "logger: {level: loud}",
            "2:17: logger.level: found \"loud\", expected one of debug, info, warn, error",
        ),
        ("logger: {format: xml}", "2:18: logger.format: found \"xml\", expected one of text, json"),
        (
            "frontend: {theme: pink}",
            "2:19: frontend.theme: found \"pink\", expected one of auto, light, dark",
        ),
        (
            "frontend: {logoURL: 'javascript:alert(1)'}",
            "2:21: frontend.logoURL: expected an http or https URL, or a path",
        ),
        (
            "signer: {type: hsm, config: {addr: x}}",
            "2:16: signer.type: found \"hsm\", expected one of local, vault",
        ),
        (
            "signer: {config: {algorithm: HS256}}",
            "2:30: signer.config.algorithm: found \"HS256\", expected one of RS256, ES256",
        ),
        (
            "sessions: {absoluteLifetime: 1h, validIfNotUsedFor: 2h}",
            "2:53: sessions.validIfNotUsedFor: is longer than absoluteLifetime",
        ),
        (
            "oauth2: {responseTypes: [code, cod]}",
            "2:32: oauth2.responseTypes[1]: found \"cod\", which is no response type, expected words of code, token and id_token",
        ),
        (
            "oauth2: {skipApprovalScreen: 'true'}",
            "2:30: oauth2.skipApprovalScreen: found text, expected true or false",
        ),
        (
            "oauth2: {pkce: {codeChallengeMethodsSupported: [s256]}}",
            "2:49: oauth2.pkce.codeChallengeMethodsSupported[0]: found \"s256\", expected S256 or plain",
        ),
        ("expiry: {idTokens: 0s}", "2:20: expiry.idTokens: found 0s, expected 1s or more"),
        // A login that takes longer would begin again without an end (threat 168).
        (
            "sessions: {absoluteLifetime: 30s}",
            "2:30: sessions.absoluteLifetime: found 30s, expected 1m or more",
        ),
        ("rootKey: short", "2:10: rootKey: is too short, expected at least 32 characters"),
        ("rootKey: []", "2:10: rootKey: is an empty list"),
        (
            "rootKey: 11111111111111111111111111111111",
            "2:10: rootKey: found a number or boolean, expected text: put it in quotes",
        ),
        (
            "rootKeyEnv: A\nrootKeyFile: b",
            "3:14: rootKeyFile: is given together with rootKeyEnv, expected only one of them",
        ),
        ("rootKeyEnv: A", "2:13: rootKeyEnv: the environment variable \"A\" is not set or empty"),
        (
            "web: {http: ':1', clientRemoteIP: {header: X, trustedProxies: [10.0.0.1/8]}}",
            "2:64: web.clientRemoteIP.trustedProxies[0]: found \"10.0.0.1/8\", expected a network such as 10.0.0.0/8",
        ),
        (
            "web: {http: ':1', headers: {X-Frame-Options: \"a\\nb\"}}",
            "2:46: web.headers.X-Frame-Options: holds characters that a header cannot (RFC 9110 section 5.5)",
        ),
        (
            "web: {http: ':1', headers: {X-Frame-Option: DENY}}",
            "2:29: web.headers.X-Frame-Option: is not a known key, did you mean X-Frame-Options?",
        ),
        (
            "enablePasswordDB: true\nconnectors: [{type: mockCallback, id: local, name: X}]",
            "3:39: connectors[0].id: is the id of the password database (enablePasswordDB), expected another",
        ),
    ] {
        let found = problems(block);
        let errors: Vec<&String> =
            found.iter().filter(|line| !line.contains(": warning: ")).collect();
        assert_eq!(errors.len(), 1, "{block}: {found:?}");
        assert!(
            errors.first().is_some_and(|line| line.starts_with(expected)),
            "{block}: {found:?}"
        );
    }
}

#[test]
fn an_issuer_is_a_url_without_query_or_fragment() {
    for (issuer, expected) in [
        ("https://login.example.com/dex", ""),
        ("https://login.example.com", ""),
        ("http://127.0.0.1:5556/dex", ""),
        ("http://[::1]:5556", ""),
        ("http://localhost/a/b", ""),
        (
            "http://login.example.com",
            "warning: issuer: is http beyond this machine: expected https, or passwords travel in clear",
        ),
        (
            "https://login.example.com/",
            "warning: issuer: ends with a slash, which every application must then write as well",
        ),
        (
            "https://Login.example.com:443/dex",
            "warning: issuer: is not written as most programs write it: https://login.example.com/dex",
        ),
        ("https://login.example.com/dex?x", "expected no query and no fragment"),
        ("https://login.example.com/dex#x", "expected no query and no fragment"),
        ("https://me@login.example.com", "expected no user in it"),
        ("https://login.example.com/a b", "expected a URL such as https://login.example.com/dex"),
        ("https:login.example.com", "expected a URL such as https://login.example.com/dex"),
        ("/dex", "expected a URL such as https://login.example.com/dex"),
        (
            "https://login.example.com//dex",
            "expected a path of letters, digits, '-', '.', '_' and '~'",
        ),
        (
            "https://login.example.com/a/../b",
            "expected a path of letters, digits, '-', '.', '_' and '~'",
        ),
        (
            "https://login.example.com/a%2f;b",
            "expected a path of letters, digits, '-', '.', '_' and '~'",
        ),
    ] {
        let loaded =
            load(&with("").replace("https://login.example.com/dex", &format!("'{issuer}'")));
        let report = loaded.to_string();
        assert!(report.trim_end().ends_with(expected), "{issuer}: {report}");
        assert_eq!(report.is_empty(), expected.is_empty(), "{issuer}: {report}");
        if let Some(config) = loaded.config {
            assert_eq!(config.issuer.as_str(), issuer, "unchanged");
        }
    }
}

#[test]
fn unknown_keys_are_warnings_when_lenient() {
    let text = with("isuer: x\n");
    let loaded = read(&text, Path::new("config.yaml"), &no_environment, true);
    assert_eq!(lines(&loaded), ["2:1: warning: isuer: is not a known key, did you mean issuer?"]);
    assert!(loaded.config.is_some());
}

#[test]
fn a_malformed_file_has_one_problem() {
    for (text, expected) in [
        ("", "1:1: found nothing, expected a map"),
        ("- a\n", "1:1: found a list, expected a map"),
        ("issuer: [x\n", "1:9: is not YAML: unclosed bracket '['"),
        ("a: 1\n---\nb: 1\n", "2:1: is a second document; there must be one"),
    ] {
        assert_eq!(lines(&load(text)), [expected], "{text:?}");
    }
}

#[test]
fn no_message_contains_a_secret() {
    let text = with("rootKey: [hunter2, [hunter2]]
storage: {type: postgres, config: {database: d, user: u, password: {hunter2: hunter2}, port: x}}
staticClients: [{id: a, name: a, secret: 12345678, secretEnv: x}, {id: b, name: b, secret: [hunter2]}, {id: c, name: c, secret: 12345678}]
sessions: {cookieEncryptionKey: hunter2}
connectors:
- {type: ldap, id: m, name: M, config: {bindDN: u, bindPW: 12345678}}
- {type: mockPassword, id: n, name: M, config: {username: u, password: 'a$hunter2'}}
enablePasswordDB: true
staticPasswords: [{email: a@b.c, userID: u, hash: hunter2}]
");
    let loaded = load(&text);
    assert!(loaded.errors() >= 6, "{loaded}");
    for problem in &loaded.problems {
        for secret in ["hunter2", "12345678"] {
            assert!(!problem.message.contains(secret), "{problem}");
        }
    }
    assert!(loaded.problems.iter().any(|problem| problem.severity == Severity::Warning));
}

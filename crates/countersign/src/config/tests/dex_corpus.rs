//! Kinds of configuration that users publish for Dex: the smallest input of each, what Dex 2.45.1 does with it, and
//! this program's messages.

use std::path::Path;

use super::{Addresses, lines, load, no_environment, problems, read_blocks, with};
use crate::config::Listen;

/// A connector at an OAuth 2.0 upstream, with these further keys of `config`.
macro_rules! oauth {
    ($type:literal, $more:literal) => {
        concat!(
            "connectors: [{type: ",
            $type,
            ", id: c, name: C, config: {clientID: c, clientSecret: s, redirectURI: \
             'https://login.example.com/dex/callback'",
            $more,
            "}}]"
        )
    };
}

/// An LDAP connector, with these further keys of `config`.
macro_rules! ldap {
    ($more:literal) => {
        concat!(
            "connectors: [{type: ldap, id: l, name: L, config: {host: ldap.example.com, userSearch: {baseDN: 'dc=a', \
             username: uid, idAttr: uid, emailAttr: mail}",
            $more,
            "}}]"
        )
    };
}

const SERVED: [&str; 25] = [
    // Go's zero values: an empty text counts as absent.
    "logger: {format: '', level: ''}",
    "web: {http: ':1', https: '', tlsMinVersion: '', tlsMaxVersion: '', tlsCert: ''}",
    "staticClients: [{id: a, name: A, secret: s, secretEnv: '', idEnv: '', redirectURIs: ['https://a/cb']}]",
    "oauth2: {passwordConnector: ''}",
    // An empty list counts as absent.
    "staticPasswords: []\nenablePasswordDB: false",
    // The id is percent-encoded in paths.
    "connectors: [{type: mockCallback, id: 'Mock: first', name: Mock}]",
    "frontend: {logoURL: theme/logo.png, theme: dark}",
    "storage: {type: sqlite3, config: {file: /var/dex/dex.db}}\nrootKey: 0123456789abcdef0123456789abcdef",
    "storage: {type: sqlite3, config: {file: ':memory:'}}",
    "telemetry: {http: 0.0.0.0:5558}",
    "grpc: {addr: 127.0.0.1:5557}",
    // The device flow, with and without the issuer's path.
    "staticClients: [{id: cli, name: Cli, public: true, redirectURIs: [/device/callback]}]",
    "staticClients: [{id: cli, name: Cli, secret: s, redirectURIs: [/dex/device/callback]}]",
    "oauth2: {grantTypes: [authorization_code, 'urn:ietf:params:oauth:grant-type:token-exchange']}",
    "oauth2: {grantTypes: [authorization_code, client_credentials]}",
    oauth!(
        "oidc",
        ", issuer: 'https://a.example', claimMapping: {groups: resource_access.app.roles}"
    ),
    oauth!("openshift", ", issuer: 'https://api.example.com:6443'"),
    oauth!(
        "oauth",
        ", tokenURL: 'https://a/t', authorizationURL: 'https://a/a', userInfoURL: 'https://a/u'"
    ),
    oauth!("gitea", ", baseURL: 'https://gitea.example.com'"),
    oauth!("bitbucket-cloud", ", teams: [team]"),
    "connectors: [{type: keystone, id: k, name: K, config: {keystoneHost: 'https://keystone.example.com', domain: \
     default, keystoneUsername: admin, keystonePassword: p}}]",
    "connectors: [{type: atlassian-crowd, id: c, name: C, config: {baseURL: 'https://crowd.example.com/crowd', \
     clientID: c, clientSecret: s, groups: [g]}}]",
    // Nested groups of Active Directory: a matching rule.
    ldap!(
        ", groupSearch: {baseDN: 'dc=a', nameAttr: cn, userMatchers: [{userAttr: DN, groupAttr: \
         'member:1.2.840.113556.1.4.1941:'}]}"
    ),
    // An oidc connector for token exchange alone: with the audience of the tokens, and no secret.
    "connectors: [{type: oidc, id: ci, name: CI, config: {issuer: 'https://token.actions.githubusercontent.com', \
     clientID: our-audience, userNameKey: sub}}]",
    "signer: {type: local, config: {keysRotationPeriod: 6h}}",
];

const SERVED_WITH_A_WARNING: [(&str, &str); 13] = [
    // Stock Kubeflow.
    (
        "staticClients: [{id: a, name: A, secret: s, redirectURIs: [/oauth2/callback]}]",
        "is relative: the browser is sent to this path on the host of the issuer",
    ),
    (
        "staticClients: [{id: 'my app', name: A, public: true}]",
        "contains a space: the scope audience:server:client_id: cannot name this client",
    ),
    // The directory of Dex's image, with a custom theme in it.
    (
        "frontend: {dir: /srv/dex/web, theme: company}",
        "does not exist: the pages look as without it",
    ),
    ("frontend: {extra: {tos: 'https://a/'}}", "it fills in Dex's templates, which are not used"),
    // The newest Dex.
    (
        ldap!(", kerberos: {enabled: true, fallbackToPassword: true}"),
        "kerberos.enabled: Kerberos tickets are not accepted here: people type their password",
    ),
    ("oauth2: {responseTypes: [code, token, id_token]}", "puts tokens into addresses of browsers"),
    (
        "oauth2: {passwordConnector: local}\nenablePasswordDB: true",
        "reveals users' passwords to applications",
    ),
    (
        "connectors: [{type: mockCallback, id: m, name: M, grantTypes: \
         ['urn:ietf:params:oauth:grant-type:token-exchange']}]",
        "does not contain authorization_code: nobody can sign in through this connector",
    ),
    (
        oauth!("openshift", ", issuer: 'https://api.example.com:6443', insecureCA: true"),
        "lets anybody on the network path sign in as anybody: use rootCA",
    ),
    (
        ldap!(", groupSearch: {baseDN: 'dc=a', userAttr: DN, groupAttr: member, nameAttr: cn}"),
        "is deprecated, use userMatchers",
    ),
    (
        oauth!("github", ", org: a"),
        "lets everybody in, whatever organization they are in, as in Dex",
    ),
    (
        "storage: {type: postgres, config: {host: db, database: dex, user: dex, password: p}}",
        "rootKey: is missing: signing keys rest unsealed in the database, as in Dex",
    ),
    ("grpc: {addr: 0.0.0.0:5557}", "requires no client certificate"),
];

const REFUSED_FOR_A_DANGER: [(&str, &str); 10] = [
    (
        "enablePasswordDB: true\nstaticPasswords: [{email: a@b.c, username: a, hash: $2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W}]",
        "staticPasswords[0].userID: is missing: with Dex all users without one have the same sub",
    ),
    (
        "connectors: [{type: authproxy, id: p, name: P, config: {}}]",
        "trustedProxies: is missing: without it anybody who reaches this server could sign in as anybody",
    ),
    (ldap!(", kerberos: {enabled: true}"), "without fallbackToPassword Dex accepts nothing else"),
    (
        "staticClients: [{id: a, name: A, secretEnv: NOWHERE, redirectURIs: ['https://a/cb']}]",
        "the environment variable NOWHERE is not set",
    ),
    (
        "staticClients: [{id: a, name: A, secret: s, redirectURIs: ['//b/cb']}]",
        "expected an absolute URI",
    ),
    // Token exchange alone.
    (
        "connectors: [{type: oidc, id: ci, name: CI, config: {issuer: 'https://token.actions.githubusercontent.com', \
         userNameKey: sub}}]",
        "clientID: is missing: tokens are accepted only if they were issued to this client. For token exchange alone",
    ),
    (
        "connectors: [{type: saml, id: s, name: S, config: {ssoURL: 'https://idp.example.com/sso', usernameAttr: name, \
         emailAttr: email, insecureSkipSignatureValidation: true}}]",
        "insecureSkipSignatureValidation: would let anybody sign in as anybody: remove it and give",
    ),
    (
        ldap!(", groupSearch: {baseDN: 'dc=a', nameAttr: cn}"),
        "userMatchers: is missing: without it nobody has a group. Give it",
    ),
    // Unknown keys, which Dex ignores.
    (
        "staticClients: [{id: a, name: A, secret: s, redirectURI: 'https://a/cb'}]",
        "redirectURI: is not a known key, did you mean redirectURIs?",
    ),
    (
        oauth!("oidc", ", issuer: 'https://a.example', hostedDomains: [a.example]"),
        "hostedDomains: is not for this connector, as in Dex: use a connector of type google",
    ),
];

/// Dex does not start with these either, or they cannot be used in it.
const REFUSED_BY_DEX_TOO: [(&str, &str); 7] = [
    ("connectors: []", "is empty: nobody could sign in"),
    ("staticClients: [{id: a, secret: s, redirectURIs: ['https://a/cb']}]", "name: is missing"),
    (
        "enablePasswordDB: true\nstaticPasswords: [{email: a@b.c, username: a, userID: '1', hash: not-a-hash}]",
        "hash: is neither a bcrypt nor an argon2id hash",
    ),
    (oauth!("google", ", serviceAccountFilePath: /sa.json"), "domainToAdminEmail: is missing"),
    (
        "connectors: [{type: mockCallback, id: 'https://idp.example.com', name: M}]",
        "id: found \"https://idp.example.com\", expected a path segment",
    ),
    ("oauth2: {passwordConnector: local}", "\"local\" is no connector in this file"),
    (
        "connectors: [{type: saml, id: s, name: S, config: {usernameAttr: name}}]",
        "ssoURL: is missing",
    ),
];

/// Storages whose data can be imported, and that are not served from.
const ONLY_IMPORTED: [(&str, &str); 3] = [
    (
        "storage: {type: kubernetes, config: {inCluster: true}}",
        "kubectl get -n NAMESPACE_OF_DEX -o json",
    ),
    (
        "storage: {type: etcd, config: {endpoints: ['http://e:2379'], namespace: dex/}}",
        "etcdctl get --prefix dex/",
    ),
    (
        "storage: {type: mysql, config: {host: db, database: d, user: u}}",
        "mysqldump --hex-blob --single-transaction",
    ),
];

/// Dex accepts these, and so does this program, without a message.
#[test]
fn what_dex_serves_and_is_served_here_too() {
    for block in SERVED {
        assert_eq!(problems(block), [""; 0], "{block}");
        assert!(load(&with(block)).config.is_some(), "{block}");
    }
}

/// Dex accepts these; this program accepts them with a warning.
#[test]
fn what_dex_serves_and_is_served_here_with_a_warning() {
    for (block, warning) in SERVED_WITH_A_WARNING {
        let loaded = load(&with(block));
        let found = lines(&loaded);
        assert!(
            found.iter().any(|line| line.contains("warning") && line.contains(warning)),
            "{found:?}"
        );
        assert!(loaded.config.is_some(), "{found:?}");
    }
}

/// Dex accepts these; this program refuses them because of a security risk, or because they do not do what they seem
/// to, with the remedy.
#[test]
fn what_dex_serves_and_is_refused_here_for_a_danger() {
    for (block, danger) in REFUSED_FOR_A_DANGER {
        let found = problems(block);
        assert!(found.iter().any(|line| line.contains(danger)), "{found:?}");
        assert!(load(&with(block)).config.is_none(), "{block}");
    }
}

#[test]
fn what_dex_refuses_and_is_refused_here_too() {
    for (block, reason) in REFUSED_BY_DEX_TOO {
        let found = problems(block);
        assert!(found.iter().any(|line| line.contains(reason)), "{found:?}");
        assert!(load(&with(block)).config.is_none(), "{block}");
    }
}

/// The steps to take instead, with the values of the file.
#[test]
fn what_is_only_imported_is_refused_with_the_steps() {
    for (block, export) in ONLY_IMPORTED {
        let found = problems(block);
        let [line] = found.as_slice() else { panic!("{found:?}") };
        for step in [export, "storage: {type: sqlite3", "countersign import dex --from"] {
            assert!(line.contains(step), "{step}: {line}");
        }
    }
}

/// Dex's Helm chart: no block `web`, and the addresses on the command line.
#[test]
fn a_file_is_judged_with_the_addresses_of_the_command_line() {
    let text = "issuer: https://login.example.com/dex\nstorage: {type: memory}\nexpiry: {idTokens: 10m}\n\
                connectors: [{type: mockCallback, id: mock, name: Mock}]\n";
    assert_eq!(lines(&load(text)), ["1:1: web: is missing: web.http or web.https is required"]);
    let addresses = Addresses { web_http: Listen::parse("0.0.0.0:5556"), ..Addresses::default() };
    let loaded =
        countersign_config::read(text, Path::new("config.yaml"), &no_environment, false, |root| {
            read_blocks(root, &no_environment, &addresses)
        });
    assert_eq!(lines(&loaded), [""; 0]);
    assert_eq!(loaded.config.unwrap().web.http, Listen::parse("0.0.0.0:5556"));
}

/// `DEX_FRONTEND_DIR`, which Dex's image sets, and its directory.
#[test]
fn the_theme_of_dexs_folder_is_used_and_its_templates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let theme = folder.path().join("themes/company");
    let templates = folder.path().join("templates");
    std::fs::create_dir_all(&theme).unwrap();
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(theme.join("styles.css"), "body { color: red }").unwrap();
    std::fs::write(templates.join("login.html"), "{{ template }}").unwrap();
    let env = |name: &str| {
        (name == "DEX_FRONTEND_DIR").then(|| folder.path().to_str().unwrap().to_owned())
    };
    let text = with("frontend: {theme: company}");
    let loaded = super::read(&text, Path::new("config.yaml"), &env, false);
    let found = lines(&loaded);
    assert!(found[0].contains("templates/login.html is not used"), "{found:?}");
    assert_eq!(loaded.config.unwrap().frontend.dir.theme.styles.unwrap(), b"body { color: red }");
}

//! Kinds of configuration that users publish for Dex: the smallest input of each, what Dex 2.45.1 does with it, and
//! this program's messages.

use std::path::Path;

use super::{Addresses, lines, load, no_environment, problems, read_blocks, with};
use crate::config::Listen;

/// Dex accepts these, and so does this program, without a message.
#[test]
fn what_dex_serves_and_is_served_here_too() {
    for block in [
        // Go's zero values: an empty text counts as absent.
        "logger: {format: '', level: ''}",
        "web: {http: ':1', https: '', tlsMinVersion: '', tlsMaxVersion: '', tlsCert: ''}",
        "staticClients: [{id: a, name: A, secret: s, secretEnv: '', idEnv: '', redirectURIs: ['https://a/cb']}]",
        // An empty list counts as absent.
        "staticPasswords: []\nenablePasswordDB: false",
        // The id is percent-encoded in paths.
        "connectors: [{type: mockCallback, id: 'Mock: first', name: Mock}]",
        "frontend: {logoURL: theme/logo.png, theme: dark}",
    ] {
        assert_eq!(problems(block), [""; 0], "{block}");
        assert!(load(&with(block)).config.is_some(), "{block}");
    }
}

/// Dex accepts these; this program accepts them with a warning.
#[test]
fn what_dex_serves_and_is_served_here_with_a_warning() {
    for (block, warning) in [
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
        (
            "frontend: {extra: {tos: 'https://a/'}}",
            "it fills in Dex's templates, which are not used",
        ),
        // The newest Dex.
        (
            "connectors: [{type: ldap, id: l, name: L, config: {host: ldap.example.com, kerberos: {enabled: true, fallbackToPassword: true}, userSearch: {baseDN: 'dc=a', username: uid, idAttr: uid, emailAttr: mail}}}]",
            "kerberos.enabled: Kerberos tickets are not accepted here: people type their password",
        ),
    ] {
        let loaded = load(&with(block));
        let found = lines(&loaded);
        assert!(
            found.iter().any(|line| line.contains("warning") && line.contains(warning)),
            "{found:?}"
        );
        assert!(loaded.config.is_some(), "{found:?}");
    }
}

/// Dex accepts these; this program refuses them because of a security risk, with the remedy.
#[test]
fn what_dex_serves_and_is_refused_here_for_a_danger() {
    for (block, danger) in [
        (
            "enablePasswordDB: true\nstaticPasswords: [{email: a@b.c, username: a, hash: $2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W}]",
            "staticPasswords[0].userID: is missing: with Dex all users without one have the same sub",
        ),
        ("connectors: [{type: authproxy, id: p, name: P, config: {}}]", "trustedProxies"),
        (
            "connectors: [{type: ldap, id: l, name: L, config: {host: ldap.example.com, kerberos: {enabled: true}, userSearch: {baseDN: 'dc=a', username: uid, idAttr: uid, emailAttr: mail}}}]",
            "without fallbackToPassword Dex accepts nothing else",
        ),
        (
            "staticClients: [{id: a, name: A, secretEnv: NOWHERE, redirectURIs: ['https://a/cb']}]",
            "the environment variable NOWHERE is not set",
        ),
        (
            "staticClients: [{id: a, name: A, secret: s, redirectURIs: ['//b/cb']}]",
            "expected an absolute URI",
        ),
    ] {
        let found = problems(block);
        assert!(found.iter().any(|line| line.contains(danger)), "{found:?}");
        assert!(load(&with(block)).config.is_none(), "{block}");
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
    assert_eq!(loaded.config.unwrap().frontend.files.styles.unwrap(), b"body { color: red }");
}

//! `signer.type: vault`: the keys of Dex, and what stands in for them in the environment.

use std::path::Path;

use super::{no_environment, read, with};
use crate::config::Loaded;

fn load(signer: &str, variables: &[(&str, &str)]) -> Loaded {
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    read(&with(signer), Path::new("config.yaml"), &env, false)
}

fn signer_of(loaded: &Loaded) -> String {
    let config = loaded.config.as_ref().unwrap_or_else(|| panic!("{loaded}"));
    config.signer.external.as_ref().unwrap().name().to_owned()
}

const COMPLETE: &str = "signer:
  type: vault
  config:
    addr: https://vault.example.com:8200/
    token: hvs.secret-of-the-file
    keyName: dex
";

#[test]
fn the_keys_of_dex_are_read() {
    let loaded = load(COMPLETE, &[]);
    assert_eq!(loaded.to_string(), "");
    assert_eq!(signer_of(&loaded), "transit/keys/dex at https://vault.example.com:8200");
    let summary = loaded.config.unwrap().summary();
    assert!(summary.contains("signing     transit/keys/dex at https://vault"), "{summary}");
    let other =
        format!("{COMPLETE}    mount: /pki/transit/\n    timeout: 3s\n    namespace: team\n");
    assert!(signer_of(&load(&other, &[])).starts_with("pki/transit/keys/dex at"));
}

#[test]
fn variables_stand_in_for_absent_keys_and_openbaos_come_first() {
    let block = "signer: {type: vault, config: {keyName: dex}}\n";
    let vault = [("VAULT_ADDR", "https://vault.example.com"), ("VAULT_TOKEN", "hvs.t")];
    assert_eq!(signer_of(&load(block, &vault)), "transit/keys/dex at https://vault.example.com");
    let both = [vault.as_slice(), &[("BAO_ADDR", "https://bao.example.com")]].concat();
    assert_eq!(signer_of(&load(block, &both)), "transit/keys/dex at https://bao.example.com");
    assert!(signer_of(&load(COMPLETE, &both)).ends_with("at https://vault.example.com:8200"));
    let expanded = COMPLETE.replace("hvs.secret-of-the-file", "$MY_TOKEN");
    assert_eq!(load(&expanded, &[("MY_TOKEN", "hvs.t")]).to_string(), "");
}

#[test]
fn each_problem_is_named_without_the_token() {
    let replaced = |from: &str, to: &str| COMPLETE.replace(from, to);
    let short = |config: &str| format!("signer: {{type: vault, config: {{{config}}}}}\n");
    for (block, expected) in [
        (
            short("token: t, keyName: dex"),
            "config.addr: is missing, and so is the environment variable VAULT_ADDR",
        ),
        (
            short("addr: 'https://v', keyName: dex"),
            "config.token: is missing: give token, tokenFile or the environment",
        ),
        (short("addr: 'https://v', token: t"), "config.keyName: is missing"),
        (
            "signer: {type: vault}\n".to_owned(),
            "signer.config: is missing, expected addr, token and keyName",
        ),
        (
            replaced("https:", "ftp:"),
            "config.addr: found \"ftp://vault.example.com:8200/\", expected an https URL",
        ),
        (
            replaced("keyName: dex", "keyName: dex/../x"),
            "config.keyName: found \"dex/../x\", expected letters, digits",
        ),
        (
            format!("{COMPLETE}    mount: a//b\n"),
            "config.mount: found \"\", expected letters, digits",
        ),
        (
            format!("{COMPLETE}    tokenFile: /x\n"),
            "config.tokenFile: is given together with token, expected only one",
        ),
        (
            replaced("token: hvs.secret-of-the-file", "tokenFile: /nowhere/x"),
            "config.tokenFile: the file /nowhere/x cannot be read",
        ),
        (
            format!("{COMPLETE}    timeout: 1m\n"),
            "config.timeout: must be longer than 0s and at most 30s",
        ),
        (format!("{COMPLETE}    rootCA: /nowhere/x\n"), "config.rootCA: cannot read /nowhere/x"),
        (format!("{COMPLETE}    adr: x\n"), "config.adr"),
        (
            format!("{COMPLETE}  accessTokenAlgorithm: ES256\n"),
            "signer.accessTokenAlgorithm: has no effect with type vault",
        ),
    ] {
        let loaded = read(&with(&block), Path::new("config.yaml"), &no_environment, false);
        let text = loaded.to_string();
        assert!(loaded.errors() > 0 && text.contains(expected), "{expected}\n{text}");
        assert!(!text.contains("hvs.secret"), "{text}");
    }
}

/// Otherwise the first request would fail.
#[test]
fn a_token_or_namespace_that_fits_no_header_is_refused_and_a_line_end_is_not() {
    let without_token = COMPLETE.replace("    token: hvs.secret-of-the-file\n", "");
    let refused = "has a character that no header can have";
    for (block, variables, expected) in [
        (
            COMPLETE.replace("hvs.secret-of-the-file", "\"hvs.secret\\nof-the-file\""),
            ("X", "x"),
            format!("config.token: {refused}"),
        ),
        (
            without_token.clone(),
            ("VAULT_TOKEN", "hvs.secret\nof"),
            format!("config.token: the environment variable VAULT_TOKEN {refused}"),
        ),
        (
            format!("{COMPLETE}    namespace: \"team\\na\"\n"),
            ("X", "x"),
            format!("config.namespace: {refused}"),
        ),
        (
            COMPLETE.to_owned(),
            ("VAULT_NAMESPACE", "team\na"),
            format!("config.namespace: the environment variable VAULT_NAMESPACE {refused}"),
        ),
    ] {
        let text = load(&block, &[variables]).to_string();
        assert!(text.contains(&expected), "{expected}\n{text}");
        assert!(!text.contains("hvs.secret"), "{text}");
    }
    let variables = [("VAULT_TOKEN", "hvs.secret\n"), ("VAULT_NAMESPACE", "team-a\n")];
    assert_eq!(load(&without_token, &variables).to_string(), "");
}

#[test]
fn a_certificate_file_of_the_environment_that_cannot_be_read_is_an_error() {
    let text = load(COMPLETE, &[("VAULT_CACERT", "/nowhere/ca.pem")]).to_string();
    assert!(
        text.contains("config.rootCA: the file of VAULT_CACERT (/nowhere/ca.pem): cannot read"),
        "{text}"
    );
    let own = format!("{COMPLETE}    rootCA: \"\"\n");
    assert_eq!(load(&own, &[("VAULT_CACERT", "/nowhere/ca.pem")]).to_string(), "");
}

//! `storage` of a configuration file of Dex, from which `countersign import dex` reads.

use std::path::Path;

use countersign_import::Source;
use countersign_store::dex::MySqlOptions;
use countersign_store::{Location, SslMode};

use super::super::storage::read_dex;

/// The errors, one for each line; blocks other than `storage` are none.
fn source(storage: &str) -> Result<Source, Vec<String>> {
    let text = format!("issuer: http://dex.example.com\nweb: {{}}\nstorage: {storage}\n");
    let env = |name: &str| (name == "PASSWORD").then(|| "of-the-environment".to_owned());
    let loaded = countersign_config::read(&text, Path::new("dex.yaml"), &env, true, read_dex);
    let messages: Vec<String> =
        loaded.problems.iter().map(|problem| problem.message.clone()).collect();
    loaded.config.ok_or(messages)
}

fn mysql(config: &str) -> MySqlOptions {
    let config = format!("{{type: mysql, config: {{database: d, user: u, {config}}}}}");
    match source(&config) {
        Ok(Source::MySql(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_and_defaults_are_those_of_dex() {
    let defaults = mysql("password: $PASSWORD");
    assert_eq!(defaults.to_string(), "d on localhost:3306 as u");
    assert_eq!(defaults.password.expose(), "of-the-environment");
    assert_eq!(defaults.ssl_mode, SslMode::VerifyFull);
    let all = "host: db, port: 3307, maxOpenConns: 3, params: {a: b}, ssl: {caFile: /ca.pem}";
    let all = mysql(all);
    assert_eq!(all.to_string(), "d on db:3307 as u");
    assert_eq!(all.ssl_root_cert.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(mysql("host: /run/m.sock").to_string(), "d on /run/m.sock as u");
}

#[test]
fn modes_of_tls_are_those_of_dexs_driver() {
    let mode = |ssl: &str| mysql(&format!("ssl: {{{ssl}}}")).ssl_mode;
    assert_eq!(mode("mode: 'true'"), SslMode::VerifyFull);
    assert_eq!(mode("mode: skip-verify"), SslMode::Require);
    assert_eq!(mode("mode: preferred"), SslMode::Prefer);
    assert_eq!(mode("mode: 'false'"), SslMode::Disable);
    // With a file of its own Dex verifies, whatever the mode is.
    assert_eq!(mode("mode: skip-verify, caFile: /ca.pem"), SslMode::VerifyFull);
}

#[test]
fn other_storages_are_read_as_for_the_server() {
    let found = source("{type: sqlite3, config: {file: /var/dex/dex.db}}").unwrap();
    assert!(matches!(found, Source::Database(Location::Sqlite { .. })), "{found:?}");
    for (storage, message) in [
        ("{type: memory}", "is in memory, from which nothing can be read"),
        ("{type: mysql}", "is missing"),
        ("{type: etcd, config: {endpoints: [e]}}", "etcdctl get"),
    ] {
        let messages = source(storage).unwrap_err();
        assert!(messages.iter().any(|found| found.contains(message)), "{messages:?}");
    }
}

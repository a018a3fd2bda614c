//! Valid files and the resulting configuration.

use std::time::Duration;

use countersign_core::session::ChallengeMethod;
use countersign_core::{DeviceRequestLimits, GrantType, Limits};
use countersign_server::pages::Theme;
use countersign_store::{Location, SslMode};

use super::config;
use crate::config::{Algorithm, Listen, LogFormat, LogLevel, RootKeys};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn defaults_of_absent_keys() {
    let config = config("expiry:");
    assert_eq!(config.issuer.as_str(), "https://login.example.com/dex");
    assert!(matches!((&config.storage, &config.root_keys), (Location::Memory, RootKeys::None)));
    assert_eq!(config.expiry.id_tokens, HOUR * 24);
    assert_eq!(config.expiry.auth_requests, HOUR);
    assert_eq!(config.expiry.codes, Duration::from_mins(1));
    let refresh = &config.expiry.refresh_tokens;
    assert!(refresh.rotate);
    assert_eq!(refresh.reuse_interval, Duration::from_secs(30));
    assert_eq!((refresh.absolute_lifetime, refresh.valid_if_not_used_for), (None, None));
    assert_eq!(config.signer.algorithm, Algorithm::Rs256);
    assert_eq!(config.signer.rotation_period, HOUR * 6);
    assert!(config.sessions.sso);
    assert_eq!(config.sessions.absolute_lifetime, HOUR * 24);
    assert_eq!(config.sessions.idle_lifetime, HOUR * 8);
    assert_eq!(config.sessions.upstream_refresh_interval, Duration::from_mins(5));
    assert_eq!(config.sessions.max_snapshot_age, HOUR);
    assert_eq!(
        config.oauth2.grant_types,
        [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode]
    );
    assert_eq!(config.oauth2.pkce.methods, [ChallengeMethod::S256]);
    assert!(config.oauth2.pkce.required_for_public_clients && !config.oauth2.pkce.enforce);
    assert!(!config.oauth2.strict_scopes && !config.oauth2.skip_approval_screen);
    assert_eq!(config.frontend.theme, Theme::Auto);
    assert_eq!((config.logger.level, config.logger.format), (LogLevel::Info, None));
    assert_eq!(config.web.allowed_headers, ["Authorization"]);
    assert_eq!(config.limits, Limits::default());
    assert_eq!((config.retention.events, config.retention.memberships), (HOUR * 9600, HOUR * 9600));
    assert!(config.telemetry.is_none() && config.password_db.is_none());
}

#[test]
fn configured_values_are_used() {
    let config = config(
        "ISSUER2: null
storage:
  type: postgres
  config: {host: db, port: 6432, database: d, user: u, maxOpenConns: 9, connMaxLifetime: 60, ssl: {mode: verify-ca, caFile: /ca}}
rootKey: ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210']
telemetry: {http: ':5558'}
logger: {level: WARN, format: json, excludeFields: [email]}
frontend: {theme: tectonic, issuer: Example, logoURL: 'https://x/l.png', allowRemoteLogos: yes}
oauth2: {grantTypes: [authorization_code], skipApprovalScreen: on, strictScopes: true, pkce: {enforce: true, requireForPublicClients: false}}
expiry: {deviceRequests: 10m, idTokens: 5m, signingKeys: 12h, refreshTokens: {reuseInterval: '', absoluteLifetime: 0s, validIfNotUsedFor: 720h, disableRotation: true}}
signer: {type: local, config: {algorithm: ES256, keysRotationPeriod: 3h}}
sessions: {sso: false, absoluteLifetime: 4h}
limits: {connections: 100, streamsPerConnection: 8, requestBodies: 20, headerBytes: 16384, deviceRequests: 7, deviceRequestsPerAddress: 3, unansweredCommits: 50, passwordHashing: {threads: 3, queue: 5}}
retention: {events: 24h, memberships: 48h}
"
        .replace("ISSUER2: null\n", "")
        .as_str(),
    );
    let Location::Postgres(pg) = &config.storage else { panic!("postgres") };
    let server = pg.hosts.first().map(|host| (host.name.as_str(), host.port));
    assert_eq!((server, pg.hosts.len(), pg.max_connections), (Some(("db", 6432)), 1, 9));
    assert_eq!(pg.max_lifetime, Some(Duration::from_mins(1)));
    assert_eq!((pg.ssl_mode, pg.ssl_root_cert.is_some()), (SslMode::VerifyCa, true));
    assert!(matches!(&config.root_keys, RootKeys::Keys(keys) if keys.len() == 2));
    assert_eq!(config.telemetry, Some(Listen { host: "::".into(), port: 5558 }));
    assert_eq!(
        (config.logger.level, config.logger.format),
        (LogLevel::Warn, Some(LogFormat::Json))
    );
    assert_eq!(config.frontend.theme, Theme::Light);
    assert_eq!(config.frontend.logo_url.as_deref(), Some("https://x/l.png"));
    assert_eq!(config.oauth2.grant_types, [GrantType::AuthorizationCode]);
    assert!(config.oauth2.pkce.enforce && !config.oauth2.pkce.required_for_public_clients);
    let refresh = &config.expiry.refresh_tokens;
    assert_eq!(refresh.reuse_interval, Duration::from_secs(30), "empty is absent, as in Dex");
    assert_eq!(refresh.absolute_lifetime, None, "zero is no end, as in Dex");
    assert_eq!(refresh.valid_if_not_used_for, Some(HOUR * 720));
    assert_eq!(config.signer.algorithm, Algorithm::Es256);
    assert_eq!(config.signer.rotation_period, HOUR * 3, "goes before expiry.signingKeys");
    let limits = Limits {
        connections: 100,
        streams_per_connection: 8,
        request_bodies: 20,
        header_bytes: 16 * 1024,
        hashing_threads: Some(3),
        hashing_queue: 5,
        device_requests: DeviceRequestLimits { total: 7, per_address: 3 },
        unanswered_commits: 50,
    };
    assert_eq!(config.expiry.device_requests, Duration::from_mins(10));
    assert_eq!(config.limits, limits);
    assert_eq!((config.retention.events, config.retention.memberships), (HOUR * 24, HOUR * 48));
    assert!(!config.sessions.sso);
    assert_eq!(config.sessions.idle_lifetime, HOUR * 4, "never longer than the whole");
}

#[test]
fn the_summary_contains_no_secret() {
    let config = config(
        "storage: {type: sqlite3, config: {file: cs.db}}
enablePasswordDB: true
staticClients:
- {id: app, name: App, secret: hunter2, redirectURIs: ['https://app.example.com/cb']}
- {id: cli, name: Cli, public: true}
",
    );
    assert_eq!(
        config.summary(),
        "\
issuer      https://login.example.com/dex
storage     sqlite3 cs.db
root key    in cs.db.rootkey, made at first start
http        127.0.0.1:5556
headers     98304 bytes in requests, 8 KiB in responses (nginx: proxy_buffer_size 16k)
signing     RS256, a new key every 6h
tokens      10m; codes 1m; logins 1h
refresh     rotated, reusable for 30s, unused at most any time, in all at most any time
sign-on     at most 24h, idle at most 8h
pkce        required of public clients, S256
connectors  2
  mock                      mockCallback    Mock
  local                     password db     0 static users
clients     2
  app                       confidential    https://app.example.com/cb
  cli                       public          loopback
"
    );
}

#[test]
fn a_primary_and_its_standbys_are_a_list_of_hosts() {
    let hosts = |list: &str| {
        let config = config(&format!(
            "storage: {{type: postgres, config: {{hosts: {list}, port: 6000, database: d, user: u}}}}"
        ));
        let Location::Postgres(pg) = config.storage else { panic!("postgres") };
        pg.hosts.into_iter().map(|host| (host.name, host.port)).collect::<Vec<_>>()
    };
    let expected =
        [("db-1", 6000), ("db-2", 7000), ("::1", 8000), ("fe80::1", 6000), ("/run/pg", 6000)];
    assert_eq!(
        hosts("[db-1, 'db-2:7000', '[::1]:8000', 'fe80::1', /run/pg]"),
        expected.map(|(name, port)| (name.to_owned(), port))
    );
}

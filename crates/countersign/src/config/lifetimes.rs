//! Lifetimes of keys, tokens, codes, requests and sessions: for all clients, and those of one client.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::{Environment, Section, Value};
use countersign_connectors::vault;
use countersign_core::clock::show_duration;
use countersign_core::{ExternalSigner, Lifetimes, Limit};
use countersign_issuer::settings::{RefreshPolicy, SignOnPolicy};

#[derive(Clone, Debug)]
pub struct Expiry {
    /// Lifetime of ID and access tokens.
    pub id_tokens: Duration,
    /// Time from the request at `/auth` to the code.
    pub auth_requests: Duration,
    pub codes: Duration,
    /// Lifetime of device codes and user codes (RFC 8628).
    pub device_requests: Duration,
    pub refresh_tokens: RefreshPolicy,
}

#[derive(Clone, Debug)]
pub struct Signer {
    pub algorithm: Algorithm,
    /// Algorithm of access tokens; `None`: that of ID tokens.
    pub access_token_algorithm: Option<Algorithm>,
    /// For how long a key signs.
    pub rotation_period: Duration,
    /// `type: vault`: the service that keeps the key, instead of the above.
    pub external: Option<Arc<dyn ExternalSigner>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const REUSE_INTERVAL: Duration = Duration::from_secs(30);
/// With a shorter interval a client may be unable to retry in time after a lost response.
const SHORT_REUSE_INTERVAL: Duration = Duration::from_secs(10);
/// Recommended maximum lifetime of a code (RFC 6749 section 4.1.2).
const LONG_CODE: Duration = Duration::from_mins(10);

pub fn read_expiry(root: &Section<'_>) -> Expiry {
    let section = root.section("expiry");
    let block = section.as_ref();
    let id_tokens = lifetime(block, "idTokens");
    if id_tokens.is_none() && block.is_none_or(|block| !block.has("idTokens")) {
        let reason =
            "is absent: tokens live 24h, and the tokens of an ended session stay valid so long";
        match block {
            Some(block) => block.warning("idTokens", reason),
            None => root.warning("expiry.idTokens", reason),
        }
    }
    let codes = lifetime(block, "codes").unwrap_or(MINUTE);
    if let Some(block) = block.filter(|_| codes > LONG_CODE) {
        block.warning("codes", "is over 10m, the most that RFC 6749 section 4.1.2 recommends");
    }
    let refresh = block.and_then(|block| block.section("refreshTokens"));
    let expiry = Expiry {
        id_tokens: id_tokens.unwrap_or(HOUR * 24),
        auth_requests: lifetime(block, "authRequests").unwrap_or(HOUR),
        codes,
        device_requests: lifetime(block, "deviceRequests").unwrap_or(MINUTE * 5),
        refresh_tokens: read_refresh_tokens(refresh.as_ref()),
    };
    if let Some(refresh) = refresh {
        refresh.finish();
    }
    if let Some(section) = section {
        // Marked as known here; read together with the signer, which may override it.
        section.has("signingKeys");
        section.finish();
    }
    expiry
}

fn read_refresh_tokens(block: Option<&Section<'_>>) -> RefreshPolicy {
    let reuse_interval = block.and_then(|block| duration(block, "reuseInterval"));
    if let Some(short) = reuse_interval.filter(|configured| *configured < SHORT_REUSE_INTERVAL)
        && let Some(block) = block
    {
        let short = show_duration(short);
        let reason = "a client that misses one answer is signed out, expected 10s or more";
        block.warning("reuseInterval", format!("found {short}: {reason}"));
    }
    let end = |key| {
        block.and_then(|block| duration(block, key)).filter(|configured| !configured.is_zero())
    };
    RefreshPolicy {
        rotate: !block.and_then(|block| block.flag("disableRotation")).unwrap_or(false),
        reuse_interval: reuse_interval.unwrap_or(REUSE_INTERVAL),
        absolute_lifetime: end("absoluteLifetime"),
        valid_if_not_used_for: end("validIfNotUsedFor"),
    }
}

/// `None` only after an error was recorded.
pub fn read_signer(root: &Section<'_>, env: Environment<'_>) -> Option<Signer> {
    let mut signer = Signer {
        algorithm: Algorithm::Rs256,
        access_token_algorithm: None,
        rotation_period: HOUR * 6,
        external: None,
    };
    if let Some(period) = expiry_signing_keys(root) {
        signer.rotation_period = period;
    }
    let Some(section) = root.section("signer") else { return Some(signer) };
    signer.access_token_algorithm = section.choice("accessTokenAlgorithm", &ALGORITHMS);
    match section.text("type").as_deref() {
        None | Some("" | "local") => {
            if let Some(config) = section.section("config") {
                read_local_signer(&config, &mut signer);
                config.finish();
            }
        }
        Some("vault") => {
            if signer.access_token_algorithm.is_some() {
                let reason = "has no effect with type vault, whose key signs all tokens: remove it";
                section.error("accessTokenAlgorithm", reason);
            }
            let Some(config) = section.section("config") else {
                section.error("config", "is missing, expected addr, token and keyName");
                return None;
            };
            signer.external = vault::read(&config, env);
            config.finish();
        }
        Some(other) => {
            section.error("type", format!("found {other:?}, expected one of local, vault"));
            section.has("config");
        }
    }
    section.finish();
    Some(signer)
}

/// `expiry.signingKeys`, the older key for `signer.config.keysRotationPeriod`.
fn expiry_signing_keys(root: &Section<'_>) -> Option<Duration> {
    let is_map = |item: &countersign_config::Item<'_>| matches!(item.node.value, Value::Map(_));
    let section = root.item("expiry").filter(is_map)?.section()?;
    lifetime(Some(&section), "signingKeys")
}

const ALGORITHMS: [(&str, Algorithm); 2] =
    [("RS256", Algorithm::Rs256), ("ES256", Algorithm::Es256)];

fn read_local_signer(config: &Section<'_>, signer: &mut Signer) {
    if let Some(algorithm) = config.choice("algorithm", &ALGORITHMS) {
        signer.algorithm = algorithm;
    }
    if let Some(period) = lifetime(Some(config), "keysRotationPeriod") {
        signer.rotation_period = period;
    }
}

pub fn read_sessions(root: &Section<'_>) -> SignOnPolicy {
    let section = root.section("sessions");
    let block = section.as_ref();
    let sessions = SignOnPolicy {
        sso: block.and_then(|block| block.flag("sso")).unwrap_or(true),
        absolute_lifetime: session_lifetime(block, "absoluteLifetime").unwrap_or(HOUR * 24),
        idle_lifetime: session_lifetime(block, "validIfNotUsedFor").unwrap_or(HOUR * 8),
        upstream_refresh_interval: block
            .and_then(|block| duration(block, "upstreamRefreshInterval"))
            .unwrap_or(MINUTE * 5),
        max_snapshot_age: lifetime(block, "maxSnapshotAge").unwrap_or(HOUR),
    };
    let Some(section) = section else { return sessions };
    if sessions.idle_lifetime > sessions.absolute_lifetime && section.has("validIfNotUsedFor") {
        section.error("validIfNotUsedFor", "is longer than absoluteLifetime");
    }
    section.ignored("cookieName", "the name of the cookie is derived from the issuer");
    section.ignored("rememberMeCheckedByDefault", "there is no such box");
    section.ignored(
        "cookieEncryptionKey",
        "the cookie is a random number, there is nothing to encrypt",
    );
    section.ignored(
        "ssoSharedWithDefault",
        "a sign-in serves every client that may use its connector",
    );
    section.finish();
    SignOnPolicy {
        idle_lifetime: sessions.idle_lifetime.min(sessions.absolute_lifetime),
        ..sessions
    }
}

/// `staticClients[].expiry` and `.sessions`: lifetimes of one client, with the keys of the global blocks. `all`: the
/// values for clients without their own.
pub fn read_client(section: &Section<'_>, all: &SignOnPolicy) -> Lifetimes {
    let mut own = Lifetimes::default();
    if let Some(block) = section.section("expiry") {
        read_client_expiry(&block, &mut own);
        block.finish();
    }
    if let Some(block) = section.section("sessions") {
        own.session_absolute = session_lifetime(Some(&block), "absoluteLifetime");
        own.session_idle = session_lifetime(Some(&block), "validIfNotUsedFor");
        let absolute = own.session_absolute.unwrap_or(all.absolute_lifetime);
        if own.session_idle.is_some_and(|idle| idle > absolute) {
            block.error("validIfNotUsedFor", "is longer than absoluteLifetime");
        }
        block.finish();
    }
    own
}

fn read_client_expiry(block: &Section<'_>, own: &mut Lifetimes) {
    own.tokens = lifetime(Some(block), "idTokens");
    own.requests = lifetime(Some(block), "authRequests");
    own.codes = lifetime(Some(block), "codes");
    if own.codes.is_some_and(|codes| codes > LONG_CODE) {
        block.warning("codes", "is over 10m, the most that RFC 6749 section 4.1.2 recommends");
    }
    let Some(refresh) = block.section("refreshTokens") else { return };
    own.rotate = refresh.flag("disableRotation").map(|disabled| !disabled);
    own.reuse_interval = duration(&refresh, "reuseInterval");
    if own.reuse_interval.is_some_and(|configured| configured < SHORT_REUSE_INTERVAL) {
        let reason = "a client that misses one answer is signed out, expected 10s or more";
        refresh.warning("reuseInterval", reason);
    }
    own.refresh_absolute = duration(&refresh, "absoluteLifetime").map(limit);
    own.refresh_idle = duration(&refresh, "validIfNotUsedFor").map(limit);
    refresh.finish();
}

/// Zero means unlimited, as in the global block.
fn limit(configured: Duration) -> Limit {
    if configured.is_zero() { Limit::Never } else { Limit::After(configured) }
}

/// A short summary of a client's lifetimes; `None` if it has none of its own.
pub fn client_summary(own: &Lifetimes) -> Option<String> {
    let mut text = String::new();
    let mut say = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{comma}{what} {value}");
        }
    };
    let end = |limit: Limit| limit.duration().map_or_else(|| "any time".to_owned(), show_duration);
    say("tokens", own.tokens.map(show_duration));
    say("codes", own.codes.map(show_duration));
    say("logins", own.requests.map(show_duration));
    say("refresh tokens", own.rotate.map(|yes| if yes { "rotated" } else { "not rotated" }.into()));
    say("reusable for", own.reuse_interval.map(show_duration));
    say("unused at most", own.refresh_idle.map(end));
    say("in all at most", own.refresh_absolute.map(end));
    say("sign-on at most", own.session_absolute.map(show_duration));
    say("idle at most", own.session_idle.map(show_duration));
    (!text.is_empty()).then_some(text)
}

/// A duration that may not be zero.
pub(super) fn lifetime(block: Option<&Section<'_>>, key: &'static str) -> Option<Duration> {
    at_least(SECOND, block, key)
}

/// A session must last as long as a login may take. Otherwise it could be over before the login is completed, which
/// would then begin again without an end.
fn session_lifetime(block: Option<&Section<'_>>, key: &'static str) -> Option<Duration> {
    at_least(MINUTE, block, key)
}

fn at_least(least: Duration, block: Option<&Section<'_>>, key: &'static str) -> Option<Duration> {
    let block = block?;
    let found = duration(block, key)?;
    if found < least {
        let (found, least) = (show_duration(found), show_duration(least));
        block.error(key, format!("found {found}, expected {least} or more"));
        return None;
    }
    Some(found)
}

/// Dex treats an empty text as absent.
pub(super) fn duration(block: &Section<'_>, key: &'static str) -> Option<Duration> {
    let item = block.item(key)?;
    if matches!(&item.node.value, Value::Scalar { text, .. } if text.is_empty()) {
        return None;
    }
    item.duration()
}

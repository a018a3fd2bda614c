use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::connector::ConnectorError;
use countersign_core::{Actor, ExternalKeyVersion, ExternalKeyVersions, ExternalSigner, Timestamp};
use countersign_jose::{Algorithm, RootKeys};
use countersign_store::{Location, SigningKeyRow, Store};
use tokio::sync::Notify;

use super::sequence::{expired_keys, own_keys_sign_until, signs_until};
use super::{KEPT_AFTER, KeySequence, KeyToDrop, Keyring, PUBLISHED_BEFORE};
use crate::settings::tests::example;

const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);
const HOUR: Duration = Duration::from_hours(1);

fn key(number: i64, signs_from: Timestamp, algorithm: &str) -> SigningKeyRow {
    SigningKeyRow {
        number,
        kid: number.to_string(),
        algorithm: algorithm.to_owned(),
        public_jwk: String::new(),
        private_key: String::new().into(),
        created_at: signs_from,
        signs_from,
        longest_lifetime: HOUR,
        access_tokens_only: false,
        superseded_at: None,
    }
}

fn due(
    rows: &[SigningKeyRow],
    settings: &crate::Settings,
    now: Timestamp,
) -> Option<(i64, Timestamp)> {
    KeySequence::of_id_tokens(settings).due(rows, settings, now)
}

#[test]
fn the_first_key_signs_at_once() {
    assert_eq!(due(&[], &example(), NOON), Some((1, NOON)));
}

#[test]
fn the_next_key_is_published_an_hour_before_it_signs() {
    let settings = example();
    let keys = [key(1, NOON, "RS256")];
    let ends = NOON + settings.key_period;
    assert_eq!(due(&keys, &settings, ends - PUBLISHED_BEFORE - Duration::from_millis(1)), None);
    assert_eq!(due(&keys, &settings, ends - PUBLISHED_BEFORE), Some((2, ends)));
}

#[test]
fn after_a_long_sleep_the_old_key_signs_until_the_new_one_is_known() {
    let keys = [key(1, NOON, "RS256")];
    let monday = NOON + 48 * HOUR;
    assert_eq!(due(&keys, &example(), monday), Some((2, monday + PUBLISHED_BEFORE)));
}

#[test]
fn another_algorithm_is_published_first_too_and_only_once() {
    let keys = [key(1, NOON, "ES256")];
    let now = NOON + Duration::from_mins(1);
    assert_eq!(due(&keys, &example(), now), Some((2, now + PUBLISHED_BEFORE)));
    let both = [key(1, NOON, "ES256"), key(2, now + PUBLISHED_BEFORE, "RS256")];
    assert_eq!(due(&both, &example(), now), None);
}

fn access_token_key(number: i64, signs_from: Timestamp) -> SigningKeyRow {
    SigningKeyRow { access_tokens_only: true, ..key(number, signs_from, "ES256") }
}

#[test]
fn keys_of_access_tokens_succeed_one_another_beside_the_others() {
    let settings = crate::Settings { access_token_algorithm: Some(Algorithm::ES256), ..example() };
    let [id_tokens, access_tokens] = KeySequence::all(&settings).try_into().unwrap();
    let rows = [key(1, NOON, "RS256")];
    let now = NOON + HOUR;
    assert_eq!(id_tokens.due(&rows, &settings, now), None);
    assert_eq!(access_tokens.due(&rows, &settings, now), Some((2, now + PUBLISHED_BEFORE)));
    let rows = [key(1, NOON, "RS256"), access_token_key(2, NOON)];
    let ends = NOON + settings.key_period;
    let last_quiet = ends - PUBLISHED_BEFORE - Duration::from_millis(1);
    assert_eq!(access_tokens.due(&rows, &settings, last_quiet), None);
    assert_eq!(access_tokens.due(&rows, &settings, ends - PUBLISHED_BEFORE), Some((3, ends)));
    assert_eq!(id_tokens.due(&rows, &settings, ends - PUBLISHED_BEFORE), Some((3, ends)));
}

#[test]
fn a_key_verifies_until_its_last_token_has_expired() {
    let settings = crate::Settings { access_token_algorithm: Some(Algorithm::ES256), ..example() };
    let next = NOON + 3 * HOUR;
    let rows = [key(1, NOON, "RS256"), access_token_key(2, NOON), access_token_key(3, next)];
    let last = next + HOUR + KEPT_AFTER;
    assert_eq!(expired_keys(&rows, &settings, last), [] as [i64; 0]);
    // The key of ID tokens has no successor, although the next number is in use (by an access token key).
    assert_eq!(expired_keys(&rows, &settings, last + Duration::from_millis(1)), [2]);
}

/// Ten days after `next`, `signer.accessTokenAlgorithm` is removed: until then key 3 has signed.
#[test]
fn a_key_without_successor_verifies_until_the_tokens_from_before_its_recorded_end_have_expired() {
    let removed = example();
    let next = NOON + 3 * HOUR;
    let end = next + 240 * HOUR;
    let mut rows = [key(1, NOON, "RS256"), access_token_key(2, NOON), access_token_key(3, next)];
    let last = end + HOUR + KEPT_AFTER;
    assert_eq!(expired_keys(&rows, &removed, last + 24 * HOUR), [2], "nothing was recorded yet");
    rows[2].superseded_at = Some(end);
    assert_eq!(expired_keys(&rows, &removed, last), [2]);
    assert_eq!(expired_keys(&rows, &removed, last + Duration::from_millis(1)), [2, 3]);
}

/// What another replica recorded, whose settings have no use for the key, drops none that these settings need.
#[test]
fn the_newest_key_that_the_settings_need_is_never_deleted() {
    let mut rows = [key(1, NOON, "RS256"), access_token_key(2, NOON)];
    (rows[0].superseded_at, rows[1].superseded_at) = (Some(NOON), Some(NOON));
    assert_eq!(expired_keys(&rows, &example(), NOON + 1000 * HOUR), [2]);
    let settings = crate::Settings { access_token_algorithm: Some(Algorithm::ES256), ..example() };
    assert_eq!(expired_keys(&rows, &settings, NOON + 1000 * HOUR), [] as [i64; 0]);
}

/// Neither another rotation period nor shorter lifetimes of tokens change when a key expires.
#[test]
fn what_was_stored_with_a_key_decides_how_long_it_verifies() {
    let minute = Duration::from_mins(1);
    let shortened = crate::Settings { key_period: 6 * HOUR, token_lifetime: minute, ..example() };
    let rows = [key(1, NOON, "RS256"), key(2, NOON + 720 * HOUR, "RS256")];
    let last = NOON + 720 * HOUR + HOUR + KEPT_AFTER;
    assert_eq!(expired_keys(&rows, &shortened, last), [] as [i64; 0]);
    assert_eq!(expired_keys(&rows, &shortened, last + Duration::from_millis(1)), [1]);
    assert_eq!(signs_until(&rows, &rows[0]), Some(NOON + 720 * HOUR));
    assert_eq!(signs_until(&rows, &rows[1]), None);
}

#[test]
fn own_keys_sign_for_an_hour_after_another_service_was_configured() {
    assert_eq!(own_keys_sign_until(&[], NOON), None);
    let mut rows = [key(1, NOON, "RS256"), access_token_key(2, NOON)];
    assert_eq!(own_keys_sign_until(&rows[1..], NOON), None);
    assert_eq!(own_keys_sign_until(&rows, NOON), Some(NOON + HOUR));
    rows[0].superseded_at = Some(NOON + HOUR);
    assert_eq!(own_keys_sign_until(&rows, NOON + 5 * HOUR), Some(NOON + HOUR));
}

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
                          MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEayu2RroVyDrZz6luObXUjUlR3VVZ\n\
                          lrd9DhyWNZ5MnApJcdBIOzKueRgriNeFunAqUl/5ej6XNXTzmYvQjCKLVg==\n\
                          -----END PUBLIC KEY-----";

/// Its key has a new version at each request; the second response waits for the test.
#[derive(Debug, Default)]
struct Growing {
    requests: AtomicI64,
    second_response: Notify,
}

#[async_trait]
impl ExternalSigner for Growing {
    fn name(&self) -> &'static str {
        "growing"
    }

    fn rotation(&self) -> &'static str {
        "ask again"
    }

    async fn versions(&self) -> Result<ExternalKeyVersions, ConnectorError> {
        let newest = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let version = |number| ExternalKeyVersion {
            number,
            public_key: PUBLIC_KEY.to_owned(),
            created_at: NOON,
        };
        let versions = (1..=newest).map(version).collect();
        if newest == 2 {
            self.second_response.notified().await;
        }
        Ok(ExternalKeyVersions { versions, min_signing_version: 1, warning: None })
    }

    async fn sign(&self, _: i64, _: &[u8]) -> Result<Vec<u8>, ConnectorError> {
        Err(ConnectorError::Unavailable {
            upstream: "growing".to_owned(),
            cause: "not used in this test".to_owned(),
        })
    }
}

#[tokio::test]
async fn keys_that_were_read_earlier_never_replace_those_read_later() {
    let signer = Arc::new(Growing::default());
    let settings = crate::Settings { external_signer: Some(signer.clone()), ..example() };
    let (store, root) = (Store::open(&Location::Memory).await.unwrap(), RootKeys::none());
    let keyring = Keyring::open(&store, &root, &settings, NOON).await.unwrap();
    let renew = || keyring.renew(&store, &root, &settings, NOON);
    let release = async {
        while signer.requests.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // Time for the later renewal to overtake, if it can.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        signer.second_response.notify_one();
    };
    let (earlier, later, ()) = tokio::join!(renew(), renew(), release);
    earlier.unwrap();
    later.unwrap();
    assert_eq!(keyring.keys().external_versions().unwrap().len(), 3);
}

#[tokio::test]
async fn a_leaked_key_is_dropped_while_the_service_of_the_signing_key_does_not_respond() {
    let (store, root) = (Store::open(&Location::Memory).await.unwrap(), RootKeys::none());
    Keyring::open(&store, &root, &example(), NOON).await.unwrap();
    let kid = store.signing_keys().await.unwrap()[0].kid.clone();
    let signer = Arc::new(Growing::default());
    let settings = crate::Settings { external_signer: Some(signer.clone()), ..example() };
    let keyring = Keyring::open(&store, &root, &settings, NOON).await.unwrap();
    let renewal = keyring.renew(&store, &root, &settings, NOON);
    tokio::pin!(renewal);
    while signer.requests.load(Ordering::SeqCst) < 2 {
        tokio::select! {
            biased;
            _ = &mut renewal => panic!("the service has not answered"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(keyring.keys().signing_kid(NOON), Some(kid.clone()));
    let key = KeyToDrop { kid: &kid, by: Actor::from("ops"), now: NOON };
    let dropped = tokio::select! {
        _ = &mut renewal => panic!("the service has not answered"),
        dropped = keyring.drop_now(&store, &root, &settings, key) => dropped.unwrap(),
    };
    assert!(dropped.is_some());
    assert_ne!(keyring.keys().signing_kid(NOON), Some(kid.clone()));
    assert_eq!(signer.requests.load(Ordering::SeqCst), 2, "it was not asked again");
    signer.second_response.notify_one();
    renewal.await.unwrap();
    assert_ne!(keyring.keys().signing_kid(NOON), Some(kid));
    assert_eq!(keyring.keys().external_versions().unwrap().len(), 2);
}

/// After its first answer it refuses everything, as Vault does when its token has ended.
#[derive(Debug, Default)]
struct Refusing {
    requests: AtomicI64,
}

fn refusal() -> ConnectorError {
    ConnectorError::Misconfigured {
        upstream: "refusing".to_owned(),
        missing: "It refuses to sign.".to_owned(),
        cause: "403".to_owned(),
    }
}

#[async_trait]
impl ExternalSigner for Refusing {
    fn name(&self) -> &'static str {
        "refusing"
    }

    fn rotation(&self) -> &'static str {
        "rotate"
    }

    async fn versions(&self) -> Result<ExternalKeyVersions, ConnectorError> {
        if self.requests.fetch_add(1, Ordering::SeqCst) > 0 {
            return Err(refusal());
        }
        let public_key = PUBLIC_KEY.to_owned();
        let versions = vec![ExternalKeyVersion { number: 1, public_key, created_at: NOON }];
        Ok(ExternalKeyVersions { versions, min_signing_version: 1, warning: None })
    }

    async fn sign(&self, _: i64, _: &[u8]) -> Result<Vec<u8>, ConnectorError> {
        Err(refusal())
    }
}

#[tokio::test]
async fn a_service_that_refuses_everything_has_its_versions_read_once_more() {
    let service = Arc::new(Refusing::default());
    let settings = crate::Settings { external_signer: Some(service.clone()), ..example() };
    let (store, root) = (Store::open(&Location::Memory).await.unwrap(), RootKeys::none());
    let keyring = Keyring::open(&store, &root, &settings, NOON).await.unwrap();
    let signer = keyring.keys().signer(NOON).unwrap();
    for _ in 0..3 {
        assert!(signer.sign(None, None, b"{}".to_vec()).await.is_err());
    }
    assert_eq!(
        service.requests.load(Ordering::SeqCst),
        2,
        "at the start, and after the first refusal"
    );
}

/// Both sequences share one series of numbers, so that a call may find its number in use by a key of the other one.
#[tokio::test]
async fn concurrent_rotations_publish_one_key_of_each_sequence() {
    let settings = crate::Settings { access_token_algorithm: Some(Algorithm::ES256), ..example() };
    let (store, root) = (Store::open(&Location::Memory).await.unwrap(), RootKeys::none());
    let keyring = Keyring::open(&store, &root, &settings, NOON).await.unwrap();
    let ops = Actor::from("ops");
    let rotate = || keyring.publish_next(&store, &root, &settings, NOON + HOUR, &ops);
    let (one, two, three) = tokio::join!(rotate(), rotate(), rotate());
    let views = [one.unwrap(), two.unwrap(), three.unwrap()];
    let rows = store.signing_keys().await.unwrap();
    assert_eq!(rows.len(), 4);
    let next = rows.iter().rfind(|row| !row.access_tokens_only).unwrap();
    assert!(views.iter().all(|view| view.number == next.number), "{views:?}");
    assert_eq!(views.iter().filter(|view| view.made).count(), 1, "{views:?}");
}

/// Commands of administrators that use the database have the settings of their own file, perhaps an outdated one.
#[tokio::test]
async fn a_command_with_other_settings_ends_no_key() {
    let settings = crate::Settings { access_token_algorithm: Some(Algorithm::ES256), ..example() };
    let (store, root) = (Store::open(&Location::Memory).await.unwrap(), RootKeys::none());
    Keyring::open(&store, &root, &settings, NOON).await.unwrap();
    let command = Keyring::open(&store, &root, &example(), NOON).await.unwrap();
    let ops = Actor::from("ops");
    let rotated = command.publish_next(&store, &root, &example(), NOON, &ops).await.unwrap();
    assert!(rotated.made);
    let rows = store.signing_keys().await.unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.superseded_at.is_none()));
    command.renew(&store, &root, &example(), NOON).await.unwrap();
    let rows = store.signing_keys().await.unwrap();
    assert!(
        rows.iter().any(|row| row.superseded_at.is_some()),
        "a server with these settings does"
    );
}

use std::time::Duration;

use countersign_core::Timestamp;
use countersign_jose::Algorithm;
use countersign_store::SigningKeyRow;

use super::{KEPT_AFTER, KeySequence, PUBLISHED_BEFORE, dead};
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
    assert_eq!(dead(&rows, &settings, last), [] as [i64; 0]);
    // The key of ID tokens has no successor, although the next number is in use (by an access token key).
    assert_eq!(dead(&rows, &settings, last + Duration::from_millis(1)), [2]);
    let removed = example();
    let last = next + removed.key_period + HOUR + KEPT_AFTER;
    assert_eq!(dead(&rows, &removed, last), [2]);
    assert_eq!(dead(&rows, &removed, last + Duration::from_millis(1)), [2, 3]);
}

use std::time::Duration;

use countersign_core::Timestamp;
use countersign_store::SigningKeyRow;

use super::{PUBLISHED_BEFORE, due};
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
    }
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

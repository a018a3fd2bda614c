//! What `check --against` and `reload --plan` compare.

use countersign_core::Secret;

use super::config;
use crate::config::blocks::{Difference, differences};

const CLIENTS: &str = "staticClients: [{id: a, name: A, secret: changeme-changeme, redirectURIs: ['https://a.example.com/cb']}]";

#[test]
fn an_hmac_differs_with_the_value_and_with_the_secret() {
    let (one, other) = (Secret::new("one"), Secret::new("other"));
    let before = config(CLIENTS).blocks;
    let same = config(&CLIENTS.replace("id: a, name: A", "name: A, id: a")).blocks;
    assert_eq!(before.hmacs(&one), same.hmacs(&one), "the order of keys does not matter");
    let changed = config(&CLIENTS.replace("changeme", "changed")).blocks;
    assert_eq!(
        differences(&before.hmacs(&one), &changed.hmacs(&one)),
        [Difference::Changed("staticClients[a]".to_owned())]
    );
    let (first, second) = (before.hmacs(&one), before.hmacs(&other));
    assert!(first.iter().all(|(key, hmac)| second[key] != *hmac), "{first:?}");
}

#[test]
fn equal_values_of_two_keys_have_different_hmacs() {
    let hmacs =
        config("frontend: {issuer: x, theme: dark}\nexpiry: {idTokens: 7m, authRequests: 7m}");
    let hmacs = hmacs.blocks.hmacs(&Secret::new("a key"));
    assert_ne!(hmacs["expiry.idTokens"], hmacs["expiry.authRequests"]);
}

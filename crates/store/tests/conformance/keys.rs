use countersign_core::Secret;
use countersign_core::session::EndReason;
use countersign_store::{SecretRow, SigningKeyRow, Store};

use crate::on_both_engines;
use crate::world::{HOUR, MINUTE, NOW, World, ended, rotate};

pub fn key(number: i64) -> SigningKeyRow {
    SigningKeyRow {
        number,
        kid: format!("kid-{number}"),
        algorithm: "RS256".into(),
        public_jwk: "{\"kty\":\"RSA\"}".into(),
        private_key: Secret::new("sealed"),
        created_at: NOW,
        signs_from: NOW + HOUR,
        longest_lifetime: 10 * MINUTE,
        access_tokens_only: false,
        superseded_at: None,
    }
}

fn secret(purpose: &str, number: i64) -> SecretRow {
    SecretRow { purpose: purpose.into(), number, value: Secret::new("sealed"), created_at: NOW }
}

async fn signing_keys_come_back_in_their_order(world: &World) {
    assert!(world.store.signing_keys().await.unwrap().is_empty());
    assert!(world.store.add_signing_key(key(2)).await.unwrap());
    assert!(world.store.add_signing_key(key(1)).await.unwrap());
    let keys = world.store.signing_keys().await.unwrap();
    assert_eq!(keys.iter().map(|k| k.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(keys[0].private_key.expose(), "sealed");
    assert_eq!((keys[0].created_at, keys[0].signs_from), (NOW, NOW + HOUR));
    assert_eq!(keys[0].longest_lifetime, 10 * MINUTE);
    assert!(!format!("{keys:?}").contains("\"sealed\""));

    assert!(world.store.drop_signing_key(1).await.unwrap());
    assert!(!world.store.drop_signing_key(1).await.unwrap());
    assert_eq!(world.store.signing_keys().await.unwrap().len(), 1);
}

async fn of_two_replicas_one_adds_the_key(world: &World) {
    let other = world.replica().await;
    for number in 1..=10 {
        let (here, there) = (world.store.clone(), other.clone());
        let here = tokio::spawn(async move { here.add_signing_key(key(number)).await });
        let there = tokio::spawn(async move { there.add_signing_key(key(number)).await });
        let (here, there) = (here.await.unwrap().unwrap(), there.await.unwrap().unwrap());
        assert!(here ^ there, "number {number}: {here} and {there}");
    }
    assert_eq!(other.signing_keys().await.unwrap().len(), 10);
    other.close().await;
}

async fn the_longest_lifetime_only_grows(world: &World) {
    world.store.add_signing_key(key(1)).await.unwrap();
    world.store.add_signing_key(key(2)).await.unwrap();
    world.store.raise_token_lifetime(24 * HOUR).await.unwrap();
    world.store.raise_token_lifetime(MINUTE).await.unwrap();
    let keys = world.store.signing_keys().await.unwrap();
    assert!(keys.iter().all(|k| k.longest_lifetime == 24 * HOUR));
}

async fn the_end_of_a_key_is_recorded_once_until_it_signs_again(world: &World) {
    let store = &world.store;
    store.add_signing_key(key(1)).await.unwrap();
    store.add_signing_key(key(2)).await.unwrap();
    for at in [NOW, NOW + HOUR] {
        store.set_key_superseded(2, Some(at)).await.unwrap();
        let ends: Vec<_> =
            store.signing_keys().await.unwrap().iter().map(|key| key.superseded_at).collect();
        assert_eq!(ends, [None, Some(NOW)]);
    }
    store.set_key_superseded(2, None).await.unwrap();
    assert_eq!(store.signing_keys().await.unwrap()[1].superseded_at, None);
    store.set_key_superseded(2, Some(NOW + HOUR)).await.unwrap();
    assert_eq!(store.signing_keys().await.unwrap()[1].superseded_at, Some(NOW + HOUR));
}

async fn a_key_is_resealed_only_if_unchanged_since_it_was_read(world: &World) {
    let (plain, sealed, other) = (Secret::new("sealed"), Secret::new("resealed"), Secret::new("x"));
    let store = &world.store;
    store.add_signing_key(key(1)).await.unwrap();
    store.add_signing_key(key(2)).await.unwrap();
    assert!(store.replace_signing_key_value(1, &plain, &sealed).await.unwrap());
    assert!(!store.replace_signing_key_value(1, &plain, &other).await.unwrap(), "too late");
    assert!(!store.replace_signing_key_value(3, &plain, &other).await.unwrap(), "no such key");
    let keys = store.signing_keys().await.unwrap();
    assert_eq!(
        keys.iter().map(|k| k.private_key.expose()).collect::<Vec<_>>(),
        ["resealed", "sealed"]
    );

    store.add_secret(secret("mac", 1)).await.unwrap();
    store.add_secret(secret("seal", 1)).await.unwrap();
    assert!(store.replace_secret_value("mac", 1, &plain, &sealed).await.unwrap());
    assert!(!store.replace_secret_value("mac", 1, &plain, &other).await.unwrap(), "too late");
    assert!(!store.replace_secret_value("mac", 2, &plain, &other).await.unwrap(), "no such one");
    assert_eq!(store.secrets("mac").await.unwrap()[0].value.expose(), "resealed");
    assert_eq!(store.secrets("seal").await.unwrap()[0].value.expose(), "sealed");
}

async fn of_two_replicas_one_reseals(world: &World) {
    let other = world.replica().await;
    world.store.add_secret(secret("mac", 1)).await.unwrap();
    let reseal = |store: Store, new: &str| {
        let new = Secret::new(new);
        tokio::spawn(async move {
            store.replace_secret_value("mac", 1, &Secret::new("sealed"), &new).await.unwrap()
        })
    };
    let (here, there) = (reseal(world.store.clone(), "here"), reseal(other.clone(), "there"));
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    assert!(here ^ there);
    let kept = if here { "here" } else { "there" };
    assert_eq!(other.secrets("mac").await.unwrap()[0].value.expose(), kept);
    other.close().await;
}

async fn secrets_are_kept_by_purpose(world: &World) {
    assert!(world.store.add_secret(secret("mac", 2)).await.unwrap());
    assert!(world.store.add_secret(secret("mac", 1)).await.unwrap());
    assert!(world.store.add_secret(secret("seal", 1)).await.unwrap());
    assert!(!world.store.add_secret(secret("mac", 1)).await.unwrap());
    let macs = world.store.secrets("mac").await.unwrap();
    assert_eq!(macs.iter().map(|s| s.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((macs[0].value.expose(), macs[0].created_at), ("sealed", NOW));
    assert!(world.store.drop_secret("mac", 1).await.unwrap());
    assert!(!world.store.drop_secret("mac", 1).await.unwrap());
    assert_eq!(world.store.secrets("mac").await.unwrap().len(), 1);
    assert_eq!(world.store.secrets("seal").await.unwrap().len(), 1);
    assert!(world.store.secrets("nothing").await.unwrap().is_empty());
}

async fn a_mac_key_is_in_use_while_a_live_grant_needs_it(world: &World) {
    assert!(!world.store.mac_key_in_use(7).await.unwrap());
    let session = world.jane("c").await;
    world.granted(&session, "app", false).await;
    assert!(!world.store.mac_key_in_use(7).await.unwrap(), "no refresh token, no MAC");

    let grant = world.granted(&session, "app", true).await;
    assert!(!world.store.mac_key_in_use(6).await.unwrap());
    assert!(world.store.mac_key_in_use(7).await.unwrap());
    assert!(world.store.mac_key_in_use(8).await.unwrap(), "a repeated answer may be under it");

    world.store.rotate(rotate(&grant, 1, NOW)).await.unwrap();
    assert!(!world.store.mac_key_in_use(7).await.unwrap());
    assert!(world.store.mac_key_in_use(8).await.unwrap());

    world.store.end_grant(&grant, ended(EndReason::Revoked, NOW), None).await.unwrap();
    assert!(!world.store.mac_key_in_use(8).await.unwrap());
}

on_both_engines!(
    signing_keys_come_back_in_their_order,
    of_two_replicas_one_adds_the_key,
    the_longest_lifetime_only_grows,
    the_end_of_a_key_is_recorded_once_until_it_signs_again,
    a_key_is_resealed_only_if_unchanged_since_it_was_read,
    of_two_replicas_one_reseals,
    secrets_are_kept_by_purpose,
    a_mac_key_is_in_use_while_a_live_grant_needs_it,
);

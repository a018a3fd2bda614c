use countersign_core::{ClientId, ConnectorId, Scopes, SessionId};
use countersign_store::{Consent, RedeemCodeOutcome};

use crate::on_both_engines;
use crate::world::{LIMIT, MINUTE, NOW, World, code, grant};

fn consent(session: &SessionId, scopes: &str) -> Consent {
    Consent {
        user_id: "jane".into(),
        connector: ConnectorId::new("ldap"),
        client: ClientId::new("app"),
        scopes: Scopes::parse(scopes),
        session: session.clone(),
        now: NOW,
    }
}

async fn allowed(world: &World, client: &str) -> Option<String> {
    let (ldap, client) = (ConnectorId::new("ldap"), ClientId::new(client));
    world.store.consent("jane", &ldap, &client).await.unwrap().map(|scopes| scopes.to_string())
}

async fn consents_add_up(world: &World) {
    let jane = world.jane("c").await;
    assert_eq!(allowed(world, "app").await, None);
    world.store.remember_consent(consent(&jane, "openid email")).await.unwrap();
    world.store.remember_consent(consent(&jane, "openid groups")).await.unwrap();
    assert_eq!(allowed(world, "app").await.as_deref(), Some("openid email groups"));
    assert_eq!(allowed(world, "other").await, None);
    world.assert_events(&jane, &["signed_in", "consent_given", "consent_given"]).await;
}

async fn withdrawing_consent_ends_its_grants(world: &World) {
    let (home, work) = (world.jane("c").await, world.jane("d").await);
    world.store.remember_consent(consent(&home, "openid")).await.unwrap();
    let grants =
        [world.granted(&home, "app", true).await, world.granted(&work, "app", false).await];
    let other = world.granted(&home, "other", true).await;
    let pending = code(&home, "app");
    world.store.issue_code(pending.clone(), NOW).await.unwrap();

    let (ldap, app) = (ConnectorId::new("ldap"), ClientId::new("app"));
    let withdraw = || world.store.withdraw_consent("jane", &ldap, &app, "user:jane", NOW);
    let end = withdraw().await.unwrap().unwrap();
    assert_eq!((end.grants_ended, end.tokens_until), (2, Some(NOW + 10 * MINUTE)));
    assert_eq!(allowed(world, "app").await, None);
    for gone in &grants {
        assert!(!world.is_live(gone).await);
    }
    assert!(world.is_live(&other).await);
    assert_eq!(withdraw().await.unwrap(), None);
    let late = world.store.redeem_code(&pending.hash, &app, grant(&pending, true), NOW, LIMIT);
    assert_eq!(late.await.unwrap(), RedeemCodeOutcome::NotRedeemable);
    let github = ConnectorId::new("github");
    let nobody = world.store.withdraw_consent("jane", &github, &app, "user:jane", NOW).await;
    assert_eq!(nobody.unwrap(), None);
}

async fn approvals_at_once_lose_nothing(world: &World) {
    let jane = world.jane("c").await;
    let mut approvals = Vec::new();
    for n in 0..20 {
        let (store, wanted_consent) = (world.store.clone(), consent(&jane, &format!("scope-{n}")));
        approvals.push(tokio::spawn(async move { store.remember_consent(wanted_consent).await }));
    }
    for approval in approvals {
        approval.await.unwrap().unwrap();
    }
    let all = allowed(world, "app").await.unwrap();
    assert_eq!(all.split(' ').count(), 20, "{all}");
}

on_both_engines!(
    consents_add_up,
    withdrawing_consent_ends_its_grants,
    approvals_at_once_lose_nothing,
);

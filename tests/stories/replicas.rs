//! Several servers with one PostgreSQL: any replica answers any request.

use crate::world::{ALICE, ALICE_PASSWORD, Need, World, verified};

#[tokio::test]
async fn a_login_may_change_the_replica_at_every_step() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().start().await;
    let other = one.replica().await;
    let (mut alice, mut app) = (one.browser(), one.relying_party("example-app"));
    let request = app.asks("openid email offline_access");

    alice.opens(&request.url).await;
    alice.through(&other).signs_in(ALICE, ALICE_PASSWORD).await;
    alice.through(&one).approves().await;
    let arrival = alice.arrives();
    let answer = app.through(&other).redeems(&request, &arrival).await;
    assert_eq!(answer.status, 200, "{}", answer.page.body);
    let refreshed = app.through(&one).refreshes(answer.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.page.body);
    for replica in [&one, &other] {
        let keys = app.through(replica).reads("/keys").await.json;
        verified(refreshed.id_token(), &keys);
    }
}

#[tokio::test]
async fn a_code_is_used_once_whichever_replicas_are_asked() {
    if Need::Postgres.is_missing() {
        return;
    }
    let one = World::with_postgres().start().await;
    let other = one.replica().await;
    let mut alice = one.browser();
    let (mut here, mut there) =
        (one.relying_party("example-app"), one.relying_party("example-app"));
    let request = here.asks("openid");
    let arrival = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;

    here.through(&one);
    there.through(&other);
    let (a, b) = tokio::join!(here.redeems(&request, &arrival), there.redeems(&request, &arrival));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{a:?}\n{b:?}");
}

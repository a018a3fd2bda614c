//! The database server stops and starts again: which errors callers get meanwhile, and how soon.

use std::time::{Duration, Instant};

use countersign_store::{Store, StoreError};

use crate::cluster::Cluster;
use crate::world::{SECOND, SignedIn as _, sign_in};

/// Upper limit of a response "at once", on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(700);

fn unavailable<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

/// Starts thirty operations at the same time, reads and writes; returns how long it takes until all are refused.
async fn thirty_are_refused(store: &Store) -> Duration {
    let began = Instant::now();
    let waiting: Vec<_> = (0..30)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                match n % 3 {
                    0 => unavailable(store.sign_in(sign_in("jane", &format!("c-{n}"))).await),
                    1 => unavailable(store.session_by_cookie("c").await),
                    _ => {
                        unavailable(store.ping().await) && unavailable(store.database_time().await)
                    }
                }
            })
        })
        .collect();
    for outcome in waiting {
        assert!(outcome.await.unwrap(), "an answer from a server that is down");
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_down_one_waits_and_the_others_fail_at_once() {
    let Some(cluster) = Cluster::start_new(&[]) else { return };
    let store = Cluster::open(&[&cluster]).await;
    let jane = store.sign_in(sign_in("jane", "c")).await.unwrap().session();

    cluster.stop();
    assert!(unavailable(store.session(&jane).await), "the first one finds out");
    let waited = thirty_are_refused(&store).await;
    assert!(waited < AT_ONCE, "they queued for {waited:?}");

    tokio::time::sleep(SECOND + SECOND / 10).await;
    let (other, id) = (store.clone(), jane.clone());
    let reading = tokio::spawn(async move { unavailable(other.session(&id).await) });
    tokio::time::sleep(SECOND / 5).await;
    let waited = thirty_are_refused(&store).await;
    assert!(waited < AT_ONCE, "they queued for {waited:?} behind the one that looks again");
    assert!(reading.await.unwrap());

    cluster.start();
    let began = Instant::now();
    while store.session(&jane).await.is_err() {
        assert!(began.elapsed() < 10 * SECOND, "it is back and nobody looked");
        tokio::time::sleep(SECOND / 20).await;
    }
    for n in 0..20 {
        store.sign_in(sign_in("jane", &format!("back-{n}"))).await.unwrap();
        store.ping().await.unwrap();
    }
    store.close().await;
}

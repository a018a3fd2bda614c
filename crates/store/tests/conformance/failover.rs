//! A primary with a standby: after a failover the writable server is found again, and no acknowledged write is lost.
//! Changes of what replicas keep in memory are announced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign_core::SessionId;
use countersign_store::{Change, Store, StoreError};

use crate::cluster::Cluster;
use crate::world::{SECOND, SignedIn as _, World, sign_in};

/// Signs jane in again and again, with a new browser each time. Returns the sessions that were acknowledged.
async fn signs_in_until(store: Store, worker: usize, is_over: Arc<AtomicBool>) -> Vec<SessionId> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        match store.sign_in(sign_in("jane", &format!("{worker}-{n}"))).await {
            Ok(outcome) => acknowledged.push(outcome.session()),
            Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    acknowledged
}

/// Synchronous replication: the primary is stopped under load, and the standby is promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_promoted_standby_is_found_and_has_what_was_acknowledged() {
    let Some(primary) = Cluster::start_new(&["wal_level=replica"]) else { return };
    let standby = primary.standby();
    primary.executes("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    primary.executes("SELECT pg_reload_conf()").await;
    // The order of the servers does not matter: here the standby is first.
    let store = Cluster::open(&[&standby, &primary]).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|worker| tokio::spawn(signs_in_until(store.clone(), worker, Arc::clone(&is_over))))
        .collect();
    tokio::time::sleep(SECOND).await;
    primary.stop();
    assert!(store.ping().await.is_err(), "no server is writable");
    standby.promote();
    standby.executes("ALTER SYSTEM RESET synchronous_standby_names").await;
    standby.executes("SELECT pg_reload_conf()").await;
    let began = Instant::now();
    while store.ping().await.is_err() {
        assert!(began.elapsed() < 15 * SECOND, "the promoted standby was not found");
        tokio::time::sleep(SECOND / 20).await;
    }
    let after = store.sign_in(sign_in("jane", "after")).await.unwrap().session();
    tokio::time::sleep(SECOND / 2).await;
    is_over.store(true, Ordering::Relaxed);

    let mut acknowledged = vec![after];
    for worker in workers {
        acknowledged.extend(worker.await.unwrap());
    }
    assert!(acknowledged.len() > 4, "{} sign-ins", acknowledged.len());
    for session in &acknowledged {
        let found = store.session(session).await.unwrap();
        assert!(found.is_some_and(|session| session.ended.is_none()), "{session} was acknowledged");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_alone_is_not_used_and_named_in_the_error() {
    let Some(primary) = Cluster::start_new(&["wal_level=replica"]) else { return };
    let standby = primary.standby();
    let store = Cluster::open(&[&primary, &standby]).await;
    store.close().await;
    let alone = countersign_store::PostgresOptions {
        hosts: vec![standby.host()],
        user: "postgres".into(),
        database: "postgres".into(),
        ssl_mode: countersign_store::SslMode::Disable,
        connect_timeout: SECOND,
        ..countersign_store::PostgresOptions::default()
    };
    let location = countersign_store::Location::Postgres(alone);
    let error = Store::open(&location).await.err().unwrap().to_string();
    assert!(error.contains("this server is a standby"), "{error}");
}

/// A server that becomes read-only, as when its disk is nearly full, is not ready; it recovers by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_server_is_not_ready_and_its_sessions_can_be_read() {
    let Some(cluster) = Cluster::start_new(&[]) else { return };
    let store = Cluster::open(&[&cluster]).await;
    let jane = store.sign_in(sign_in("jane", "c")).await.unwrap().session();
    cluster.executes("ALTER SYSTEM SET default_transaction_read_only = on").await;
    cluster.executes("SELECT pg_reload_conf()").await;
    let began = Instant::now();
    while store.ping().await.is_ok() {
        assert!(began.elapsed() < 5 * SECOND, "it is ready");
        tokio::time::sleep(SECOND / 50).await;
    }
    let refused = store.sign_in(sign_in("jane", "d")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.session(&jane).await.unwrap().is_some());
    cluster.executes("ALTER SYSTEM RESET default_transaction_read_only").await;
    cluster.executes("SELECT pg_reload_conf()").await;
    let began = Instant::now();
    while store.ping().await.is_err() {
        assert!(began.elapsed() < 5 * SECOND, "it does not recover");
        tokio::time::sleep(SECOND / 50).await;
    }
    store.sign_in(sign_in("jane", "d")).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_free_connection_operations_are_refused_and_later_served() {
    let settings = ["max_connections=8", "superuser_reserved_connections=3"];
    let Some(cluster) = Cluster::start_new(&settings) else { return };
    let store = Cluster::open(&[&cluster]).await;
    let mut held = Vec::new();
    while let Some(connection) = cluster.connection("postgres").await {
        held.push(connection);
        assert!(held.len() < 20, "the server accepts more than it may");
    }
    // The connections of the pool continue to work; a new replica cannot start.
    store.sign_in(sign_in("jane", "c")).await.unwrap();
    store.ping().await.unwrap();
    drop(held);
    let began = Instant::now();
    while cluster.connection("postgres").await.is_none() {
        assert!(began.elapsed() < 5 * SECOND, "the connections are not released");
    }
    let other = Cluster::open(&[&cluster]).await;
    other.sign_in(sign_in("jane", "d")).await.unwrap();
    other.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_notified_of_a_change_within_a_second() {
    let Some(world) = World::postgres().await else { return };
    let replica = world.replica().await;
    let mut changes = replica.changes();
    assert_eq!(changes.next().await, Change::Anything, "it listens");
    let key = crate::keys::key(1);
    assert!(world.store.add_signing_key(key).await.unwrap());
    let noticed = tokio::time::timeout(SECOND, changes.next()).await;
    assert_eq!(noticed.unwrap(), Change::Keys);

    // Its connection is closed, and notifications sent meanwhile are lost, so anything may have changed.
    let mut server = world.server().await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' \
               AND datname = current_database()";
    sqlx::query(sql).execute(&mut server).await.unwrap();
    let noticed = tokio::time::timeout(5 * SECOND, changes.next()).await;
    assert_eq!(noticed.unwrap(), Change::Anything);
    replica.close().await;
    world.over().await;
}

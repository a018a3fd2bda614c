//! Opening and closing a database, callers that disconnect, and texts that an engine cannot store.

use std::time::Duration;

use countersign_core::{ClientId, ConnectorId, GrantId, SessionId};
use countersign_store::{Location, OpenError, RedeemCodeOutcome, Rotation, Store, StoreError};

use sqlx::Connection;

use crate::on_both_engines;
use crate::world::{LIMIT, NOW, SignedIn as _, World, code, grant, rotate, sign_in};

async fn a_replica_sees_what_was_answered(world: &World) {
    let other = world.replica().await;
    let jane = world.jane("c").await;
    assert!(other.session(&jane).await.unwrap().is_some());
    other.close().await;
    assert!(world.store.session(&jane).await.unwrap().is_some());
}

async fn the_primary_responds(world: &World) {
    world.store.ping().await.unwrap();
    let time = world.store.database_time().await.unwrap();
    assert_eq!(time.is_some(), matches!(world.location, Location::Postgres(_)));
    assert!(time.is_none_or(|time| time > NOW - Duration::from_mins(50_000_000)));
}

async fn a_closed_store_is_unavailable(world: &World) {
    let store = world.replica().await;
    let clone = store.clone();
    store.sign_in(sign_in("jane", "before")).await.unwrap();
    store.close().await;
    store.close().await;
    let write = clone.sign_in(sign_in("jane", "after")).await;
    assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
    let read = clone.session_by_cookie("before").await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(matches!(clone.ping().await, Err(StoreError::Unavailable(_))));
    assert!(world.store.session_by_cookie("before").await.unwrap().is_some());
}

async fn an_operation_goes_on_without_its_caller(world: &World) {
    for n in 0..20 {
        let cookie = format!("cookie-{n}");
        let mut new_sign_in = Box::pin(world.store.sign_in(sign_in("jane", &cookie)));
        tokio::select! {
            biased;
            _ = &mut new_sign_in => (),
            () = std::future::ready(()) => (),
        }
        drop(new_sign_in);
    }
    for n in 0..20 {
        let cookie = format!("cookie-{n}");
        let mut tries = 0;
        while world.store.session_by_cookie(&cookie).await.unwrap().is_none() {
            tries += 1;
            assert!(tries < 500, "{cookie} was lost with its caller");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn hostile_text_is_only_text(world: &World) {
    for text in ["'; DROP TABLE sessions; --", "\" OR 1=1", "$1", "%", "_", "\\", "\u{feff}é\n"] {
        let mut new_sign_in = sign_in(text, text);
        new_sign_in.user_agent = text.into();
        let jane = world.store.sign_in(new_sign_in).await.unwrap().session();
        let session = world.store.session_by_cookie(text).await.unwrap().unwrap();
        assert_eq!((session.identity.user_id.as_str(), session.user_agent.as_str()), (text, text));
        let issued = code(&jane, text);
        world.store.issue_code(issued.clone(), NOW).await.unwrap();
        let redeemed =
            world.store.redeem_code(&issued.hash, &issued.client, grant(&issued, true), NOW, LIMIT);
        assert!(matches!(redeemed.await.unwrap(), RedeemCodeOutcome::Granted { .. }));
        assert!(world.store.code(text).await.unwrap().is_none());
        assert!(world.store.grant(&GrantId::new(text)).await.unwrap().is_none());
        assert!(world.store.session(&SessionId::new(text)).await.unwrap().is_none());
    }
}

async fn a_nul_is_absent_or_refused_never_a_fault(world: &World) {
    let nul = "a\0b";
    let store = &world.store;
    assert!(store.session_by_cookie(nul).await.unwrap().is_none());
    assert!(store.session(&SessionId::new(nul)).await.unwrap().is_none());
    assert!(store.code(nul).await.unwrap().is_none());
    assert!(store.grant(&GrantId::new(nul)).await.unwrap().is_none());
    assert!(store.secrets(nul).await.unwrap().is_empty());
    let (connector, client) = (ConnectorId::new(nul), ClientId::new(nul));
    assert!(store.consent(nul, &connector, &client).await.unwrap().is_none());
    assert_eq!(store.rotate(rotate(&GrantId::new(nul), 1, NOW)).await.unwrap(), Rotation::Ended);
    let jane = world.jane("c").await;
    let wanted = grant(&code(&jane, nul), true);
    let redeemed = store.redeem_code(nul, &client, wanted, NOW, LIMIT).await.unwrap();
    assert_eq!(redeemed, RedeemCodeOutcome::NotRedeemable);

    let refused = store.sign_in(sign_in(nul, "d")).await;
    assert!(matches!(refused, Err(StoreError::Unstorable(_))), "{refused:?}");
    let refused = store.issue_code(code(&jane, nul), NOW).await;
    assert!(matches!(refused, Err(StoreError::Unstorable(_))), "{refused:?}");
    let mut grouped = sign_in("joe", "e");
    grouped.identity.groups = vec![nul.into()];
    store.sign_in(grouped).await.unwrap();
    let session = store.session_by_cookie("e").await.unwrap().unwrap();
    assert_eq!(session.identity.groups, [nul], "inside JSON it is escaped");
}

on_both_engines!(
    a_replica_sees_what_was_answered,
    the_primary_responds,
    a_closed_store_is_unavailable,
    an_operation_goes_on_without_its_caller,
    hostile_text_is_only_text,
    a_nul_is_absent_or_refused_never_a_fault,
    an_id_too_long_for_an_index_is_no_fault,
    a_newer_database_is_left_alone,
);

async fn an_id_too_long_for_an_index_is_no_fault(world: &World) {
    let mut long = String::new();
    while long.len() < 9000 {
        long.push_str(&countersign_core::ids::random_id().unwrap());
    }
    let outcome = world.store.sign_in(sign_in(&long, "long")).await;
    assert!(matches!(outcome, Ok(_) | Err(StoreError::Unstorable(_))), "{outcome:?}");
}

async fn a_newer_database_is_left_alone(world: &World) {
    let sql = "INSERT INTO _sqlx_migrations \
               (version, description, success, checksum, execution_time) \
               SELECT 999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    match &world.location {
        Location::Sqlite { file } => {
            let url = format!("sqlite://{}", file.display());
            let mut db = sqlx::SqliteConnection::connect(&url).await.unwrap();
            sqlx::query(sql).execute(&mut db).await.unwrap();
        }
        Location::Postgres(_) => {
            let mut db = world.server().await;
            sqlx::query(sql).execute(&mut db).await.unwrap();
        }
        Location::Memory => panic!("no world is in memory"),
    }
    let error = Store::open(&world.location).await.err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
}

/// After the server has restarted, the store reconnects by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ended_are_replaced() {
    let Some(world) = World::postgres().await else { return };
    let jane = world.jane("c").await;
    let mut admin = world.server().await;
    for round in 0..5 {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(sql).execute(&mut admin).await.unwrap();
        if round % 2 == 0 {
            assert!(world.store.session(&jane).await.unwrap().is_some());
        } else {
            world.store.sign_in(sign_in("jane", &format!("c-{round}"))).await.unwrap();
        }
    }
    admin.close().await.unwrap();
    world.over().await;
}

async fn two_start_together(sqlite: bool) {
    for _ in 0..5 {
        let Some((first, world)) = World::two_on_an_empty_one(sqlite).await else { return };
        let jane = first.sign_in(sign_in("jane", "c")).await.unwrap().session();
        assert!(world.store.session(&jane).await.unwrap().is_some());
        first.close().await;
        world.over().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_start_together_on_sqlite() {
    two_start_together(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_start_together_on_postgres() {
    two_start_together(false).await;
}

#[tokio::test]
async fn memory_is_private_and_vanishes() {
    let (one, two) = (Store::open(&Location::Memory).await, Store::open(&Location::Memory).await);
    let (one, two) = (one.unwrap(), two.unwrap());
    let jane = one.sign_in(sign_in("jane", "c")).await.unwrap().session();
    assert!(one.session(&jane).await.unwrap().is_some());
    assert!(two.session(&jane).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::sqlite().await;
    world.jane("c").await;
    let Location::Sqlite { file } = &world.location else { panic!("it is SQLite") };
    let folder = file.parent().unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        files += 1;
    }
    assert!(files >= 2, "the file and its log");
    world.over().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_reported_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing").join("store.db");
    let error = Store::open(&Location::Sqlite { file: file.clone() }).await.err().unwrap();
    assert!(matches!(error, OpenError::Connect { .. }));
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");

    let url = "postgres://jane:hunter2@127.0.0.1:1/nowhere?sslmode=disable";
    let options = countersign_store::PostgresOptions::from_url(url).unwrap();
    let error = Store::open(&Location::Postgres(options)).await.err().unwrap().to_string();
    assert!(error.contains("nowhere on 127.0.0.1:1 as jane"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

//! Database errors within an operation: the operation is run again as a whole, and has its effect once or not at all.

use countersign_store::{Rotation, StoreError};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::world::{LIMIT, NOW, SignedIn as _, World, code, grant, rotate, sign_in};

/// Makes this many statements on a table fail with this SQLSTATE: at once, or, if deferred, at COMMIT. They are counted
/// by a sequence, because it is not rolled back.
struct Fault {
    table: &'static str,
    state: &'static str,
    times: u32,
    is_deferred: bool,
}

impl Fault {
    async fn inject(&self, server: &mut PgConnection) {
        let Self { table, state, times, is_deferred } = self;
        let (timing, constraint, deferred) = match is_deferred {
            true => ("AFTER", "CONSTRAINT ", "DEFERRABLE INITIALLY DEFERRED "),
            false => ("BEFORE", "", ""),
        };
        let result = if *is_deferred { "NULL" } else { "NEW" };
        let sql = format!(
            "DROP TRIGGER IF EXISTS fault ON {table};
             DROP SEQUENCE IF EXISTS faults;
             CREATE SEQUENCE faults;
             CREATE OR REPLACE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $body$
             BEGIN
                 IF nextval('faults') <= {times} THEN
                     RAISE EXCEPTION 'injected' USING ERRCODE = '{state}';
                 END IF;
                 RETURN {result};
             END $body$;
             CREATE {constraint}TRIGGER fault {timing} INSERT OR UPDATE ON {table} {deferred}
             FOR EACH ROW EXECUTE FUNCTION fault();"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(server).await.unwrap();
    }

    async fn remove(&self, server: &mut PgConnection) {
        let sql = format!("DROP TRIGGER fault ON {}", self.table);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(server).await.unwrap();
    }
}

fn faults(times: u32) -> Vec<Fault> {
    let mut faults = Vec::new();
    for table in ["sessions", "codes", "grants", "events"] {
        // Serialization failure and deadlock.
        for state in ["40001", "40P01"] {
            for is_deferred in [false, true] {
                faults.push(Fault { table, state, times, is_deferred });
            }
        }
    }
    faults
}

/// Threat 143: a login and a refresh. Each operation has its effect exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serialization_failures_and_deadlocks_are_retried_within_the_operation() {
    let Some(world) = World::postgres().await else { return };
    let (store, mut server) = (&world.store, world.server().await);
    for (n, fault) in faults(3).iter().enumerate() {
        fault.inject(&mut server).await;
        let jane = store.sign_in(sign_in("jane", &format!("c-{n}"))).await.unwrap().session();
        let code = code(&jane, "cli");
        store.issue_code(code.clone(), NOW).await.unwrap();
        let grant = grant(&code, true);
        store.redeem_code(&code.hash, &code.client, grant.clone(), NOW, LIMIT).await.unwrap();
        let rotated = store.rotate(rotate(&grant.id, 1, NOW)).await.unwrap();
        assert_eq!(rotated, Rotation::Rotated { generation: 2 });
        fault.remove(&mut server).await;
        let (grant, _) = store.grant(&grant.id).await.unwrap().unwrap();
        assert_eq!(grant.generation, 2);
        let sql = "SELECT COUNT(*) FROM events WHERE session_id = $1";
        let events: i64 =
            sqlx::query_scalar(sql).bind(jane.as_str()).fetch_one(&mut server).await.unwrap();
        assert_eq!(events, 1, "signed in once");
    }
    server.close().await.unwrap();
    world.over().await;
}

/// The error is temporary, and nothing was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_always_conflicts_fails_and_leaves_nothing() {
    let Some(world) = World::postgres().await else { return };
    let (store, mut server) = (&world.store, world.server().await);
    let jane = world.jane("c").await;
    let granted = world.granted(&jane, "cli", true).await;
    for fault in faults(1_000).iter().filter(|fault| fault.table == "grants") {
        fault.inject(&mut server).await;
        let refused = store.rotate(rotate(&granted, 1, NOW)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        fault.remove(&mut server).await;
        let (grant, _) = store.grant(&granted).await.unwrap().unwrap();
        assert_eq!(grant.generation, 1, "the token presented is still the current one");
    }
    assert_eq!(
        store.rotate(rotate(&granted, 1, NOW)).await.unwrap(),
        Rotation::Rotated { generation: 2 }
    );
    server.close().await.unwrap();
    world.over().await;
}

//! A database of one's own in the PostgreSQL that `./test` started.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Url;

use super::World;

static NEXT: AtomicU32 = AtomicU32::new(0);

impl World {
    /// A world on an empty PostgreSQL database. `Need::Postgres` has been checked before.
    pub fn with_postgres() -> Self {
        Self::on_postgres(new_database())
    }
}

/// Made through psql, so that the tests need no database library of their own.
pub fn new_database() -> Url {
    let cluster = std::env::var("COUNTERSIGN_TEST_POSTGRES").expect("checked by Need::Postgres");
    let name = format!("story_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("psql")
        .args([&cluster, "--quiet", "--no-psqlrc", "--command"])
        .arg(format!("CREATE DATABASE {name}"))
        .output()
        .expect("psql is installed with PostgreSQL");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut database = Url::parse(&cluster).expect("COUNTERSIGN_TEST_POSTGRES is a URL");
    database.set_path(&name);
    database
}

#[test]
fn every_story_has_a_database_of_its_own() {
    if super::Need::Postgres.is_missing() {
        return;
    }
    let (one, other) = (new_database(), new_database());
    assert_ne!(one, other);
    let yaml = World::on_postgres(one).yaml();
    assert!(yaml.contains("type: postgres") && yaml.contains("database: story_"), "{yaml}");
}

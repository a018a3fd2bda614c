//! A start on a database of Dex is refused, and the error says what to do.

use super::data_sets::DataSet;
use crate::world::World;

fn with_dexs_database(name: &str) -> World {
    let data = DataSet::named(name);
    let world = data.world(World::empty());
    std::fs::copy(data.file("dex.db"), world.dir().join("countersign.db")).unwrap();
    world
}

#[tokio::test]
async fn a_database_of_dex_is_recognised_and_not_touched() {
    for name in ["sqlite3", "sqlite3-ent"] {
        let world = with_dexs_database(name);
        let file = world.dir().join("countersign.db");
        let before = std::fs::read(&file).unwrap();
        let printed = world.clone().refuses_to_start().await;
        assert!(
            printed.contains("is Dex's") && printed.contains("countersign import dex"),
            "{printed}"
        );
        let check = world.runs_before_start(&["check", "CONFIG"]);
        let printed = String::from_utf8(check.stderr).unwrap();
        assert!(!check.status.success());
        assert!(
            printed.contains("is Dex's") && printed.contains("countersign import dex"),
            "{printed}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}

#[tokio::test]
async fn dexs_own_sqlite_file_serves_after_an_import_from_itself() {
    let data = DataSet::named("sqlite3");
    let world = with_dexs_database("sqlite3");
    let file = world.dir().join("countersign.db");
    let from = file.to_str().unwrap();
    let arguments = ["import", "dex", "--from", from, "--config", "CONFIG", "--yes"];
    let done = world.runs_before_start(&arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let server = world.start().await;
    let app = server.relying_party("web-one");
    assert_eq!(app.refreshes(data.current_token("alice-web-one")).await.status, 200);
}

#[tokio::test]
async fn storages_of_dex_alone_are_named_with_the_steps_to_take() {
    for (storage, steps) in [
        ("{type: kubernetes, config: {inCluster: true}}", ["kubectl get", "--from dex.json"]),
        (
            "{type: etcd, config: {namespace: dex/, endpoints: [h]}}",
            ["etcdctl get --prefix dex/", "--from dex.json"],
        ),
        (
            "{type: mysql, config: {database: d, user: u, host: db.example.com, password: p}}",
            [
                "mysqldump --hex-blob --single-transaction -h db.example.com -u u -p d > dex.sql` and give `--from dex.sql`",
                "import dex --from dex.yaml --config",
            ],
        ),
    ] {
        let world = World::new().with(&format!("storage: {storage}"));
        let check = world.runs_before_start(&["check", "CONFIG"]);
        let printed = String::from_utf8(check.stderr).unwrap();
        assert!(!check.status.success());
        for step in steps.iter().chain(&["type: sqlite3", "countersign import dex"]) {
            assert!(printed.contains(step), "{step} is not in\n{printed}");
        }
    }
}

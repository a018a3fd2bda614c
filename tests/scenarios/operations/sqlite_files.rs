//! The file of the database while the server runs: deleted, replaced, copied (issue 12, "Faults" and "Backup").

use serde_json::Value;

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Server, World, verified};

async fn readiness(server: &Server) -> (u16, Value) {
    let page = send(bare_client().get(format!("{}/healthz/ready", server.telemetry()))).await;
    (page.status, serde_json::from_str(&page.body).unwrap())
}

/// Without this the server would keep writing into an unlinked file.
#[tokio::test]
async fn a_deleted_or_replaced_database_is_no_longer_written() {
    for replaces in [false, true] {
        let server = World::new().start().await;
        let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
        let request = app.auth_request("openid offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let tokens = app.redeems(&request, &auth_response).await;
        let (database, copy) = (server.file("countersign.db"), server.file("copy.db"));
        std::fs::copy(&database, &copy).unwrap();
        match replaces {
            true => std::fs::rename(&copy, &database).unwrap(),
            false => std::fs::remove_file(&database).unwrap(),
        }

        let (status, text) = readiness(&server).await;
        assert_eq!((status, &text["database"]), (503, &Value::Bool(false)), "{text}");
        let problem = text["database_problem"].as_str().unwrap();
        assert!(problem.contains("deleted or replaced"), "{problem}");
        let refused = app.refreshes(tokens.refresh_token()).await;
        assert_eq!((refused.status, refused.error()), (503, "temporarily_unavailable"));
        let page = server.browser().opens(app.auth_request("openid").url).await.status;
        assert!(page == 200 || page == 503, "{page}");
        // Requests that need no database still succeed.
        verified(tokens.id_token(), &app.gets("/keys").await.json);
    }
}

/// `countersign backup` while the server runs; the restored data is complete.
#[tokio::test]
async fn a_backup_of_a_running_server_can_be_restored() {
    let mut server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    let output = server.runs_command(&["backup", "backup.db", "--config", "CONFIG"], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("countersign.db.rootkey"), "it says where the root key is: {text}");
    let backup = server.file("backup.db");
    let mode = std::os::unix::fs::PermissionsExt::mode(&backup.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = server.runs_command(&["backup", "backup.db", "--config", "CONFIG"], &[]);
    assert!(!again.status.success(), "a backup is never overwritten");

    // After the backup: a refresh, and a second sign-in that is not in the backup.
    let later = app.refreshes(tokens.refresh_token()).await;
    assert_eq!(later.status, 200);
    let mut second = server.browser();
    let auth_response = second.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let unknown = app.redeems(&request, &auth_response).await;
    assert!(server.stop().await.success());
    for name in ["countersign.db-wal", "countersign.db-shm"] {
        let _not_there = std::fs::remove_file(server.file(name));
    }
    std::fs::rename(&backup, server.file("countersign.db")).unwrap();
    server.restart().await;

    verified(tokens.id_token(), &app.gets("/keys").await.json);
    assert_eq!(app.refreshes(later.refresh_token()).await.status, 200, "adopted, no reuse");
    assert_eq!(app.refreshes(unknown.refresh_token()).await.error(), "invalid_grant");
    let end = ["sessions", "end", "--before", "now", "--yes", "--config", "CONFIG"];
    assert!(server.runs_command(&end, &[]).status.success());
    assert_eq!(app.refreshes(later.refresh_token()).await.error(), "invalid_grant");
}

//! Every example in the documents that calls `countersign` runs as written.

use std::path::{Path, PathBuf};

use crate::world::{BOB, BOB_PASSWORD, Client, Need, Person, Server, World};

const JANE: &str = "jane@example.com";
const JANE_PASSWORD: &str = "jane-sails-8-boats";
const WEBHOOK_SECRET: &str = "a-secret-of-the-cluster-616161616161";
/// The issuer in the documents, which is replaced by that of the test.
const DOCUMENTED_ISSUER: &str = "https://login.example.com/dex";

/// What the examples refer to: Jane, a platform engineer; the client `kubernetes` of a cluster with a
/// webhook; and `ops`, an administrator's client.
fn world() -> World {
    let cluster = Client::new("kubernetes")
        .with(&format!("kubernetes: {{webhook: {{secret: {WEBHOOK_SECRET}}}}}"));
    World::new()
        .person(Person::new(JANE, JANE_PASSWORD).groups(&["platform-admins"]))
        .client(cluster)
        .client(Client::new("ops"))
        .with("admin:\n  groups: []\n  clients: [ops]")
        .with("clusters:\n- name: production\n  server: https://api.production.example.com:6443\n  clientID: kubernetes")
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let markdown = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect::<Vec<_>>()
    };
    [markdown(root.clone()), markdown(root.join("docs"))].concat()
}

/// The fenced shell blocks with a line that calls the program or assigns its output.
fn examples(document: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), is_inside) {
            (Some(language), false) => blocks.push((language.to_owned(), String::new())),
            (Some(_), true) => {}
            (None, false) => continue,
            (None, true) => {
                let (_, block) = blocks.last_mut().unwrap();
                block.push_str(&format!("{line}\n"));
                continue;
            }
        }
        is_inside = !is_inside;
    }
    let calls = |line: &str| {
        let line = line.trim_start_matches("$ ");
        line.starts_with("countersign ") || line.contains("$(countersign ")
    };
    let examples = blocks.into_iter().filter(|(_, block)| block.lines().any(calls));
    examples
        .map(|(language, block)| {
            assert_eq!(
                language,
                "sh",
                "{}: the block cannot be copied as it is:\n{block}",
                document.display()
            );
            block
        })
        .collect()
}

async fn signs_in(server: &Server, client: &str, who: (&str, &str)) {
    let app = server.relying_party(client);
    let request = app.auth_request("openid email groups offline_access");
    let auth_response = server.browser().logs_in(&request, who.0, who.1).await;
    app.redeems(&request, &auth_response).await.refresh_token();
}

#[tokio::test]
async fn every_example_in_the_documents_runs() {
    if Need::Documents.is_missing() {
        return;
    }
    let mut number = 0;
    for document in documents() {
        for example in examples(&document) {
            number += 1;
            // API servers, and the check of their configuration, accept https only.
            let server = match example.contains("--lint") {
                true => world().over_https().start().await,
                false => world().start().await,
            };
            for _ in 0..3 {
                signs_in(&server, "kubernetes", (JANE, JANE_PASSWORD)).await;
            }
            signs_in(&server, "example-app", (BOB, BOB_PASSWORD)).await;
            let issuer = server.issuer();
            let secret = server.relying_party("ops").secret.unwrap();
            let env =
                [("COUNTERSIGN_CLIENT_ID", "ops"), ("COUNTERSIGN_CLIENT_SECRET", secret.as_str())];
            let script = example.replace(DOCUMENTED_ISSUER, &issuer);
            let output = server.runs_script(&script, &env);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document:?}:\n{example}\n{error}");
        }
    }
    assert!(number >= 2, "only {number} examples were found");
}

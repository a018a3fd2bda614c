//! What the administrator's doors tell, take and write down (threats L 128, 129, 131 and 132): no secret, no
//! filter that means something else, no line of anybody's own.

use serde_json::{Value, json};

use crate::scenarios::admin::cross_site_requests::{CREDENTIAL, laptop, world};
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, claims};

/// L 128 and 131: every view, every command and every number, after everything that there is was used.
#[tokio::test]
async fn whatever_is_told_of_anything_no_secret_is() {
    let server = world().start().await;
    let (ops, webhook) =
        (server.relying_party("ops"), laptop(&server, (ALICE, ALICE_PASSWORD), "webhook").await);
    let groups = laptop(&server, (ALICE, ALICE_PASSWORD), "groups").await;
    let source = claims(&groups.id_token)["_claim_sources"]["countersign"].clone();
    let handle = source["access_token"].as_str().unwrap();
    assert_eq!(groups.app.gets_as(handle, "/kubernetes/groups").await.status, 200);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": webhook.id_token}});
    let at = "/kubernetes/tokenreview/webhook";
    assert_eq!(ops.posts_json_as(CREDENTIAL, at, &review).await.status, 200);
    // Where they do not belong: nobody writes them down there either.
    let token = ops.client_credentials_token().await;
    for (bearer, path) in [
        (token.as_str(), format!("{at}?token={CREDENTIAL}")),
        (handle, format!("/kubernetes/groups?access_token={handle}")),
        (CREDENTIAL, format!("/api/v1/sessions?text={token}")),
        (&token, format!("/api/v1/sessions?text={}", webhook.refresh_token)),
        (&webhook.refresh_token, "/kubernetes/groups".to_owned()),
    ] {
        ops.posts_json_as(bearer, &path, &review).await;
        ops.gets_as(bearer, &path).await;
    }
    let found = ops.calls_api("GET", "/sessions", &token, Value::Null).await.json;
    let id = found["sessions"][0]["id"].as_str().unwrap().to_owned();
    let one = format!("/sessions/{id}");
    for path in [
        "/clients",
        "/connectors",
        "/sessions",
        &one,
        "/events",
        "/keys",
        "/openapi.json",
        "/memberships?group=developers",
        "/explain?user=alice@example.com&client=webhook",
    ] {
        let told = ops.calls_api("GET", path, &token, Value::Null).await;
        assert_eq!(told.status, 200, "{path}: {}", told.page.body);
        server.assert_no_secret_in(path, &told.page.body);
    }
    for command in [
        vec!["sessions", "list"],
        vec!["sessions", "show", &id],
        vec!["events"],
        vec!["keys", "list"],
        vec!["explain", ALICE, "--client", "webhook"],
    ] {
        for output in ["json", "table"] {
            let all = [&command[..], &["--config", "CONFIG", "--output", output]].concat();
            let told = String::from_utf8(server.runs_command(&all, &[]).stdout).unwrap();
            assert!(told.len() > 20, "{command:?}: {told}");
            server.assert_no_secret_in(&command.join(" "), &told);
        }
    }
    // From afar, with a token in the environment.
    let issuer = server.issuer();
    let from_afar = ["keys", "rotate", "--url", &issuer];
    let output = server.runs_command(&from_afar, &[("COUNTERSIGN_TOKEN", &token)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let numbers = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
    server.assert_no_secret_in("/metrics", &numbers.body);
    assert_eq!(ops.calls_api("DELETE", &one, &token, Value::Null).await.status, 200);
}

/// L 129: said twice, too deep, too much, beyond all time, or a page of another list.
#[tokio::test]
async fn odd_filters_end_nothing_and_break_nothing() {
    let server = world().start().await;
    let bobs = laptop(&server, (BOB, BOB_PASSWORD), "example-app").await;
    for _ in 0..3 {
        laptop(&server, (ALICE, ALICE_PASSWORD), "example-app").await;
    }
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let (deep, long) = ("[".repeat(100_000), "x".repeat(100_000));
    let bodies = [
        format!("{{\"user\":\"{ALICE}\",\"user\":\"{BOB}\"}}"),
        "{\"everything\":\"false\",\"everything\":\"true\"}".to_owned(),
        format!("{{\"user\":\"{BOB}\",\"us\\u0065r\":\"{BOB}\"}}"),
        deep.clone(),
        format!("{{\"user\":{deep}"),
        format!("{{\"{long}\":\"x\"}}"),
        format!("{{\"user\":\"{BOB}\"{}}}", " ".repeat(100_000)),
        format!("{{\"user\":\"{BOB}\"}} {{}}"),
        format!("\u{feff}{{\"user\":\"{BOB}\"}}"),
        String::new(),
        "null".to_owned(),
    ];
    for body in &bodies {
        for path in ["/sessions/end", "/sessions/preview"] {
            let request =
                bare_client().post(server.url(&format!("/api/v1{path}"))).bearer_auth(&token);
            let page = send(request.body(body.clone())).await;
            assert!([400, 413].contains(&page.status), "{path} {body:.80}: {}", page.body);
            assert!(page.body.len() < 2_000, "{path} {body:.80}");
        }
    }
    let large = bare_client().post(server.url("/api/v1/sessions/end")).bearer_auth(&token);
    assert_eq!(send(large.body("x".repeat(5_000_000))).await.status, 413);
    let get = async |path: &str| ops.calls_api("GET", path, &token, Value::Null).await;
    let of_sessions = get("/sessions?limit=1").await.json["next"].as_str().unwrap().to_owned();
    let of_events = get("/events?limit=1").await.json["next"].as_str().unwrap().to_owned();
    let tampered = format!("{of_sessions}'--");
    for path in [
        format!("/events?page={of_sessions}"),
        format!("/sessions?page={of_events}"),
        format!("/memberships?group=developers&page={of_events}"),
        format!("/sessions?page={tampered}"),
        format!("/sessions?page={}", of_sessions.repeat(20)),
        "/sessions?page=9999999999999999999.x".to_owned(),
        "/sessions?page=%00".to_owned(),
    ] {
        let response = get(&path).await;
        assert!([200, 400].contains(&response.status), "{path}: {}", response.page.body);
        let told = response.json["sessions"].as_array().map_or(0, Vec::len);
        assert!(told <= 4, "{path}");
    }
    for instant in [
        "99999999999999999999h",
        "9223372036854775807h",
        "-1h",
        "9999-12-31T23:59:59Z",
        "0000-01-01",
        "2026-02-30",
        "1e999s",
        "-9223372036854775808",
        "９h",
    ] {
        for path in ["/sessions?seen_since=", "/events?since=", "/memberships?group=x&since="] {
            let response = get(&format!("{path}{instant}")).await;
            assert!(
                [200, 400].contains(&response.status),
                "{path}{instant}: {}",
                response.page.body
            );
        }
    }
    // A twin of her name is somebody else.
    for twin in ["аlice@example.com", "ALICE@EXAMPLE.COM\u{200b}", "alice@example。com"] {
        let ended = ops.calls_api("POST", "/sessions/end", &token, json!({ "user": twin })).await;
        assert_eq!((ended.status, &ended.json["sessions"]), (200, &json!(0)), "{twin}");
    }
    assert_eq!(bobs.app.refreshes(&bobs.refresh_token).await.status, 200, "he is still there");
    assert_eq!(
        get("/sessions?user=alice@example.com").await.json["sessions"].as_array().unwrap().len(),
        3
    );
}

/// What somebody sends who wants a line of his own in the log, or in a terminal.
const FORGED: &str = "x\r\n{\"level\":\"INFO\",\"event\":\"forged\"}\r\n\u{1b}[2J\u{9b}31m\u{2028}";

/// L 132: by filters, ids, actors, states and names.
#[tokio::test]
async fn nobody_writes_his_own_line_by_the_administrators_doors() {
    let mut server = world().start().await;
    let bobs = laptop(&server, (BOB, BOB_PASSWORD), "example-app").await;
    let ops = server.relying_party("ops");
    let token = ops.client_credentials_token().await;
    let encoded: String = FORGED.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for field in ["user", "text", "group", "client", "connector", "ip"] {
        let ended = ops.calls_api("POST", "/sessions/end", &token, json!({ field: FORGED })).await;
        assert_eq!((ended.status, &ended.json["sessions"]), (200, &json!(0)), "{field}");
    }
    for (method, path) in [
        ("DELETE", format!("/sessions/{encoded}")),
        ("DELETE", format!("/grants/{encoded}")),
        ("POST", format!("/connectors/{encoded}/confirm")),
        ("GET", format!("/explain?user={encoded}")),
        ("GET", format!("/{encoded}")),
        ("GET", format!("/events?{encoded}=1")),
        ("GET", format!("/sessions?page={encoded}")),
    ] {
        assert!(ops.calls_api(method, &path, &token, Value::Null).await.status < 500, "{path}");
    }
    let mut mallory = server.browser();
    for path in [
        "/logout?state=",
        "/logout?client_id=",
        "/sign-in?to=",
        "/sessions/",
        "/kubernetes/tokenreview/",
        "/callback?error=",
        "/callback/",
    ] {
        mallory.get(server.url(&format!("{path}{encoded}"))).await;
        ops.posts_json_as(FORGED.lines().next().unwrap(), &format!("{path}{encoded}"), &json!({}))
            .await;
    }
    // Whose name at the machine it is, is the environment's word.
    let found =
        ops.calls_api("GET", "/sessions?user=bob@example.com", &token, Value::Null).await.json;
    let id = found["sessions"][0]["id"].as_str().unwrap();
    let end = ["sessions", "end", id, "--config", "CONFIG"];
    assert!(server.runs_command(&end, &[("USER", FORGED)]).status.success());
    assert_eq!(bobs.app.refreshes(&bobs.refresh_token).await.error(), "invalid_grant");
    let is_control = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}' | '\u{2029}');
    for output in ["json", "table"] {
        let said =
            server.runs_command(&["events", "--config", "CONFIG", "--output", output], &[]).stdout;
        let text = String::from_utf8(said).unwrap();
        assert!(text.contains("machine:x"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        // What a program reads is JSON, in which all above U+001F may stand as it is.
        assert!(output == "json" || !text.contains('\u{9b}'), "{text:?}");
        assert!(!text.lines().any(|line| line.trim().starts_with("{\"level\"")), "{text}");
    }
    assert!(server.stop().await.success());
    let log = server.log();
    assert!(log.contains("forged"), "what was sent is told, escaped");
    assert!(!log.contains(is_control), "{:?}", log.lines().find(|line| line.contains(is_control)));
    for line in log.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_ne!(line["event"], "forged", "{line}");
    }
}

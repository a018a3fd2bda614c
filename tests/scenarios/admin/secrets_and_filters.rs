//! What administrators' interfaces return, accept and log (threats L 128, 129, 131 and 132): no secret, no
//! ambiguous filter, no forged log line.

use serde_json::{Value, json};

use crate::scenarios::admin::cross_site_requests::{CREDENTIAL, sign_in_at, world};
use crate::world::http::{bare_client, send, send_bytes};
use crate::world::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, claims};

/// L 128 and 131: every view, every command and the metrics, after everything has been used.
#[tokio::test]
async fn no_view_command_or_metric_contains_a_secret() {
    let server = world().start().await;
    let (ops, webhook) = (
        server.relying_party("ops"),
        sign_in_at(&server, (ALICE, ALICE_PASSWORD), "webhook").await,
    );
    let groups = sign_in_at(&server, (ALICE, ALICE_PASSWORD), "groups").await;
    let source = claims(&groups.id_token)["_claim_sources"]["countersign"].clone();
    let handle = source["access_token"].as_str().unwrap();
    assert_eq!(groups.app.gets_as(handle, "/kubernetes/groups").await.status, 200);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": webhook.id_token}});
    let path = "/kubernetes/tokenreview/webhook";
    assert_eq!(ops.posts_json_as(CREDENTIAL, path, &review).await.status, 200);
    // Secrets in places where they do not belong are not logged either.
    let token = ops.client_credentials_token().await;
    for (bearer, path) in [
        (token.as_str(), format!("{path}?token={CREDENTIAL}")),
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
        let response = ops.calls_api("GET", path, &token, Value::Null).await;
        assert_eq!(response.status, 200, "{path}: {}", response.page.body);
        server.assert_no_secret_in(path, &response.page.body);
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
            let text = String::from_utf8(server.runs_command(&all, &[]).stdout).unwrap();
            assert!(text.len() > 20, "{command:?}: {text}");
            server.assert_no_secret_in(&command.join(" "), &text);
        }
    }
    // Remotely, with a token in the environment.
    let issuer = server.issuer();
    let remotely = ["keys", "rotate", "--url", &issuer];
    let output = server.runs_command(&remotely, &[("COUNTERSIGN_TOKEN", &token)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let numbers = send(bare_client().get(format!("{}/metrics", server.telemetry()))).await;
    server.assert_no_secret_in("/metrics", &numbers.body);
    assert_eq!(ops.calls_api("DELETE", &one, &token, Value::Null).await.status, 200);
}

/// L 129: duplicate keys, deep nesting, large bodies, times out of range, cursors of another list.
#[tokio::test]
async fn malformed_filters_are_refused_and_end_nothing() {
    let server = world().start().await;
    let bobs = sign_in_at(&server, (BOB, BOB_PASSWORD), "example-app").await;
    for _ in 0..3 {
        sign_in_at(&server, (ALICE, ALICE_PASSWORD), "example-app").await;
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
    // Refused before it is sent. A client that sends it all the same may see only that the connection is closed.
    let large = format!(
        "POST /dex/api/v1/sessions/end HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 5000000\r\n\r\n"
    );
    let refused = send_bytes(&server, large);
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
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
        let listed = response.json["sessions"].as_array().map_or(0, Vec::len);
        assert!(listed <= 4, "{path}");
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
    // Display-alike names are different users.
    for lookalike in ["аlice@example.com", "ALICE@EXAMPLE.COM\u{200b}", "alice@example。com"] {
        let ended =
            ops.calls_api("POST", "/sessions/end", &token, json!({ "user": lookalike })).await;
        assert_eq!((ended.status, &ended.json["sessions"]), (200, &json!(0)), "{lookalike}");
    }
    assert_eq!(bobs.app.refreshes(&bobs.refresh_token).await.status, 200, "his session is live");
    assert_eq!(
        get("/sessions?user=alice@example.com").await.json["sessions"].as_array().unwrap().len(),
        3
    );
}

/// An attempt to forge a log line or to send control sequences to a terminal.
const FORGED: &str = "x\r\n{\"level\":\"INFO\",\"event\":\"forged\"}\r\n\u{1b}[2J\u{9b}31m\u{2028}";

/// L 132: in filters, ids, actors, states and names.
#[tokio::test]
async fn input_cannot_forge_log_lines_or_control_a_terminal() {
    let mut server = world().start().await;
    let bobs = sign_in_at(&server, (BOB, BOB_PASSWORD), "example-app").await;
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
    // The actor's name comes from the environment.
    let found =
        ops.calls_api("GET", "/sessions?user=bob@example.com", &token, Value::Null).await.json;
    let id = found["sessions"][0]["id"].as_str().unwrap();
    let end = ["sessions", "end", id, "--config", "CONFIG"];
    assert!(server.runs_command(&end, &[("USER", FORGED)]).status.success());
    assert_eq!(bobs.app.refreshes(&bobs.refresh_token).await.error(), "invalid_grant");
    let is_control = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{2028}' | '\u{2029}');
    for format in ["json", "table"] {
        let output =
            server.runs_command(&["events", "--config", "CONFIG", "--output", format], &[]).stdout;
        let text = String::from_utf8(output).unwrap();
        assert!(text.contains("machine:x"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        // JSON output may contain characters above U+001F unescaped.
        assert!(format == "json" || !text.contains('\u{9b}'), "{text:?}");
        assert!(!text.lines().any(|line| line.trim().starts_with("{\"level\"")), "{text}");
    }
    assert!(server.stop().await.success());
    let log = server.log();
    assert!(log.contains("forged"), "the input is logged, escaped");
    assert!(!log.contains(is_control), "{:?}", log.lines().find(|line| line.contains(is_control)));
    for line in log.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_ne!(line["event"], "forged", "{line}");
    }
}

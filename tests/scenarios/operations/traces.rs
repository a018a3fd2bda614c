//! Traces for an OpenTelemetry collector: which spans it receives, with which names and nothing secret, and that a
//! collector that is down or slow changes nothing.

use std::net::TcpListener;

use serde_json::Value;

use crate::scenarios::connectors::oidc::{GROUPS, upstream_and_branch};
use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Collector, ExportedSpan, Server, World};

/// Trace and span that somebody before the server began, and the header that names them (W3C Trace Context).
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The line of the log about a collector that is down.
const PROBLEM: &str = "the OpenTelemetry collector does not accept traces";

async fn alice_signs_in(server: &Server, traceparent: Option<&str>) {
    let (mut alice, mut app) = (server.browser(), server.relying_party("example-app"));
    if let Some(traceparent) = traceparent {
        alice.with_traceparent(traceparent);
        app.with_traceparent(traceparent);
    }
    let request = app.auth_request("openid email offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(app.refreshes(tokens.refresh_token()).await.status, 200);
    assert_eq!(app.userinfo(tokens.access_token()).await.status, 200);
}

fn named<'a>(spans: &'a [ExportedSpan], name: &str) -> &'a ExportedSpan {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span {name}: {names:?}"))
}

fn children<'a>(
    spans: &'a [ExportedSpan],
    parent: &ExportedSpan,
) -> impl Iterator<Item = &'a ExportedSpan> {
    let parent = parent.span_id.clone();
    spans.iter().filter(move |span| span.parent_id == parent)
}

#[tokio::test]
async fn alices_login_and_tokens_are_spans_of_the_trace_she_began() {
    let collector = Collector::start();
    let mut server = collector.observes(World::new()).start().await;
    alice_signs_in(&server, Some(TRACEPARENT)).await;
    assert!(server.stop().await.success());
    let spans = collector.spans();
    let hers: Vec<_> = spans.iter().filter(|span| span.trace_id == TRACE).cloned().collect();
    for (name, method, route) in [
        ("GET /dex/auth", "GET", "/dex/auth"),
        ("POST /dex/auth/{connector}/login", "POST", "/dex/auth/{connector}/login"),
        ("POST /dex/token", "POST", "/dex/token"),
        ("GET /dex/userinfo", "GET", "/dex/userinfo"),
    ] {
        let span = named(&hers, name);
        assert_eq!((span.kind, span.parent_id.as_str()), ("server", CALLER), "{span:?}");
        assert_eq!(span.attribute("http.request.method"), method);
        assert_eq!(span.attribute("http.route"), route);
        assert_eq!(span.attribute("url.scheme"), "http");
        assert_eq!(span.attribute("network.protocol.version"), "1.1");
        assert!(!span.is_error, "{span:?}");
    }
    let token = named(&hers, "POST /dex/token");
    assert_eq!(token.attribute("http.response.status_code"), "200");
    let database: Vec<_> =
        children(&hers, token).filter(|s| s.attribute("db.system.name") == "sqlite").collect();
    assert!(!database.is_empty(), "the code is redeemed in the database: {hers:?}");
    for operation in &database {
        assert_eq!((operation.kind, operation.is_error), ("client", false), "{operation:?}");
        assert_eq!(operation.attribute("db.operation.name"), operation.name);
    }
    let login = named(&hers, "POST /dex/auth/{connector}/login");
    let connector = children(&hers, login).find(|s| s.name.starts_with("login "));
    let connector = connector.expect("the connector verifies the password");
    assert_eq!(connector.attribute("countersign.connector.id"), "local");
    assert_eq!(connector.attribute("countersign.connector.operation"), "login");
}

#[tokio::test]
async fn a_log_line_has_the_request_id_and_the_trace_id_of_the_span() {
    let collector = Collector::start();
    let mut server = collector.observes(World::new()).start().await;
    let page = send(bare_client().get(server.url("/keys")).header("traceparent", TRACEPARENT));
    let request_id = page.await.header("x-request-id").unwrap().to_owned();
    assert!(server.stop().await.success());
    let spans = collector.spans();
    let span = spans.iter().find(|span| span.attribute("countersign.request_id") == request_id);
    let span = span.expect("the span names the request");
    assert_eq!((span.trace_id.as_str(), span.name.as_str()), (TRACE, "GET /dex/keys"));
    assert!(span.attribute("client.address").starts_with("127."), "{span:?}");
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines = lines.filter(|line| line["request_id"] == *request_id);
    let line = lines.find(|line| line["msg"] == "request");
    let line = line.expect("the request is logged");
    assert_eq!((&line["trace_id"], &line["path"]), (&TRACE.into(), &"/dex/keys".into()));
    // What is only for the collector is not in the log.
    assert!(line.as_object().unwrap().keys().all(|name| !name.contains('.')), "{line}");
}

#[tokio::test]
async fn nothing_secret_and_no_name_is_exported() {
    let collector = Collector::start();
    let world = World::new().env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=platform");
    let mut server = collector.observes(world).start().await;
    alice_signs_in(&server, Some(TRACEPARENT)).await;
    let (mut mallory, app) = (server.browser(), server.relying_party("example-app"));
    mallory.opens(app.auth_request("openid").url).await;
    mallory.signs_in("MALLORY-THE-USER", "not-the-password").await;
    for path in ["/auth/MALLORY-1", "/sessions/MALLORY-2", "/MALLORY-3?code=MALLORY-4"] {
        let request = bare_client().get(server.url(path)).header("baggage", "user=MALLORY-5");
        send(request.header("user-agent", "MALLORY-6")).await;
    }
    assert!(server.stop().await.success());
    let received = collector.received();
    assert!(received.contains("POST /dex/token") && received.contains("x-tenant: platform"));
    server.assert_no_secret_in("what the collector received", &received);
    for text in [ALICE, ALICE_PASSWORD, "MALLORY", "not-the-password", "code=", "SELECT"] {
        assert!(!received.contains(text), "{text} was sent to the collector");
    }
}

#[tokio::test]
async fn the_resource_is_named_by_the_standard_variables() {
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "countersign"),
        (&[("OTEL_SERVICE_NAME", "idp")], "idp"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=sso,team=platform")], "sso"),
    ];
    for (variables, name) in cases {
        let collector = Collector::start();
        let world =
            variables.iter().fold(World::new(), |world, (key, value)| world.env(key, value));
        let mut server = collector.observes(world).start().await;
        send(bare_client().get(server.url("/keys"))).await;
        assert!(server.stop().await.success());
        let spans = collector.spans();
        let span = named(&spans, "GET /dex/keys");
        assert_eq!(span.resource("service.name"), name);
        assert!(!span.resource("service.version").is_empty());
        assert_eq!(span.resource("team"), if name == "sso" { "platform" } else { "" });
    }
}

#[tokio::test]
async fn requests_to_an_upstream_are_spans_and_do_not_tell_it_the_trace() {
    let (at_branch, at_upstream) = (Collector::start(), Collector::start());
    let (mut upstream, mut branch) = upstream_and_branch(
        at_upstream.observes(World::new()),
        at_branch.observes(World::new()),
        GROUPS,
    )
    .await;
    let (mut alice, app) = (branch.browser(), branch.relying_party("example-app"));
    alice.with_traceparent(TRACEPARENT);
    let request = app.auth_request_with("openid groups", &[("connector_id", "home")]);
    alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    assert!(branch.stop().await.success() && upstream.stop().await.success());
    let spans = at_branch.spans();
    let callback = named(&spans, "GET /dex/callback");
    let token = named(&spans, "POST token endpoint");
    assert_eq!((token.kind, &token.parent_id), ("client", &callback.span_id));
    assert_eq!(token.attribute("http.response.status_code"), "200");
    assert!(upstream.origin().contains(token.attribute("server.address")));
    assert_eq!(token.attribute("server.port"), "5556");
    let connector = named(&spans, "callback oidc");
    assert_eq!(connector.attribute("countersign.connector.id"), "home");
    // The same request at the upstream, which is the first span of a trace of its own.
    let spans = at_upstream.spans();
    let token = named(&spans, "POST /dex/token");
    assert_ne!(token.trace_id, TRACE);
    assert_eq!(token.parent_id, "");
}

#[tokio::test]
async fn without_an_endpoint_or_switched_off_nothing_is_built_and_nothing_is_sent() {
    let collector = Collector::start();
    let off = collector.observes(World::new()).env("OTEL_SDK_DISABLED", "true");
    for world in [World::new().env("OTEL_SERVICE_NAME", "idp"), off] {
        let mut server = world.start().await;
        alice_signs_in(&server, Some(TRACEPARENT)).await;
        let tasks = format!("/proc/{}/task", server.pid());
        let threads: Vec<_> = std::fs::read_dir(tasks)
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .collect();
        assert!(!threads.iter().any(|name| name.starts_with("OpenTel")), "{threads:?}");
        assert!(server.stop().await.success());
        assert!(!server.log().contains("trace_id"), "{}", server.log());
    }
    assert_eq!(collector.received(), "");
}

#[tokio::test]
async fn the_sampler_decides_what_is_sent() {
    let collector = Collector::start();
    let world = World::new().env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let mut server = collector.observes(world).start().await;
    send(bare_client().get(server.url("/keys"))).await;
    let sampled = bare_client().get(server.url("/healthz")).header("traceparent", TRACEPARENT);
    send(sampled).await;
    assert!(server.stop().await.success());
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /dex/healthz"], "the caller sampled its trace");
}

#[tokio::test]
async fn a_dead_collector_is_logged_once_and_changes_nothing() {
    // An address at which nothing listens.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let world = World::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere)
        .env("OTEL_BSP_SCHEDULE_DELAY", "10")
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "200");
    let mut server = world.start().await;
    alice_signs_in(&server, None).await;
    server.waits_for_log(1, PROBLEM).await;
    for _ in 0..3 {
        alice_signs_in(&server, None).await;
    }
    assert!(server.stop().await.success());
    assert_eq!(server.count_in_log(PROBLEM), 1, "{}", server.log());
}

/// Its queue is much smaller than the number of spans, and no request waits for it.
#[tokio::test]
async fn a_collector_that_does_not_respond_delays_nobody() {
    let collector = Collector::never_responding();
    let world = World::new()
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "4")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
        .env("OTEL_BSP_SCHEDULE_DELAY", "10")
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000");
    let mut server = collector.observes(world).start().await;
    send(bare_client().get(server.url("/keys"))).await;
    collector.waits_for_a_request().await;
    alice_signs_in(&server, None).await;
    assert!(server.stop().await.success());
    assert_eq!(server.count_in_log("\"stopped\""), 1, "{}", server.log());
}

#[tokio::test]
async fn a_variable_that_cannot_be_followed_is_a_warning() {
    for (name, value, warning) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only http/protobuf is built in"),
        ("OTEL_TRACES_SAMPLER", "xray", "it counts as parentbased_always_on"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem", "/nowhere.pem: "),
    ] {
        let collector = Collector::start();
        let mut server = collector.observes(World::new().env(name, value)).start().await;
        alice_signs_in(&server, None).await;
        assert!(server.stop().await.success());
        assert_eq!(server.count_in_log(warning), 1, "{}", server.log());
        let is_sent = name == "OTEL_TRACES_SAMPLER";
        assert_eq!(!collector.spans().is_empty(), is_sent, "{name}");
    }
}

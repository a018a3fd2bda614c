use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use countersign_core::Limits;
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use crate::connection::{ConnectionSlots, RequestSlot};

async fn run_to_completion(request: Request, next: Next) -> Response {
    super::run_to_completion(request, None, next).await
}

/// Threat 137, CVE-2023-44487: before, each cancelled request left a handler, without a limit.
#[tokio::test]
async fn cancelled_requests_of_one_connection_leave_few_handlers() {
    let (begun, upstream) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, upstream_ended) = (begun.clone(), upstream.clone());
    let handler = async move || {
        begins.notify_one();
        upstream_ended.notified().await;
    };
    let limits = Limits { streams_per_connection: 2, ..Limits::default() };
    let slots = ConnectionSlots::new(&limits, limits.header_bytes);
    let router = Router::new().route("/", get(handler));
    let router = router.layer(axum::middleware::from_fn(run_to_completion));
    let connected = || {
        let connection = slots.occupy([192, 0, 2, 1].into()).unwrap();
        router.clone().layer(Extension(Arc::new(RequestSlot::new(&connection))))
    };
    let connection = connected();
    let request = |router: &Router| router.clone().oneshot(Request::new(Body::empty()));
    for _ in 0..4 {
        tokio::select! {
            _ = request(&connection) => panic!("the upstream has not answered"),
            () = begun.notified() => {}
        }
    }
    assert_eq!(request(&connection).await.unwrap().status(), 503, "twice its streams");
    let other = connected();
    tokio::select! {
        _ = request(&other) => panic!("the upstream has not answered"),
        () = begun.notified() => {}
    }
    upstream.notify_waiters();
    let started = std::time::Instant::now();
    loop {
        tokio::task::yield_now().await;
        upstream.notify_one();
        if request(&connection).await.unwrap().status() == 200 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "the handlers have ended");
    }
}

#[tokio::test]
async fn a_handler_runs_to_its_end_although_the_client_disconnects() {
    let (begun, upstream) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (done, mut is_done) = mpsc::channel(1);
    let (begins, upstream_ended) = (begun.clone(), upstream.clone());
    let handler = async move || {
        begins.notify_one();
        upstream_ended.notified().await;
        done.send(()).await.unwrap();
    };
    let router = Router::new().route("/", get(handler));
    let router = router.layer(axum::middleware::from_fn(run_to_completion));
    let request = router.oneshot(Request::new(Body::empty()));
    tokio::select! {
        _ = request => panic!("the upstream has not answered"),
        () = begun.notified() => {}
    }
    // The request future is dropped here, as a server drops it when the client disconnects.
    upstream.notify_one();
    let waited = tokio::time::timeout(Duration::from_secs(10), is_done.recv()).await;
    assert_eq!(waited, Ok(Some(())));
}

//! An OpenTelemetry collector that receives traces by OTLP over HTTP (`POST /v1/traces`, protocol buffers) and keeps
//! every byte.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::{World, address};

/// Longer than any export takes on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Collector {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

#[derive(Clone)]
struct Request {
    head: String,
    body: Vec<u8>,
}

/// A span as it was received; ids are in hexadecimal.
#[derive(Clone, Debug)]
pub struct ExportedSpan {
    pub name: String,
    /// `server`, `client` or `internal`.
    pub kind: &'static str,
    pub trace_id: String,
    pub span_id: String,
    pub parent_id: String,
    pub is_error: bool,
    attributes: BTreeMap<String, String>,
    resource: BTreeMap<String, String>,
}

impl ExportedSpan {
    /// An attribute as text; empty if the span has none of this name.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    pub fn resource(&self, name: &str) -> &str {
        self.resource.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    pub fn start() -> Self {
        Self::responding(true)
    }

    /// Accepts requests and holds the connections without a response.
    pub fn never_responding() -> Self {
        Self::responding(false)
    }

    fn responding(responds: bool) -> Self {
        let listener = TcpListener::bind((address::own(), 5556)).expect("the address is its own");
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let received = Arc::clone(&requests);
        // The threads run until the test process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let received = Arc::clone(&received);
                std::thread::spawn(move || serve(&stream, &received, responds));
            }
        });
        Self { url, requests }
    }

    /// The world with traces sent to this collector.
    pub fn observes(&self, world: World) -> World {
        world.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url)
    }

    pub fn spans(&self) -> Vec<ExportedSpan> {
        let requests = self.requests.lock().unwrap().clone();
        requests.iter().flat_map(|request| exported_spans(&request.body)).collect()
    }

    /// Everything that was received, headers and bodies, as text.
    pub fn received(&self) -> String {
        let requests = self.requests.lock().unwrap();
        let text = |request: &Request| {
            format!("{}\n{}\n", request.head, String::from_utf8_lossy(&request.body))
        };
        requests.iter().map(text).collect()
    }

    /// Waits until a request has arrived.
    pub async fn waits_for_a_request(&self) {
        let started = Instant::now();
        while self.requests.lock().unwrap().is_empty() {
            assert!(started.elapsed() < WAIT_TIMEOUT, "nothing was sent to {}", self.url);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Answers the requests of one connection until it is closed.
fn serve(stream: &TcpStream, received: &Mutex<Vec<Request>>, responds: bool) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(request) = read_request(&mut reader) {
        let is_traces = request.head.starts_with("POST /v1/traces HTTP/1.1\r\n");
        received.lock().unwrap().push(request);
        if !responds {
            continue;
        }
        let status = if is_traces { "200 OK" } else { "404 Not Found" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
        );
        if writer.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.split_once("content-length:")?.1.lines().next()?.trim().parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}

fn exported_spans(body: &[u8]) -> Vec<ExportedSpan> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let resource = attributes(&resource.attributes);
        for of_scope in of_resource.scope_spans {
            spans.extend(of_scope.spans.iter().map(|span| exported_span(span, &resource)));
        }
    }
    spans
}

fn exported_span(span: &Span, resource: &BTreeMap<String, String>) -> ExportedSpan {
    let hexadecimal = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(span.events.is_empty(), "lines of the log are not exported: {span:?}");
    ExportedSpan {
        name: span.name.clone(),
        // `SpanKind` of the protocol.
        kind: ["unspecified", "internal", "server", "client"]
            .get(usize::try_from(span.kind).unwrap())
            .copied()
            .unwrap_or("other"),
        trace_id: hexadecimal(&span.trace_id),
        span_id: hexadecimal(&span.span_id),
        parent_id: hexadecimal(&span.parent_span_id),
        // `STATUS_CODE_ERROR`.
        is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
        attributes: attributes(&span.attributes),
        resource: resource.clone(),
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    list.iter().map(|entry| (entry.key.clone(), text(entry.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

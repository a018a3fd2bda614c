//! CPU profiles of pprof on the telemetry listener (`telemetry.enableProfiling`).

use std::io::Read;

use flate2::read::GzDecoder;
use prost::Message;
use reqwest::header::HeaderMap;

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, Server, World};

/// The parts of pprof's `profile.proto` that are read here.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
}

impl Profile {
    fn text(&self, number: i64) -> &str {
        &self.string_table[usize::try_from(number).unwrap()]
    }
}

async fn profiled_server() -> Server {
    let world = World::new();
    let listen = world.telemetry();
    let listen = listen.trim_start_matches("http://");
    let telemetry = format!("telemetry:\n  http: {listen}\n  enableProfiling: true");
    world.with(&telemetry).start().await
}

fn profile_url(server: &Server, query: &str) -> String {
    format!("{}/debug/pprof/profile{query}", server.telemetry())
}

async fn takes_profile(server: &Server) -> (HeaderMap, Vec<u8>) {
    let request = bare_client().get(profile_url(server, "?seconds=1"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let headers = response.headers().clone();
    (headers, response.bytes().await.unwrap().to_vec())
}

/// Passwords are verified meanwhile, which takes CPU time.
#[tokio::test]
async fn a_profile_has_samples_in_the_format_of_pprof() {
    let server = profiled_server().await;
    let app = server.relying_party("example-app");
    let mut mallory = server.browser();
    let guesses = async {
        loop {
            mallory.opens(app.auth_request("openid").url).await;
            mallory.signs_in(ALICE, "not-the-password").await;
        }
    };
    let (headers, body) = tokio::select! {
        profile = takes_profile(&server) => profile,
        () = guesses => unreachable!("they do not end"),
    };
    assert_eq!(headers["content-type"], "application/octet-stream");
    let mut bytes = Vec::new();
    GzDecoder::new(body.as_slice()).read_to_end(&mut bytes).expect("gzip");
    let profile = Profile::decode(bytes.as_slice()).expect("profile.proto");
    let kinds: Vec<_> = profile
        .sample_type
        .iter()
        .map(|kind| (profile.text(kind.kind), profile.text(kind.unit)))
        .collect();
    assert_eq!(kinds, [("samples", "count"), ("cpu", "nanoseconds")]);
    assert_eq!(profile.string_table[0], "");
    assert_eq!(profile.period, 1_000_000_000 / 99);
    assert!(profile.time_nanos > 0 && profile.duration_nanos >= 1_000_000_000, "{profile:?}");
    let count: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
    assert!(count > 0, "passwords were verified meanwhile");
    for sample in &profile.sample {
        assert_eq!(sample.value[1], sample.value[0] * profile.period);
        assert!(!sample.location_id.is_empty());
        for id in &sample.location_id {
            assert!(profile.location.iter().any(|location| location.id == *id), "location {id}");
        }
    }
    assert_only_code(&profile);
    server.assert_no_secret_in("the profile", &String::from_utf8_lossy(&bytes));
}

/// Each location is in the code of a file, or says that the stack could not be followed: other words of the memory,
/// which may be secret, are not shown as addresses.
fn assert_only_code(profile: &Profile) {
    for location in &profile.location {
        let functions = location.line.iter().map(|line| {
            let function = profile.function.iter().find(|f| f.id == line.function_id);
            profile.text(function.expect("the function of the line").name)
        });
        let functions: Vec<_> = functions.collect();
        if location.address == 0 {
            assert_eq!(functions, ["(no frame pointer)"]);
            continue;
        }
        let mapping = profile.mapping.iter().find(|mapping| mapping.id == location.mapping_id);
        let mapping = mapping.expect("the mapping of the address");
        let code = mapping.memory_start..mapping.memory_limit;
        assert!(code.contains(&location.address), "{location:?} {mapping:?}");
    }
}

#[tokio::test]
async fn one_profile_at_a_time_of_at_most_a_minute() {
    let server = profiled_server().await;
    for query in ["?seconds=0", "?seconds=61", "?seconds=forever"] {
        assert_eq!(send(bare_client().get(profile_url(&server, query))).await.status, 400);
    }
    let second = async {
        server.waits_for_log(1, "a CPU profile is being taken").await;
        send(bare_client().get(profile_url(&server, "?seconds=1"))).await.status
    };
    let (_, status) = tokio::join!(takes_profile(&server), second);
    assert_eq!(status, 409, "the first one is being taken");
    takes_profile(&server).await;
}

#[tokio::test]
async fn profiles_are_served_only_with_enable_profiling_and_never_on_the_main_listener() {
    let mut server = World::new().start().await;
    assert_eq!(send(bare_client().get(profile_url(&server, "?seconds=1"))).await.status, 404);
    assert!(server.stop().await.success());
    let server = profiled_server().await;
    for url in [server.origin(), server.issuer()] {
        let url = format!("{url}/debug/pprof/profile?seconds=1");
        assert_eq!(send(bare_client().get(url)).await.status, 404);
    }
    assert_eq!(server.count_in_log("a CPU profile is being taken"), 0);
}

//! Drives the program of tests/kubernetes: the API server's own authenticators, without a cluster. Its
//! main.go documents the protocol.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::Server;

pub struct ApiServer {
    process: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl ApiServer {
    /// An API server with the usual flags: this issuer, this client, `email` as user name and `groups` as
    /// groups, both prefixed with `oidc:`. `Need::Kubernetes` must have been checked.
    pub fn trusting(server: &Server, client_id: &str) -> Self {
        let mut api = Self::new();
        api.executes(&json!({
            "op": "flags", "id": "cluster", "issuerURL": server.issuer(), "clientID": client_id,
            "caFile": server.ca_file(), "usernameClaim": "email", "usernamePrefix": "oidc:",
            "groupsClaim": "groups", "groupsPrefix": "oidc:", "signingAlgs": ["RS256"],
        }));
        api
    }

    /// An API server with an `AuthenticationConfiguration`.
    pub fn configured(yaml: &str) -> Self {
        let mut api = Self::new();
        api.executes(&json!({"op": "config", "id": "cluster", "yaml": yaml}));
        api
    }

    /// Authenticates a bearer token: `username` and `groups`, or `refused` and `error`.
    pub fn authenticates(&mut self, token: &str) -> Value {
        self.send(
            &json!({"op": "authenticate", "id": "cluster", "token": token, "waitSeconds": 30}),
        )
    }

    /// Sends any other request of the protocol, which must succeed.
    pub fn executes(&mut self, request: &Value) -> Value {
        let response = self.send(request);
        assert_eq!(response["ok"], true, "{request}: {response}");
        response
    }

    /// An API server without authenticators: `executes` adds them; `authenticates` uses the one named
    /// `cluster`.
    pub fn new() -> Self {
        let program = std::env::var_os("COUNTERSIGN_KUBERNETES_ORACLE");
        let mut process = Command::new(program.expect("checked by Need::Kubernetes"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the oracle can be started");
        let requests = process.stdin.take().unwrap();
        let responses = BufReader::new(process.stdout.take().unwrap());
        Self { process, requests, responses }
    }

    fn send(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.responses.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{request}: {line:?} ({e})"))
    }
}

/// The reason of a refusal, after checking that the token was refused and not the request.
pub fn refusal(seen: &Value) -> String {
    assert_eq!((&seen["ok"], &seen["refused"]), (&json!(false), &json!(true)), "{seen}");
    seen["error"].as_str().unwrap().to_owned()
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn an_unknown_authenticator_is_an_error_and_not_a_refusal() {
    if super::Need::Kubernetes.is_missing() {
        return;
    }
    let mut api = ApiServer::new();
    let response = api.authenticates("no.such.authenticator");
    assert_eq!(response["ok"], false, "{response}");
    assert_eq!(response["refused"], Value::Null, "the token was not examined: {response}");
}

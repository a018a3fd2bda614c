//! What a Kubernetes API server says to a token, through the oracle in tests/kubernetes: the real
//! authenticators, without a cluster. The protocol is described in its main.go.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::Server;

pub struct ApiServer {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl ApiServer {
    /// An API server with the plain flags of most clusters: this issuer, this client, `email` as user
    /// and `groups` as groups, both prefixed with `oidc:`. `Need::Kubernetes` has been checked before.
    pub fn trusting(server: &Server, client_id: &str) -> Self {
        let mut api = Self::new();
        api.does(&json!({
            "op": "flags", "id": "cluster", "issuerURL": server.issuer(), "clientID": client_id,
            "caFile": server.ca_file(), "usernameClaim": "email", "usernamePrefix": "oidc:",
            "groupsClaim": "groups", "groupsPrefix": "oidc:", "signingAlgs": ["RS256"],
        }));
        api
    }

    /// An API server with an `AuthenticationConfiguration`.
    pub fn configured(yaml: &str) -> Self {
        let mut api = Self::new();
        api.does(&json!({"op": "config", "id": "cluster", "yaml": yaml}));
        api
    }

    /// What it makes of a bearer token: `username`, `groups`, or `refused` and `error`.
    pub fn authenticates(&mut self, token: &str) -> Value {
        self.ask(&json!({"op": "authenticate", "id": "cluster", "token": token, "waitSeconds": 30}))
    }

    /// Any other question of the protocol, which must succeed.
    pub fn does(&mut self, question: &Value) -> Value {
        let answer = self.ask(question);
        assert_eq!(answer["ok"], true, "{question}: {answer}");
        answer
    }

    /// An API server without any authenticator: `does` opens them, `cluster` is the one that is asked.
    pub fn new() -> Self {
        let program = std::env::var_os("COUNTERSIGN_KUBERNETES_ORACLE");
        let mut process = Command::new(program.expect("checked by Need::Kubernetes"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the oracle can be started");
        let questions = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{question}: {line:?} ({e})"))
    }
}

/// Why it said no. That it was this token it said no to is part of the answer.
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
fn the_oracle_speaks_and_refuses_what_it_does_not_know() {
    if super::Need::Kubernetes.is_missing() {
        return;
    }
    let mut api = ApiServer::new();
    let answer = api.authenticates("no.such.authenticator");
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(answer["refused"], Value::Null, "nobody looked at the token: {answer}");
}

//! The program of tests/upstreams: a provider of OpenID Connect by other people (`oidc-provider`), as
//! an upstream of ours. One JSON object a line each way; its provider.mjs describes them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, World, address};

/// How long it may take to begin, or to answer, on a busy machine. Not a sleep.
const PATIENCE: Duration = Duration::from_secs(60);

/// Knows Alice (`sub` `alice-at-the-provider`, groups `climbers` and `cooks`) and Bob (`sub`
/// `bob-at-the-provider`, no groups) with the passwords they have everywhere.
pub struct RealProvider {
    pub issuer: String,
    process: Child,
    orders: ChildStdin,
    done: Receiver<Value>,
    saw: Arc<Mutex<Vec<Value>>>,
}

impl RealProvider {
    /// Starts it, for this world to be its client. `Need::Upstreams` has been checked before.
    pub fn known_to(world: &World) -> Self {
        let program = std::env::var_os("COUNTERSIGN_UPSTREAMS");
        let mut process = Command::new("node")
            .arg(program.expect("checked by Need::Upstreams"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the provider can be started");
        let orders = process.stdin.take().unwrap();
        let (tell, done) = channel();
        let saw = Arc::<Mutex<Vec<Value>>>::default();
        let (lines, seen) = (BufReader::new(process.stdout.take().unwrap()).lines(), saw.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
                match line["done"].is_null() {
                    true => seen.lock().unwrap().push(line),
                    false => drop(tell.send(line)),
                }
            }
        });
        let (complaints, seen) = (process.stderr.take().unwrap(), saw.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(complaints).lines().map_while(Result::ok) {
                seen.lock().unwrap().push(json!({"saw": "a complaint of its own", "line": line}));
            }
        });
        let issuer = format!("http://{}:4000", address::own());
        let mut provider = Self { issuer, process, orders, done, saw };
        provider.does(json!({
            "op": "begin", "issuer": provider.issuer,
            "client": {
                "id": "countersign", "secret": SECRET,
                "redirect_uri": format!("{}/callback", world.issuer()),
            },
            "people": [
                {"sub": "alice-at-the-provider", "password": ALICE_PASSWORD, "name": "Alice Arden",
                 "email": ALICE, "groups": ["climbers", "cooks"]},
                {"sub": "bob-at-the-provider", "password": BOB_PASSWORD, "name": "Bob Byrne",
                 "email": BOB, "groups": []},
            ],
        }));
        provider
    }

    /// Its entry under `connectors:`, with the id `provider`; `more` are lines of its `config`.
    pub fn connector(&self, more: &str) -> String {
        format!(
            "connectors:\n- type: oidc\n  id: provider\n  name: The provider\n  config:\n    \
             issuer: {}\n    clientID: countersign\n    clientSecret: {SECRET}\n    scopes: \
             [profile, email, groups]\n    getUserInfo: true\n    insecureEnableGroups: true\n{more}",
            self.issuer
        )
    }

    /// From now on nobody listens at its address. It forgets nothing.
    pub fn stops(&mut self) {
        self.does(json!({"op": "stop"}));
    }

    pub fn goes_on(&mut self) {
        self.does(json!({"op": "go on"}));
    }

    /// There is no longer anybody with this `sub`.
    pub fn removes(&mut self, sub: &str) {
        self.does(json!({"op": "remove", "sub": sub}));
    }

    pub fn puts_into(&mut self, sub: &str, groups: &[&str]) {
        self.does(json!({"op": "groups", "sub": sub, "groups": groups}));
    }

    /// What it noticed so far of this kind: `authorization`, `grant`, `refusal`, `revocation`.
    pub fn saw(&mut self, what: &str) -> Vec<Value> {
        // Its lines come in order: what it saw before this is here afterwards.
        self.does(json!({"op": "look"}));
        let saw = self.saw.lock().unwrap();
        saw.iter().filter(|line| line["saw"] == what).cloned().collect()
    }

    fn does(&mut self, order: Value) {
        writeln!(self.orders, "{order}").unwrap();
        let done = self.done.recv_timeout(PATIENCE);
        let done = done.unwrap_or_else(|e| panic!("{order}: {e}; it saw {:?}", self.saw));
        assert_eq!(done["done"], order["op"]);
    }
}

const SECRET: &str = "the-secret-of-countersign-at-the-provider";

impl Drop for RealProvider {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the provider saw:\n{:#?}", self.saw.lock());
        }
    }
}

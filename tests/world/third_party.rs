//! Drives third-party implementations: the relying party of tests/relying-party (the crate `openidconnect`), and the
//! scripts of tests/upstreams: under Node.js an OpenID Connect provider (`oidc-provider`), a SAML identity provider
//! (`samlp`), a client (`openid-client`) and a receiver of back-channel logout (`jose`), under Python another SAML
//! identity provider (`pysaml2`). Each exchanges JSON objects, one a line; their own files document the commands.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::log::Secrets;
use super::{
    ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, Client, RelyingParty, Server, World, address,
};

pub struct ThirdPartyClient {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ThirdPartyClient {
    /// Acts as one of our clients. `Need::RelyingParty` must have been checked.
    pub fn acting_as(app: &RelyingParty, issuer: &str, scopes: &str) -> Self {
        Self::start(app, issuer, scopes, &[])
    }

    /// The same; at its end it starts an RP-initiated logout with this `post_logout_redirect_uri`.
    pub fn signing_out_to(app: &RelyingParty, issuer: &str, scopes: &str, uri: &str) -> Self {
        Self::start(app, issuer, scopes, &[("POST_LOGOUT_REDIRECT_URI", uri)])
    }

    fn start(app: &RelyingParty, issuer: &str, scopes: &str, more: &[(&str, &str)]) -> Self {
        let program = std::env::var_os("COUNTERSIGN_RELYING_PARTY");
        let mut process = Command::new(program.expect("checked by Need::RelyingParty"))
            .env("ISSUER", issuer)
            .env("CLIENT_ID", &app.id)
            .env("CLIENT_SECRET", app.secret.as_deref().unwrap_or_default())
            .env("REDIRECT_URI", &app.redirect_uri)
            .env("SCOPES", scopes)
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the relying party can be started");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    /// Reads the next step, which must have this name.
    pub fn step(&mut self, name: &str) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let step: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        assert_eq!(step["step"], name, "{line}");
        step
    }

    /// Passes the URL of the authorization response.
    pub fn receives_callback(&mut self, url: &str) {
        writeln!(self.input, "{url}").unwrap();
    }
}

impl Drop for ThirdPartyClient {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// How long a script may take to start or to respond on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Script {
    script: &'static str,
    process: Child,
    stdin: ChildStdin,
    done: Receiver<Value>,
    observed: Arc<Mutex<Vec<Value>>>,
}

impl Script {
    /// Starts this script. `Need::Upstreams` must have been checked.
    pub fn start(script: &'static str) -> Self {
        let provider = std::env::var_os("COUNTERSIGN_UPSTREAMS");
        let provider = std::path::PathBuf::from(provider.expect("checked by Need::Upstreams"));
        let file = provider.with_file_name(script);
        let is_python = file.extension().is_some_and(|extension| extension == "py");
        let mut process = Command::new(if is_python { "python3" } else { "node" })
            .arg(file)
            .env("PYTHONPATH", provider.with_file_name("python"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let stdin = process.stdin.take().unwrap();
        let (sender, done) = channel();
        let observed = Arc::<Mutex<Vec<Value>>>::default();
        let (lines, seen) =
            (BufReader::new(process.stdout.take().unwrap()).lines(), observed.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
                match line["done"].is_null() {
                    true => seen.lock().unwrap().push(line),
                    false => drop(sender.send(line)),
                }
            }
        });
        let (stderr, seen) = (process.stderr.take().unwrap(), observed.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                seen.lock().unwrap().push(json!({"event": "stderr", "line": line}));
            }
        });
        Self { script, process, stdin, done, observed }
    }

    /// Sends a command and returns its response.
    pub fn executes(&mut self, command: Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        let done = self.done.recv_timeout(WAIT_TIMEOUT);
        let done = done.unwrap_or_else(|e| panic!("{command}: {e}; observed {:?}", self.observed));
        assert_eq!(done["done"], command["op"]);
        done
    }

    /// Returns the events of this kind that the script has reported so far.
    pub fn observed(&mut self, kind: &str) -> Vec<Value> {
        // Output is in order, so after this response all earlier events have been read.
        self.executes(json!({"op": "flush"}));
        let observed = self.observed.lock().unwrap();
        observed.iter().filter(|line| line["event"] == kind).cloned().collect()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- {} observed:\n{:#?}", self.script, self.observed.lock());
        }
    }
}

/// Has the users Alice (`sub` `alice-at-the-provider`, groups `climbers` and `cooks`) and Bob (`sub`
/// `bob-at-the-provider`, no groups) with their usual passwords.
pub struct OidcProvider {
    pub issuer: String,
    process: Script,
}

impl OidcProvider {
    /// Starts the provider with this world as its client. `Need::Upstreams` must have been checked.
    pub fn start(world: &World) -> Self {
        let issuer = format!("http://{}:4000", address::own());
        let mut provider = Self { issuer, process: Script::start("provider.mjs") };
        provider.process.executes(json!({
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

    /// The entry of `connectors:` for this provider, with the id `provider`; `more` are lines of its
    /// `config`.
    pub fn connector(&self, more: &str) -> String {
        format!(
            "connectors:\n- type: oidc\n  id: provider\n  name: The provider\n  config:\n    \
             issuer: {}\n    clientID: countersign\n    clientSecret: {SECRET}\n    scopes: \
             [profile, email, groups]\n    getUserInfo: true\n    insecureEnableGroups: true\n{more}",
            self.issuer
        )
    }

    /// Stops listening; keeps all state.
    pub fn stops(&mut self) {
        self.process.executes(json!({"op": "stop"}));
    }

    pub fn resumes(&mut self) {
        self.process.executes(json!({"op": "resume"}));
    }

    /// Removes the user with this `sub`.
    pub fn removes_user(&mut self, sub: &str) {
        self.process.executes(json!({"op": "remove", "sub": sub}));
    }

    pub fn sets_groups(&mut self, sub: &str, groups: &[&str]) {
        self.process.executes(json!({"op": "groups", "sub": sub, "groups": groups}));
    }

    /// Returns the events of this kind so far: `authorization`, `grant`, `refusal`, `revocation`,
    /// `end_session`.
    pub fn observed(&mut self, kind: &str) -> Vec<Value> {
        self.process.observed(kind)
    }
}

/// Signs in Alice (NameID `alice-at-the-provider`, groups `climbers` and `cooks`) without asking.
pub struct SamlProvider {
    origin: String,
    certificate: String,
    library: SamlLibrary,
    /// Dropping this value ends the process.
    _process: Script,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SamlLibrary {
    /// npm.
    Samlp,
    /// PyPI. It signs with the program `xmlsec1`.
    Pysaml2,
}

impl SamlProvider {
    /// The entity id of the identity provider.
    const ISSUER: &'static str = "https://saml.example.com/";
    /// Ours.
    const AUDIENCE: &'static str = "https://countersign.example.com";

    /// Starts the provider with this world as its service provider. `Need::Upstreams` must have been checked.
    pub fn start(world: &World, library: SamlLibrary) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let names = vec!["saml.example.com".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
        let (script, port) = match library {
            SamlLibrary::Samlp => ("saml.mjs", 4002),
            SamlLibrary::Pysaml2 => ("pysaml2_provider.py", 4003),
        };
        let origin = format!("http://{}:{port}", address::own());
        let mut process = Script::start(script);
        process.executes(json!({
            "op": "begin", "listen": origin, "acs": format!("{}/callback", world.issuer()),
            "issuer": Self::ISSUER, "audience": Self::AUDIENCE, "certificate": certificate,
            "key": key.serialize_pem(),
            "person": {
                "id": "alice-at-the-provider", "name": "Alice Arden", "email": ALICE,
                "groups": ["climbers", "cooks"],
            },
        }));
        Self { origin, certificate, library, _process: process }
    }

    /// The entry of `connectors:` for this provider, with the id `saml`. `signed`: `response`, `assertion` or `both`;
    /// of pysaml2 also `default`.
    pub fn connector(&self, signed: &str) -> String {
        let (origin, issuer, audience) = (&self.origin, Self::ISSUER, Self::AUDIENCE);
        let certificate = STANDARD.encode(&self.certificate);
        let [name, email, groups] = match self.library {
            SamlLibrary::Samlp => ["name", "email", "groups"],
            // displayName, mail and isMemberOf.
            SamlLibrary::Pysaml2 => [
                "urn:oid:2.16.840.1.113730.3.1.241",
                "urn:oid:0.9.2342.19200300.100.1.3",
                "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
            ],
        };
        format!(
            "connectors:\n- type: saml\n  id: saml\n  name: The provider\n  config:\n    ssoURL: {origin}/sso/{signed}\n    \
             ssoIssuer: {issuer}\n    entityIssuer: {audience}\n    caData: {certificate}\n    \
             usernameAttr: '{name}'\n    emailAttr: '{email}'\n    groupsAttr: '{groups}'\n"
        )
    }
}

const SECRET: &str = "the-secret-of-countersign-at-the-provider";

pub struct OpenIdClient {
    process: Script,
    secrets: Secrets,
}

impl OpenIdClient {
    /// Acts as one of our clients and reads the discovery document. `Need::Upstreams` must have been checked.
    pub fn acting_as(app: &RelyingParty, server: &Server) -> Self {
        let mut client =
            Self { process: Script::start("client.mjs"), secrets: server.secrets.clone() };
        client.executes(json!({
            "op": "begin", "issuer": server.issuer(), "id": app.id, "secret": app.secret,
        }));
        client
    }

    /// Runs a command, which must succeed.
    pub fn executes(&mut self, command: Value) -> Value {
        let done = self.attempts(command);
        assert!(done["error"].is_null(), "{done}");
        done
    }

    /// Runs a command; errors are returned in `error` and `status`.
    pub fn attempts(&mut self, command: Value) -> Value {
        let done = self.process.executes(command);
        for token in ["access_token", "refresh_token", "id_token"] {
            self.secrets.remember(token, done["tokens"][token].as_str().unwrap_or_default());
        }
        done
    }
}

/// A client with a back-channel logout endpoint that verifies logout tokens.
pub struct VerifyingLogoutReceiver {
    process: Script,
    pub url: String,
}

impl VerifyingLogoutReceiver {
    /// Listens for logout tokens of this world's issuer with this client id as audience.
    pub fn start(world: &World, id: &str) -> Self {
        let url = format!("http://{}:4001/bye", address::own());
        let mut process = Script::start("receiver.mjs");
        let issuer = world.issuer();
        process.executes(json!({ "op": "begin", "listen": url, "issuer": issuer, "audience": id }));
        Self { process, url }
    }

    /// The client with this id, whose `backchannelLogoutURI` is this endpoint.
    pub fn client(&self, id: &str) -> Client {
        Client::new(id).with(&format!("backchannelLogoutURI: {}", self.url))
    }

    /// The claims of each logout token that was verified.
    pub fn accepted(&mut self) -> Vec<Value> {
        self.process.observed("logout")
    }

    /// The reasons why other logout tokens were rejected.
    pub fn refused(&mut self) -> Vec<Value> {
        self.process.observed("refusal")
    }
}

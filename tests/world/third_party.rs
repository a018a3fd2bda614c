//! The program of tests/relying-party: a relying party by other people's code (`openidconnect`),
//! which we only drive. One JSON object a line each way; its main.rs describes them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::RelyingParty;

pub struct ThirdParty {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ThirdParty {
    /// In the shoes of one of our clients. `Need::RelyingParty` has been checked before.
    pub fn acting_as(app: &RelyingParty, issuer: &str, scopes: &str) -> Self {
        Self::start(app, issuer, scopes, &[])
    }

    /// The same, which in the end signs its user out and wants them back at `uri`.
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

    /// Its next step, which must have this name.
    pub fn step(&mut self, name: &str) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let step: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        assert_eq!(step["step"], name, "{line}");
        step
    }

    /// Gives it the URL at which its user came back.
    pub fn comes_back(&mut self, url: &str) {
        writeln!(self.input, "{url}").unwrap();
    }
}

impl Drop for ThirdParty {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

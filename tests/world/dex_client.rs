//! Drives the program of tests/dex-client: Dex's published Go client of its gRPC API. Its main.go documents the
//! protocol.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use reqwest::Url;
use serde_json::{Value, json};

use super::{Server, certificates};

/// A program that administers one server. `Need::Grpc` must have been checked.
pub struct DexClient {
    process: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl Server {
    /// Host and port of Dex's gRPC API, in a `World::with_grpc()`.
    pub fn grpc_address(&self) -> String {
        let origin = Url::parse(&self.origin()).unwrap();
        format!("{}:5557", origin.host_str().unwrap())
    }
}

impl DexClient {
    /// With a certificate of the server's authority, where the server uses https.
    pub fn of(server: &Server) -> Self {
        Self::start(server, server.file(""), Some("client"))
    }

    /// Without one.
    pub fn without_certificate(server: &Server) -> Self {
        Self::start(server, server.file(""), None)
    }

    /// With the authority and the certificate in this folder.
    pub fn with_certificates_in(server: &Server, folder: &Path) -> Self {
        Self::start(server, folder.to_owned(), Some("client"))
    }

    fn start(server: &Server, folder: PathBuf, certificate: Option<&str>) -> Self {
        let program = std::env::var_os("COUNTERSIGN_DEX_CLIENT");
        let mut command = Command::new(program.expect("checked by Need::Grpc"));
        command.arg("-addr").arg(server.grpc_address());
        if server.is_https() {
            command.arg("-ca").arg(certificates::authority_file(&folder));
            if let Some(name) = certificate {
                command.arg("-cert").arg(folder.join(format!("{name}.crt")));
                command.arg("-key").arg(folder.join(format!("{name}.key")));
            }
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let requests = process.stdin.take().unwrap();
        let responses = BufReader::new(process.stdout.take().unwrap());
        Self { process, requests, responses }
    }

    /// A call that must succeed; the response in protobuf's JSON form, with the names of api.proto.
    pub fn calls(&mut self, method: &str, request: Value) -> Value {
        let response = self.sends(method, &request);
        match response.get("response") {
            Some(response) => response.clone(),
            None => panic!("{method} {request}: {response}"),
        }
    }

    /// A call that must be refused: its status code and its message.
    pub fn is_refused(&mut self, method: &str, request: Value) -> (String, String) {
        let response = self.sends(method, &request);
        let text = |member: &str| response[member].as_str().map(str::to_owned);
        text("code")
            .zip(text("message"))
            .unwrap_or_else(|| panic!("{method} {request}: {response}"))
    }

    fn sends(&mut self, method: &str, request: &Value) -> Value {
        writeln!(self.requests, "{}", json!({"method": method, "request": request})).unwrap();
        let mut line = String::new();
        self.responses.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{method}: {line:?} ({e})"))
    }
}

impl Drop for DexClient {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

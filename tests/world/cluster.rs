//! A cluster for the real `kubectl`: an HTTPS server that answers like an API server, and authenticates every
//! request by Kubernetes' own code (see `ApiServer`). It authorizes everything.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::other_origin::{ReceivedRequest, read_request};
use super::{ApiServer, address, certificates};

pub struct Cluster {
    pub url: String,
    folder: TempDir,
    /// The tokens that were received, accepted or not.
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Cluster {
    /// Listens on an address of its own, until the tests end.
    pub fn authenticating_by(api: ApiServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ip = address::own();
        certificates::write(folder.path(), ip);
        let chain = CertificateDer::pem_file_iter(folder.path().join("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let listener = TcpListener::bind((ip, 6443)).expect("the address is its own");
        let (config, api) = (Arc::new(config), Arc::new(Mutex::new(api)));
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&tokens);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, api, seen) = (config.clone(), Arc::clone(&api), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream, config, &api, &seen));
            }
        });
        Self { url: format!("https://{ip}:6443"), folder, tokens }
    }

    pub fn ca_file(&self) -> PathBuf {
        certificates::authority_file(self.folder.path())
    }

    /// As in a kubeconfig's `certificate-authority-data`.
    pub fn ca_data(&self) -> String {
        STANDARD.encode(std::fs::read(self.ca_file()).unwrap())
    }

    /// The tokens received so far, each once, in the order of their first appearance.
    pub fn tokens(&self) -> Vec<String> {
        let mut all = self.tokens.lock().unwrap().clone();
        all.dedup();
        all
    }
}

/// The program `kubectl`, for `Workstation::starts_program`. `Need::Kubectl` has been checked before.
pub fn kubectl() -> PathBuf {
    std::env::var_os("COUNTERSIGN_KUBECTL").expect("checked by Need::Kubectl").into()
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    api: &Mutex<ApiServer>,
    seen: &Mutex<Vec<String>>,
) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let Some(request) = read_request(&mut stream) else { return };
    let (status, body) = response(&request, api, seen);
    let reply = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(reply.as_bytes()).ok();
    stream.conn.send_close_notify();
    stream.flush().ok();
    // Waits until the client has read the response and closed the connection.
    stream.sock.shutdown(std::net::Shutdown::Write).ok();
    let _hung_up = stream.sock.read(&mut [0_u8; 64]).unwrap_or_default();
}

fn response(
    request: &ReceivedRequest,
    api: &Mutex<ApiServer>,
    seen: &Mutex<Vec<String>>,
) -> (&'static str, String) {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let user = token.map_or(Value::Null, |token| {
        seen.lock().unwrap().push(token.to_owned());
        api.lock().unwrap().authenticates(token)
    });
    if user["ok"] != true {
        let failure = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
        return ("401 Unauthorized", failure.to_string());
    }
    let info = json!({"username": user["username"], "groups": user["groups"]});
    match request.target.split('?').next().unwrap_or_default() {
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
            let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
                "metadata": {}, "status": {"userInfo": info}});
            ("201 Created", review.to_string())
        }
        path => ("200 OK", json!({"path": path, "user": info}).to_string()),
    }
}

#[test]
fn kubectl_runs() {
    if super::Need::Kubectl.is_missing() {
        return;
    }
    let output = Command::new(kubectl()).args(["version", "--client"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("Client Version"), "{printed}");
    assert!(Path::new(&kubectl()).is_absolute());
}

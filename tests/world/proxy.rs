//! A reverse proxy in front of a server: its source address, and optionally a real nginx on it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{Browser, Server, World, address, http};

const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// The address of a proxy.
#[derive(Clone, Copy, Debug)]
pub struct Proxy {
    pub ip: Ipv4Addr,
}

impl Proxy {
    pub fn new() -> Self {
        Self { ip: address::own() }
    }

    /// The issuer of a server behind this proxy.
    pub fn issuer(&self) -> String {
        format!("http://{}:5556/dex", self.ip)
    }

    /// A browser whose requests reach the server from the proxy's address, with these headers.
    pub fn browser(&self, server: &Server, headers: &[(&str, &str)]) -> Browser {
        server.browser_from(Some(self.ip), headers)
    }

    /// Sends these bytes to the server from the proxy's address and returns the whole response.
    pub async fn sends(&self, server: &Server, bytes: &[u8]) -> String {
        let to = server.origin().trim_start_matches("http://").parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((self.ip, 0).into()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // The server may respond and close before everything is written.
        let _ = stream.write_all(bytes).await;
        let mut response = Vec::new();
        let reading = stream.read_to_end(&mut response);
        let _ = tokio::time::timeout(WAIT_TIMEOUT, reading).await.expect("an answer");
        String::from_utf8_lossy(&response).into_owned()
    }
}

impl World {
    /// Sets the issuer, where a proxy listens in front of the server.
    pub fn with_issuer(self, issuer: &str) -> Self {
        Self { issuer: Some(issuer.to_owned()), ..self }
    }
}

impl Server {
    /// A browser with this source address, which adds these headers.
    pub fn browser_from(&self, ip: Option<Ipv4Addr>, headers: &[(&str, &str)]) -> Browser {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            all.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let client = http::builder(None).local_address(ip.map(Into::into)).default_headers(all);
        Browser::new(client.build().unwrap(), self.secrets.clone(), self.clock.clone())
    }
}

/// A real nginx. It forwards every request; on one path it requires HTTP Basic authentication.
pub struct Nginx {
    process: Child,
    log: PathBuf,
}

impl Nginx {
    pub const PROGRAM: &str = "/usr/sbin/nginx";

    /// `protected_path` requires a password; `directives` are added there.
    pub async fn start(
        proxy: Proxy,
        server: &Server,
        protected_path: &str,
        directives: &str,
    ) -> Self {
        let dir = server.file("nginx");
        std::fs::create_dir(&dir).unwrap();
        // The password of alice is "wonderland", that of bob "builder".
        let users = "alice:{PLAIN}wonderland\nbob:{PLAIN}builder\n";
        std::fs::write(dir.join("users"), users).unwrap();
        let config = dir.join("nginx.conf");
        let (ip, origin, at) = (proxy.ip, server.origin(), dir.display());
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/log;\n\
             events {{}}\n\
             http {{\n\
               access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b;\n\
               fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
               proxy_bind {ip};\n\
               server {{\n\
                 listen {ip}:5556;\n\
                 location / {{ proxy_pass {origin}; proxy_set_header Host $http_host; }}\n\
                 location = {protected_path} {{\n\
                   auth_basic company; auth_basic_user_file {at}/users;\n\
                   proxy_pass {origin}; proxy_set_header Host $http_host;\n{directives}\
                 }}\n\
               }}\n\
             }}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(Self::PROGRAM);
        command.arg("-c").arg(&config).arg("-p").arg(&dir);
        command.arg("-e").arg(dir.join("log")).stdin(Stdio::null()).stderr(Stdio::null());
        let mut nginx = Self { process: command.spawn().unwrap(), log: dir.join("log") };
        nginx.is_listening(proxy).await;
        nginx
    }

    async fn is_listening(&mut self, proxy: Proxy) {
        let started = Instant::now();
        while tokio::net::TcpStream::connect((proxy.ip, 5556)).await.is_err() {
            let ended = self.process.try_wait().unwrap().is_some();
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(!ended && started.elapsed() < WAIT_TIMEOUT, "nginx does not start:\n{log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

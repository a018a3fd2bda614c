//! The company's proxy, in front of a server: an address of its own from which it connects, and, for tests
//! that want the real thing, nginx on it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{Browser, Server, World, address, http};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where a proxy is, or will be.
#[derive(Clone, Copy, Debug)]
pub struct Proxy {
    pub ip: Ipv4Addr,
}

impl Proxy {
    pub fn somewhere() -> Self {
        Self { ip: address::own() }
    }

    /// What people type: the issuer of a server behind it.
    pub fn issuer(&self) -> String {
        format!("http://{}:5556/dex", self.ip)
    }

    /// A browser whose every request reaches the server from the proxy's address, with these headers.
    pub fn browser(&self, server: &Server, headers: &[(&str, &str)]) -> Browser {
        server.browser_from(Some(self.ip), headers)
    }

    /// Sends these very bytes to the server from the proxy's address, and returns all of the answer.
    pub async fn sends(&self, server: &Server, bytes: &[u8]) -> String {
        let to = server.origin().trim_start_matches("http://").parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((self.ip, 0).into()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // What is refused early is answered before all of it was read.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(PATIENCE, reading).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl World {
    /// The server says it is here, because a proxy that stands here passes everything on.
    pub fn issued_at(self, issuer: &str) -> Self {
        Self { issuer: Some(issuer.to_owned()), ..self }
    }
}

impl Server {
    /// A browser that comes from this address of the machine, and says this besides all else.
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

/// A real nginx. It passes on everything, and on one path it asks for a password and says who came.
pub struct Nginx {
    process: Child,
    log: PathBuf,
}

impl Nginx {
    pub const PROGRAM: &str = "/usr/sbin/nginx";

    /// `guarded` is the path it guards, and `says` what it adds there, as nginx's own directives.
    pub async fn standing(proxy: Proxy, server: &Server, guarded: &str, says: &str) -> Self {
        let dir = server.file("nginx");
        std::fs::create_dir(&dir).unwrap();
        // alice's password is "wonderland", bob's "builder".
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
                 location = {guarded} {{\n\
                   auth_basic company; auth_basic_user_file {at}/users;\n\
                   proxy_pass {origin}; proxy_set_header Host $http_host;\n{says}\
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
        let begun = Instant::now();
        while tokio::net::TcpStream::connect((proxy.ip, 5556)).await.is_err() {
            let ended = self.process.try_wait().unwrap().is_some();
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(!ended && begun.elapsed() < PATIENCE, "nginx does not start:\n{said}");
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

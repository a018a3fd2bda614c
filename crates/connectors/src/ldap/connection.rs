//! One connection to one host: TCP, TLS, and a check of each server message before ldap3 parses it.
//!
//! TCP and TLS are set up here, and ldap3 is given one end of a socket pair, so that it only receives complete, checked
//! messages. This also permits IPv6 literals and yields readable error causes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::config::{Host, Security, Tls};
use super::failure::DirectoryError;
use super::message_check;
use crate::ber;

/// `ExtendedRequest` with the name of StartTLS (RFC 4511 section 4.14.1), message id 1.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// A connection without a bind. Dropping it closes it.
pub(super) struct Connection {
    pub ldap: Ldap,
    pub host: Host,
    pub born: Instant,
    pub last_used: Instant,
    tasks: [JoinHandle<()>; 2],
    /// Why the message check closed the connection.
    closed: Arc<Mutex<Option<String>>>,
}

impl Connection {
    pub fn is_open(&self) -> bool {
        !self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// The error of the message check if there is one, otherwise ldap3's.
    pub fn cause(&self, error: &ldap3::LdapError) -> String {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        closed.unwrap_or_else(|| match error {
            ldap3::LdapError::Timeout { .. } => "no answer in time".to_owned(),
            ldap3::LdapError::ResultRecv { .. }
            | ldap3::LdapError::OpSend { .. }
            | ldap3::LdapError::EndOfStream => "the server closed the connection".to_owned(),
            other => other.to_string(),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Connects, with TLS if configured; nothing is sent before the certificate is accepted. The error is for the
/// administrator. There is no time limit here: the caller sets one.
pub(super) async fn connect(
    host: &Host,
    security: &Security,
) -> Result<Connection, DirectoryError> {
    let tcp = TcpStream::connect((host.name.as_str(), host.port)).await;
    let mut tcp = tcp.map_err(|e| DirectoryError::no_response(connect_cause(&e)))?;
    // An error here affects only the latency.
    let _ = tcp.set_nodelay(true);
    match security {
        Security::Clear => attach(tcp, host).await,
        Security::Tls(tls) => attach(handshake(tcp, host, tls).await?, host).await,
        Security::StartTls(tls) => {
            start_tls(&mut tcp).await?;
            attach(handshake(tcp, host, tls).await?, host).await
        }
    }
}

fn connect_cause(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => "; nothing listens on this port",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "; no way leads there"
        }
        // The resolver's errors have no `ErrorKind` of their own.
        _ if error.to_string().contains("lookup") => "; the name of the host is not known here",
        _ => "",
    };
    format!("cannot connect: {error}{advice}")
}

/// Sends StartTLS and reads exactly its response, so that bytes sent unencrypted after it cannot be taken for data
/// received within TLS.
async fn start_tls(tcp: &mut TcpStream) -> Result<(), DirectoryError> {
    let broken = |e: &dyn std::fmt::Display| DirectoryError::no_response(format!("StartTLS: {e}"));
    tcp.write_all(START_TLS).await.map_err(|e| broken(&e))?;
    let response = message_check::read_message(tcp).await.map_err(|e| broken(&e))?;
    let mut response = response.ok_or_else(|| broken(&"the server closed the connection"))?;
    message_check::check(&mut response).map_err(|e| broken(&e))?;
    let code = (|| {
        let parts = ber::sequence(&response)?;
        let code = *ber::children(&response, *parts.get(1)?)?.first()?;
        ber::unsigned(code.body(&response))
    })();
    match code {
        Some(0) => Ok(()),
        Some(code @ (51 | 52)) => Err(broken(&format!("the server is busy (result {code})"))),
        Some(code) => Err(DirectoryError::unusable_host(format!(
            "the server refuses StartTLS (result {code})"
        ))),
        None => Err(broken(&"the response of the server cannot be decoded")),
    }
}

async fn handshake(
    tcp: TcpStream,
    host: &Host,
    tls: &Tls,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, DirectoryError> {
    let name = host
        .server_name
        .clone()
        .ok_or_else(|| DirectoryError::unusable_host("the host has no name for its certificate"))?;
    let connector = TlsConnector::from(tls.config.clone());
    connector.connect(name, tcp).await.map_err(|e| tls_error(&e, &host.name))
}

fn tls_error(error: &io::Error, host: &str) -> DirectoryError {
    use rustls::CertificateError as Cert;
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let advice = match inner {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            Cert::UnknownIssuer => "it is signed by none of the CAs of rootCA".to_owned(),
            Cert::BadSignature => {
                "it is signed by a CA that has only its name in common with one of rootCA"
                    .to_owned()
            }
            Cert::Expired | Cert::ExpiredContext { .. } => "it has expired".to_owned(),
            Cert::NotValidYet | Cert::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
            Cert::NotValidForName | Cert::NotValidForNameContext { .. } => {
                format!("it is not for {host}")
            }
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                "it is a CA certificate; give exactly it as rootCA, or make one for the server"
                    .into()
            }
            other => other.to_string(),
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            return DirectoryError::unusable_host("the server has no TLS on this port (startTLS?)");
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            let reason = "the server closed the connection in the TLS handshake (does this port want \
                       startTLS?)";
            return DirectoryError::no_response(reason);
        }
        _ => return DirectoryError::no_response(format!("TLS handshake: {error}")),
    };
    DirectoryError::unusable_host(format!("the server's certificate is not acceptable: {advice}"))
}

/// Starts ldap3 on a socket pair, and the task that copies checked messages to it.
async fn attach<S>(server: S, host: &Host) -> Result<Connection, DirectoryError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let broken = |e: &dyn std::fmt::Display| DirectoryError::Busy(format!("socket pair: {e}"));
    let (ours, theirs) = UnixStream::pair().map_err(|e| broken(&e))?;
    let theirs = theirs.into_std().map_err(|e| broken(&e))?;
    let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
    let (driver, ldap) =
        LdapConnAsync::with_settings(settings, "ldapi:///").await.map_err(|e| broken(&e))?;
    let closed = Arc::new(Mutex::new(None));
    let reason = closed.clone();
    let pump = tokio::spawn(async move {
        if let Err(unfit) = pump(server, ours).await {
            *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(unfit.to_string());
        }
    });
    // Its errors are reported to the caller that waits for a response.
    let driver = tokio::spawn(async move { drop(driver.drive().await) });
    let now = Instant::now();
    let host = host.clone();
    Ok(Connection { ldap, host, born: now, last_used: now, tasks: [pump, driver], closed })
}

/// Copies in both directions until either side closes.
async fn pump<S>(server: S, client: UnixStream) -> Result<(), message_check::InvalidMessage>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (from_server, mut to_server) = split(server);
    let (mut from_client, mut to_client) = client.into_split();
    let mut from_server = BufReader::new(from_server);
    let inward = async {
        while let Some(mut message) = message_check::read_message(&mut from_server).await? {
            message_check::check(&mut message)?;
            to_client.write_all(&message).await?;
        }
        Ok(())
    };
    let outward = async { copy(&mut from_client, &mut to_server).await };
    tokio::select! {
        ended = inward => ended,
        ended = outward => Ok(ended.map(drop)?),
    }
}

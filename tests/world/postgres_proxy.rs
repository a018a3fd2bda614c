//! A proxy between servers and PostgreSQL, which delays, holds or cuts connections, also at an exact message of
//! PostgreSQL's protocol (version 3; its documentation, chapter "Frontend/Backend Protocol").

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Server, World, address, new_database};

const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// What happens to all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Up,
    /// Each message to the database is delayed for this long.
    Slow(Duration),
    /// Every so many messages to the database, the connection that carries the message ends before it is forwarded.
    Failing(usize),
    /// Connections are accepted and stay open, and nothing is forwarded.
    Hung,
    /// Connections end, and new ones too.
    Down,
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The message that commits does not reach the database.
    BeforeCommit,
    /// The database has committed, and its answer does not reach the server.
    AfterCommit,
    /// Nothing is cut: the transaction is rolled back, and COMMIT fails with a serialization failure (SQLSTATE 40001), as
    /// in CockroachDB and YugabyteDB. Not for statements that commit themselves.
    SerializationFailure,
}

pub struct PostgresProxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    database: SocketAddr,
    link: watch::Sender<Link>,
    armed: Mutex<Option<Armed>>,
    cuts: AtomicUsize,
    messages: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Armed {
    /// Part of a statement of the transaction.
    statement: &'static str,
    cut: Cut,
    link_then: Link,
}

impl World {
    /// A world on an empty PostgreSQL database behind a proxy. `Need::Postgres` must have been checked.
    pub async fn behind_proxy() -> (Self, PostgresProxy) {
        let database = new_database();
        let proxy = PostgresProxy::start(&database).await;
        (Self::on_postgres(proxy.url(database)), proxy)
    }
}

impl Server {
    /// Another replica, which reaches the database through a proxy of its own.
    pub async fn replica_behind_proxy(&self) -> (Server, PostgresProxy) {
        let database = self.world.postgres.clone().expect("replicas share a PostgreSQL");
        let proxy = PostgresProxy::start(&database).await;
        let replica = self.replica_on(Some(proxy.url(database))).await;
        (replica, proxy)
    }
}

impl PostgresProxy {
    async fn start(database: &Url) -> Self {
        let port = database.port().unwrap_or(5432);
        let database = format!("{}:{port}", database.host_str().unwrap()).parse().unwrap();
        let listener = TcpListener::bind((address::own(), 0)).await.unwrap();
        let state = Arc::new(State {
            database,
            link: watch::Sender::new(Link::Up),
            armed: Mutex::default(),
            cuts: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
        });
        let (address, all) = (listener.local_addr().unwrap(), Arc::clone(&state));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, Arc::clone(&all)));
            }
        });
        Self { address, state }
    }

    fn url(&self, mut database: Url) -> Url {
        database.set_ip_host(self.address.ip()).unwrap();
        database.set_port(Some(self.address.port())).unwrap();
        database
    }

    pub fn set(&self, link: Link) {
        self.state.link.send_replace(link);
    }

    /// Cuts one connection, when the next transaction with this statement is committed.
    pub fn cuts(&self, cut: Cut, statement: &'static str) {
        self.cuts_for_long(cut, statement, Link::Up);
    }

    /// The same, and changes the link at that moment.
    pub fn cuts_for_long(&self, cut: Cut, statement: &'static str, link_then: Link) {
        *self.state.armed.lock().unwrap() = Some(Armed { statement, cut, link_then });
    }

    /// Waits until so many connections were cut.
    pub async fn has_cut(&self, times: usize) {
        let started = Instant::now();
        while self.state.cuts.load(Ordering::SeqCst) < times {
            assert!(started.elapsed() < WAIT_TIMEOUT, "no transaction had that statement");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.state.cuts.load(Ordering::SeqCst), times);
    }
}

async fn carry(client: TcpStream, state: Arc<State>) {
    let mut link = state.link.subscribe();
    if *link.borrow() == Link::Down {
        return;
    }
    let Ok(server) = TcpStream::connect(state.database).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let response = Arc::new(AtomicU8::new(FORWARDED));
    // Whichever ends first ends the connection on both sides.
    tokio::select! {
        _ = requests(from_client, to_server, &state, &response) => {}
        _ = responses(from_server, to_client, &state, &response) => {}
        () = is_down(&mut link) => {}
    }
}

/// Waits while nothing is forwarded.
async fn not_hung(link: &mut watch::Receiver<Link>) -> Link {
    link.wait_for(|link| *link != Link::Hung).await.map_or(Link::Down, |link| *link)
}

async fn is_down(link: &mut watch::Receiver<Link>) {
    let _closed = link.wait_for(|link| *link == Link::Down).await.map(|link| *link);
}

/// A message with its type byte, which the first one of a client does not have.
async fn message(from: &mut (impl AsyncRead + Unpin), is_first: bool) -> Option<Vec<u8>> {
    let head = if is_first { 4 } else { 5 };
    let mut bytes = vec![0; head];
    from.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(bytes[head - 4..].try_into().unwrap()) as usize;
    bytes.resize(head - 4 + length, 0);
    from.read_exact(&mut bytes[head..]).await.ok()?;
    Some(bytes)
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    response: &AtomicU8,
) -> Option<()> {
    let (mut link, mut is_first) = (state.link.subscribe(), true);
    let mut transaction = Transaction::default();
    loop {
        let bytes = message(&mut from, is_first).await?;
        match not_hung(&mut link).await {
            Link::Slow(delay) => tokio::time::sleep(delay).await,
            Link::Failing(every) => {
                let number = state.messages.fetch_add(1, Ordering::SeqCst);
                if number % every == every - 1 {
                    return None;
                }
            }
            Link::Up | Link::Hung | Link::Down => {}
        }
        let committed = if is_first { None } else { transaction.commits(&bytes, state) };
        match committed {
            Some(Armed { cut: Cut::BeforeCommit, link_then, .. }) => {
                state.has_cut(link_then);
                return None;
            }
            Some(Armed { cut: Cut::AfterCommit, .. }) => {
                response.store(LOST, Ordering::SeqCst);
            }
            Some(Armed { cut: Cut::SerializationFailure, .. }) => {
                response.store(CONFLICT, Ordering::SeqCst);
                to.write_all(b"Q\0\0\0\x0dROLLBACK\0").await.ok()?;
                continue;
            }
            None => {}
        }
        to.write_all(&bytes).await.ok()?;
        is_first = false;
    }
}

async fn responses(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    response: &AtomicU8,
) -> Option<()> {
    let mut link = state.link.subscribe();
    loop {
        let bytes = message(&mut from, false).await?;
        not_hung(&mut link).await;
        match (response.load(Ordering::SeqCst), bytes[0]) {
            // ReadyForQuery: the transaction has ended.
            (LOST, b'Z') => {
                let armed = state.armed.lock().unwrap().take();
                state.has_cut(armed.map_or(Link::Up, |armed| armed.link_then));
                return None;
            }
            (LOST, _) => {}
            // CommandComplete, of the ROLLBACK.
            (CONFLICT, b'C') => {
                response.store(FORWARDED, Ordering::SeqCst);
                state.has_cut(Link::Up);
                to.write_all(&error_response("40001")).await.ok()?;
            }
            _ => to.write_all(&bytes).await.ok()?,
        }
    }
}

/// What happens to the responses of the database.
const FORWARDED: u8 = 0;
const LOST: u8 = 1;
const CONFLICT: u8 = 2;

fn error_response(state: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{state}\0Minjected\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

impl State {
    fn has_cut(&self, link_then: Link) {
        *self.armed.lock().unwrap() = None;
        self.link.send_replace(link_then);
        self.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a connection has sent in its transaction.
#[derive(Default)]
struct Transaction {
    /// By the name of the prepared statement.
    prepared: HashMap<Vec<u8>, String>,
    is_open: bool,
    is_chosen: bool,
}

impl Transaction {
    /// The cut, if this message commits the transaction that it is for.
    fn commits(&mut self, message: &[u8], state: &State) -> Option<Armed> {
        let sql = self.executed(message)?;
        let armed = *state.armed.lock().unwrap();
        match sql.split([' ', ';']).next() {
            Some("BEGIN") => {
                (self.is_open, self.is_chosen) = (true, false);
                return None;
            }
            Some("ROLLBACK") => {
                self.is_open = false;
                return None;
            }
            Some("COMMIT") => {
                self.is_open = false;
                return armed.filter(|_| self.is_chosen);
            }
            _ => {}
        }
        let armed = armed.filter(|armed| sql.contains(armed.statement))?;
        self.is_chosen = true;
        // Outside a transaction a statement commits itself.
        (!self.is_open && armed.cut != Cut::SerializationFailure).then_some(armed)
    }

    /// The text of the statement that this message runs: Query, or Bind of a prepared one.
    fn executed(&mut self, message: &[u8]) -> Option<String> {
        let mut texts = message[5..].split(|byte| *byte == 0);
        let mut next = || texts.next().unwrap_or_default().to_vec();
        let (first, second) = (next(), next());
        match message[0] {
            b'Q' => Some(String::from_utf8_lossy(&first).into_owned()),
            // Parse: name and text.
            b'P' => {
                self.prepared.insert(first, String::from_utf8_lossy(&second).into_owned());
                None
            }
            // Bind: portal and name.
            b'B' => self.prepared.get(&second).cloned(),
            _ => None,
        }
    }
}

//! Connects to the writable one of several PostgreSQL servers (`target_session_attrs=read-write` of libpq): the one
//! that was writable last, and if it does not respond the others, started shortly after each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinSet;

use crate::error::chain;
use crate::{PostgresOptions, StoreError};

/// How long a server may take before the next one is tried in parallel.
const HEAD_START: Duration = Duration::from_millis(300);
/// Pauses between rounds over all servers while none is writable, as during a failover.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Servers {
    /// `host:port`, and the connection options.
    list: Vec<(String, PgConnectOptions)>,
    timeout: Duration,
    /// Index of the server of the last connection.
    last: AtomicUsize,
    /// Why the last connection was not made; empty after one that was.
    last_refusal: Mutex<String>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct NoServer {
    pub(super) cause: String,
    /// A retry may succeed soon: connection refused, server starting, or a standby that may be promoted.
    is_temporary: bool,
}

impl From<NoServer> for StoreError {
    fn from(none: NoServer) -> Self {
        Self::Unavailable(none.cause)
    }
}

impl Servers {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        let server = |host: &crate::PostgresHost| {
            (host.to_string(), options.for_driver(host).disable_statement_logging())
        };
        let list = options.hosts.iter().map(server).collect();
        Self {
            list,
            timeout: options.connect_timeout,
            last: AtomicUsize::new(0),
            last_refusal: Mutex::default(),
        }
    }

    /// Connection options of the server that was writable last.
    pub(super) fn last(&self) -> Option<PgConnectOptions> {
        self.list.get(self.last.load(Ordering::Relaxed)).map(|(_, options)| options.clone())
    }

    /// Retries until the timeout, as long as a retry may succeed.
    pub(super) async fn connect(&self) -> Result<PgConnection, NoServer> {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let result = self.connect_once().await;
            self.remember(result.as_ref().err());
            match result {
                Err(none) if none.is_temporary && begun.elapsed() + pause < self.timeout => {
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                result => return result,
            }
        }
    }

    fn remember(&self, none: Option<&NoServer>) {
        let cause = none.map(|none| none.cause.clone()).unwrap_or_default();
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    pub(super) fn last_refusal(&self) -> String {
        self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One round over all servers.
    pub(super) async fn connect_once(&self) -> Result<PgConnection, NoServer> {
        let round = self.first_writable();
        tokio::time::timeout(self.timeout, round).await.unwrap_or_else(|_| {
            let names: Vec<&str> = self.list.iter().map(|(name, _)| name.as_str()).collect();
            let cause = format!("no answer of {} within {:?}", names.join(", "), self.timeout);
            Err(NoServer { cause, is_temporary: false })
        })
    }

    async fn first_writable(&self) -> Result<PgConnection, NoServer> {
        let last = self.last.load(Ordering::Relaxed);
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.rotate_left(last.min(self.list.len().saturating_sub(1)));
        let (mut order, mut running) = (order.into_iter(), JoinSet::new());
        let (mut causes, mut is_temporary) = (Vec::new(), false);
        self.try_next(&mut order, &mut running);
        while !running.is_empty() {
            let Ok(finished) = tokio::time::timeout(HEAD_START, running.join_next()).await else {
                self.try_next(&mut order, &mut running);
                continue;
            };
            match finished {
                Some(Ok((number, Ok(connection)))) => {
                    self.last.store(number, Ordering::Relaxed);
                    return Ok(connection);
                }
                Some(Ok((number, Err(error)))) => {
                    is_temporary |= error.is_temporary();
                    let name = self.list.get(number).map_or("", |(name, _)| name.as_str());
                    causes.push(format!("{name}: {error}"));
                    self.try_next(&mut order, &mut running);
                }
                Some(Err(_)) | None => self.try_next(&mut order, &mut running),
            }
        }
        Err(NoServer { cause: causes.join("; "), is_temporary })
    }

    fn try_next(
        &self,
        order: &mut impl Iterator<Item = usize>,
        running: &mut JoinSet<(usize, Result<PgConnection, ConnectError>)>,
    ) {
        let Some(number) = order.next() else { return };
        let Some((_, options)) = self.list.get(number) else { return };
        let (options, need) = (options.clone(), Need::of(self.list.len()));
        running.spawn(async move { (number, connect(&options, need).await) });
    }
}

/// The required state of a server.
#[derive(Clone, Copy)]
pub(super) enum Need {
    /// Not a standby, which may lag behind and report an ended session as live.
    Primary,
    /// Also not read-only; required if there are several servers.
    Writable,
}

impl Need {
    const fn of(servers: usize) -> Self {
        if servers > 1 { Self::Writable } else { Self::Primary }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{}", chain(.0))]
    Driver(#[from] sqlx::Error),
    #[error("this server is a standby; only the primary knows which sessions are live")]
    Standby,
    #[error("this server is read-only")]
    ReadOnly,
}

impl ConnectError {
    fn is_temporary(&self) -> bool {
        match self {
            Self::Driver(sqlx::Error::Io(error)) => {
                error.kind() == std::io::ErrorKind::ConnectionRefused
            }
            // Starting up or shutting down; too many connections.
            Self::Driver(sqlx::Error::Database(error)) => {
                matches!(error.code().as_deref(), Some("57P03" | "53300"))
            }
            Self::Driver(_) => false,
            Self::Standby | Self::ReadOnly => true,
        }
    }
}

async fn connect(options: &PgConnectOptions, need: Need) -> Result<PgConnection, ConnectError> {
    let mut connection = options.connect().await?;
    match check(&mut connection, need).await {
        Ok(()) => Ok(connection),
        Err(error) => {
            let _ignored = connection.close().await;
            Err(error)
        }
    }
}

pub(super) async fn check(connection: &mut PgConnection, need: Need) -> Result<(), ConnectError> {
    let sql = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
    let (is_standby, is_read_only): (bool, bool) =
        sqlx::query_as(sql).fetch_one(connection).await?;
    match need {
        _ if is_standby => Err(ConnectError::Standby),
        Need::Writable if is_read_only => Err(ConnectError::ReadOnly),
        _ => Ok(()),
    }
}

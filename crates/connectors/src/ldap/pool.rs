//! Pooled connections bound as the service account, each leased to one login at a time, and the selection of hosts.
//!
//! A connection returns to the pool only after a login without errors. Binds as users happen on separate connections
//! that are never pooled, so no request runs with another user's identity. Times here are `Instant`s: deadlines, idle
//! times and the unavailability of a host are never stored or compared with dates.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::{Secret, Trace};
use ldap3::LdapResult;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::bind::{self, UserBinds};
use super::config::{Config, Host};
use super::connection::{self, Connection};
use super::entry::Entry;
use super::failure::DirectoryError;
use super::search::{self, SearchRequest};

/// A connection unused for longer may have been dropped by a firewall.
const MAX_IDLE: Duration = Duration::from_mins(1);
/// After this age a connection is replaced, so that a revoked service account does not remain bound.
const MAX_AGE: Duration = Duration::from_mins(10);
/// For how long a host that failed is tried last.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(30);

/// The deadline of one login, for all its requests.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

pub(super) struct Pool {
    config: Arc<Config>,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    /// Per host, until when it is tried last.
    unavailable_until: Mutex<Vec<Option<Instant>>>,
    binds: UserBinds,
}

/// The directory, bound as the service account, for one login. If it is dropped without [`Lease::give_back`], the
/// connection is closed.
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    connection: Connection,
    deadline: Deadline,
    /// One retry per lease: the connection may be stale, or another host may respond.
    may_retry: bool,
    was_idle: bool,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    pub fn new(config: Arc<Config>, binds: UserBinds) -> Self {
        Self {
            binds,
            permits: Semaphore::new(config.pool_size),
            unavailable_until: Mutex::new(vec![None; config.hosts.len()]),
            idle: Mutex::default(),
            config,
        }
    }

    /// A connection bound as the service user, or anonymously without one: an idle one or a new one. At `poolSize`
    /// leases it waits until the deadline.
    pub async fn lease(
        &self,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Lease<'_>, DirectoryError> {
        let busy = || DirectoryError::Busy("too many logins at once for poolSize".to_owned());
        let permit = timeout(deadline.remaining(), self.permits.acquire()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let idle = self.take_idle();
        let was_idle = idle.is_some();
        let connection = match idle {
            Some(connection) => {
                let security = self.config.security.describe();
                trace.note(format!("using a bound connection to {} ({security})", connection.host));
                connection
            }
            None => self.connect_bound(deadline, trace).await?,
        };
        let may_retry = was_idle || self.config.hosts.len() > 1;
        Ok(Lease { pool: self, connection, deadline, may_retry, was_idle, _permit: permit })
    }

    /// Binds with a user's DN and password on a connection that is closed afterwards; `first` is the host to try first.
    pub async fn bind_person(
        &self,
        first: &Host,
        who: (&str, &Secret),
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<LdapResult, DirectoryError> {
        self.binds.add();
        let (connection, result) = self.bind_at_any_host(Some(first), who, deadline, trace).await?;
        drop(connection);
        Ok(result)
    }

    async fn connect_bound(
        &self,
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<Connection, DirectoryError> {
        let anonymous = (String::new(), Secret::default());
        let (dn, password) = self.config.bind.as_ref().unwrap_or(&anonymous);
        let bound = self.bind_at_any_host(None, (dn, password), deadline, trace).await;
        let (connection, result) = bound?;
        let host = &connection.host;
        // A refused service account would be refused by every host, and each attempt may count towards a lockout.
        if result.rc != 0 {
            return Err(DirectoryError::of_service_bind(host, dn.is_empty(), &result));
        }
        let who = if dn.is_empty() { "anonymous" } else { dn };
        let security = self.config.security.describe();
        trace.response(format!("connected to {host} ({security}), bound as {who}"));
        Ok(connection)
    }

    /// Binds at the first host that responds, whatever the result. Each host gets its share of the remaining time.
    async fn bind_at_any_host(
        &self,
        first: Option<&Host>,
        who: (&str, &Secret),
        deadline: Deadline,
        trace: &mut Trace,
    ) -> Result<(Connection, LdapResult), DirectoryError> {
        let (mut causes, mut are_permanent) = (Vec::new(), true);
        let order = self.order(first);
        for (tried, host) in order.iter().enumerate() {
            let share = Deadline::after(share(deadline, order.len() - tried));
            let security = self.config.security.describe();
            trace.request(format!("a new connection to {host} ({security})"));
            match self.bind_at(host, who, share).await {
                Ok(bound) => {
                    self.set_unavailable_until(host, None);
                    return Ok(bound);
                }
                Err(failure) => {
                    self.mark_unavailable(host);
                    are_permanent &=
                        matches!(failure, DirectoryError::Host { is_permanent: true, .. });
                    let cause = format!("{host}: {}", failure.cause());
                    trace.note(format!("no answer from {cause}"));
                    causes.push(cause);
                }
            }
        }
        Err(DirectoryError::Host { cause: causes.join("; "), is_permanent: are_permanent })
    }

    async fn bind_at(
        &self,
        host: &Host,
        (dn, password): (&str, &Secret),
        deadline: Deadline,
    ) -> Result<(Connection, LdapResult), DirectoryError> {
        let connected = connection::connect(host, &self.config.security);
        let mut connection =
            timeout(deadline.remaining(), connected).await.unwrap_or_else(|_| {
                let cause = "no connection in time: is it down, or a firewall between?";
                Err(DirectoryError::no_response(cause))
            })?;
        let result = bind::simple(&mut connection, dn, password, deadline.remaining()).await?;
        match DirectoryError::of_result("bind", &result) {
            failure @ DirectoryError::Host { .. } => Err(failure),
            _ => Ok((connection, result)),
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| {
            connection.is_open()
                && connection.last_used.elapsed() < MAX_IDLE
                && connection.born.elapsed() < MAX_AGE
        });
        idle.pop()
    }

    /// The hosts to try: `first`, then those available, then the unavailable ones; otherwise in the configured order.
    fn order(&self, first: Option<&Host>) -> Vec<&Host> {
        let now = Instant::now();
        let unavailable_until =
            self.unavailable_until.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hosts: Vec<_> = self.config.hosts.iter().zip(unavailable_until.iter()).collect();
        hosts.sort_by_key(|(host, until)| {
            (Some(*host) != first, until.is_some_and(|until| until > now))
        });
        hosts.into_iter().map(|(host, _)| host).collect()
    }

    fn mark_unavailable(&self, host: &Host) {
        self.set_unavailable_until(host, Some(Instant::now() + UNAVAILABLE_FOR));
    }

    fn set_unavailable_until(&self, host: &Host, until: Option<Instant>) {
        let mut unavailable_until =
            self.unavailable_until.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, entry) in self.config.hosts.iter().zip(unavailable_until.iter_mut()) {
            if known == host {
                *entry = until;
            }
        }
    }
}

impl Lease<'_> {
    pub fn host(&self) -> &Host {
        &self.connection.host
    }

    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Searches; if the connection broke, once more on a new one.
    pub async fn search(
        &mut self,
        request: &SearchRequest<'_>,
        trace: &mut Trace,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let remaining = self.deadline.remaining();
        let within = if self.may_retry { remaining / 2 } else { remaining };
        let first = search::run(&mut self.connection, request, within).await;
        let Err(DirectoryError::Host { cause, .. }) = first else { return first };
        trace.note(format!("{}: {cause}", self.connection.host));
        if !self.was_idle {
            self.pool.mark_unavailable(&self.connection.host);
        }
        if !self.may_retry {
            return Err(DirectoryError::no_response(format!("{}: {cause}", self.connection.host)));
        }
        self.may_retry = false;
        self.connection = self.pool.connect_bound(self.deadline, trace).await?;
        search::run(&mut self.connection, request, self.deadline.remaining()).await
    }

    /// Returns the connection to the pool after a login without errors.
    pub fn give_back(self) {
        let Self { pool, mut connection, .. } = self;
        connection.last_used = Instant::now();
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < pool.config.pool_size {
            idle.push(connection);
        }
    }
}

/// The share of the remaining time for the next of `hosts_left` hosts.
fn share(deadline: Deadline, hosts_left: usize) -> Duration {
    deadline.remaining() / u32::try_from(hosts_left.max(1)).unwrap_or(u32::MAX)
}

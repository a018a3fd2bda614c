//! Counts for the lists of clients and connectors, for one page in one statement. Counting stops at [`MAX_COUNT`], so
//! that a client with a million grants costs no more than one with ten thousand.

use countersign_core::{ClientId, ConnectorId};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sql::{Sql, Value};
use crate::{Store, StoreError};

/// Counting stops at this number of rows.
pub(crate) const MAX_COUNT: i64 = 10_000;

/// The counts of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCount {
    pub client: ClientId,
    /// Live sessions with a live grant of this client.
    pub sessions: i64,
    /// Live grants.
    pub grants: i64,
    /// Whether there are more than were counted.
    pub is_capped: bool,
}

/// The counts of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorCount {
    pub connector: ConnectorId,
    /// Live sessions.
    pub sessions: i64,
    /// Whether there are more than were counted.
    pub is_capped: bool,
}

impl Store {
    /// Counts in the order of `clients`. Intended for one page of clients.
    pub async fn count_clients(
        &self,
        clients: &[ClientId],
    ) -> Result<Vec<ClientCount>, StoreError> {
        match clients {
            [] => Ok(Vec::new()),
            clients => self.read(CountClients(clients.to_vec())).await,
        }
    }

    /// Counts in the order of `connectors`. Intended for one page of connectors.
    pub async fn count_connectors(
        &self,
        connectors: &[ConnectorId],
    ) -> Result<Vec<ConnectorCount>, StoreError> {
        match connectors {
            [] => Ok(Vec::new()),
            connectors => self.read(CountConnectors(connectors.to_vec())).await,
        }
    }
}

pub(crate) struct CountClients(pub(crate) Vec<ClientId>);

impl CountClients {
    pub(crate) fn sql(&self) -> Sql {
        let mut sql = Sql::default();
        for (n, client) in (0_i64..).zip(&self.0) {
            sql.push(if n == 0 { "" } else { " UNION ALL " });
            sql.push("SELECT CAST(").bind(n);
            sql.push(" AS BIGINT) AS position, COUNT(*) AS grants, ");
            sql.push("COUNT(DISTINCT session_id) AS sessions FROM (SELECT session_id FROM grants ");
            push_range(sql.push("WHERE ended_at IS NULL AND "), "client_id", client);
            sql.push(" ORDER BY client_id, session_id LIMIT ").bind(MAX_COUNT + 1);
            sql.push(") AS live");
        }
        sql.push(" ORDER BY 1");
        sql
    }
}

/// `column = value` written as a range. With an equality PostgreSQL knows that the column does not affect the order,
/// and may scan another index that begins with the next column, discarding the rows of all other values until LIMIT is
/// reached. With a range only the index that begins with this column yields the requested order.
fn push_range<'v, V: 'v>(sql: &mut Sql, column: &str, value: &'v V)
where
    Value: From<&'v V>,
{
    sql.push(column).push(" >= ").bind(value);
    sql.push(" AND ").push(column).push(" <= ").bind(value);
}

impl Operation for CountClients {
    type Output = Vec<ClientCount>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<ClientCount>, StoreError> {
        let rows = conn.select_built(&self.sql()).await?;
        let count = |(client, row): (&ClientId, &crate::engine::conn::Row)| {
            let (grants, sessions) = (row.int("grants")?, row.int("sessions")?);
            Ok(ClientCount {
                client: client.clone(),
                sessions: sessions.min(MAX_COUNT),
                grants: grants.min(MAX_COUNT),
                is_capped: grants > MAX_COUNT,
            })
        };
        self.0.iter().zip(&rows).map(count).collect()
    }
}

pub(crate) struct CountConnectors(pub(crate) Vec<ConnectorId>);

impl CountConnectors {
    pub(crate) fn sql(&self) -> Sql {
        let mut sql = Sql::default();
        for (n, connector) in (0_i64..).zip(&self.0) {
            sql.push(if n == 0 { "" } else { " UNION ALL " });
            sql.push("SELECT CAST(").bind(n);
            sql.push(" AS BIGINT) AS position, COUNT(*) AS sessions FROM (SELECT created_at ");
            push_range(
                sql.push("FROM sessions WHERE ended_at IS NULL AND "),
                "connector_id",
                connector,
            );
            sql.push(" ORDER BY connector_id, created_at LIMIT ").bind(MAX_COUNT + 1);
            sql.push(") AS live");
        }
        sql.push(" ORDER BY 1");
        sql
    }
}

impl Operation for CountConnectors {
    type Output = Vec<ConnectorCount>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<ConnectorCount>, StoreError> {
        let rows = conn.select_built(&self.sql()).await?;
        let count = |(connector, row): (&ConnectorId, &crate::engine::conn::Row)| {
            let sessions = row.int("sessions")?;
            Ok(ConnectorCount {
                connector: connector.clone(),
                sessions: sessions.min(MAX_COUNT),
                is_capped: sessions > MAX_COUNT,
            })
        };
        self.0.iter().zip(&rows).map(count).collect()
    }
}

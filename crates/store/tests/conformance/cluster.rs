//! What the tests of the store do with a [`PostgresServer`] of their own.

use countersign_store::{Location, PostgresHost, PostgresOptions, Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub use crate::postgres_server::PostgresServer as Cluster;
use crate::world::SECOND;

impl Cluster {
    pub async fn executes(&self, sql: &str) {
        let mut connection = self.connection("postgres").await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    pub fn host(&self) -> PostgresHost {
        PostgresHost { name: "127.0.0.1".into(), port: self.port() }
    }

    /// `None` when the server accepts no more connections of this role.
    pub async fn connection(&self, role: &str) -> Option<PgConnection> {
        let url = format!("postgres://{role}@127.0.0.1:{}/postgres?sslmode=disable", self.port());
        PgConnection::connect(&url).await.ok()
    }

    /// A store that is configured with these servers.
    pub async fn open(clusters: &[&Self]) -> Store {
        let options = PostgresOptions {
            hosts: clusters.iter().map(|cluster| cluster.host()).collect(),
            user: "postgres".into(),
            database: "postgres".into(),
            ssl_mode: countersign_store::SslMode::Disable,
            connect_timeout: 2 * SECOND,
            ..PostgresOptions::default()
        };
        Store::open(&Location::Postgres(options)).await.unwrap()
    }
}

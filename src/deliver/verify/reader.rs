//! A session that reads one side, the source or the target, and says which it is when something fails.

use super::merge::Rows;
use super::row::KeptRow;
use super::settings;
use super::source::Source;
use super::trouble::Trouble;
use crate::config::PostgresEndpoint;
use crate::model::name::SystemName;
use crate::model::position::Lsn;
use crate::source::postgres::{Connection, Fault, Purpose, Row, chain};
use std::time::Duration;

/// A large sort says nothing until its end. A peer that is gone is noticed by the transport.
pub const SILENCE_MAX: Duration = Duration::from_secs(3600);

/// The end of the log, then an empty transaction that gets an id: it has an idle server write and flush, so that the
/// stream is told of an end behind the one that was read.
const MARK: &str = "SELECT pg_catalog.pg_current_wal_insert_lsn(); SELECT pg_catalog.pg_current_xact_id()";

pub struct Reader {
    connection: Connection,
    name: SystemName,
}

/// A session on each side.
pub struct Sides {
    pub source: Source,
    pub target: Reader,
}

impl Reader {
    /// # Errors
    /// [`Trouble::Table`] with what the server or the network says.
    pub async fn open(endpoint: &PostgresEndpoint, name: &SystemName) -> Result<Self, Trouble> {
        let application = "tailwater/verify".to_owned();
        let endpoint = PostgresEndpoint { silence_max: SILENCE_MAX, application, ..endpoint.clone() };
        let opened = async {
            let mut connection = Connection::open(&endpoint, Purpose::Queries).await?;
            connection.query(&settings::of_postgres()).await?;
            Ok(connection)
        };
        let connection = opened.await.map_err(|fault| unreadable(name, &fault))?;
        Ok(Self { connection, name: name.clone() })
    }

    /// # Errors
    /// As [`Self::open`].
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Trouble> {
        self.ask(async |connection| connection.query(sql).await).await
    }

    /// Something that the source's own code asks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Trouble> {
        question(&mut self.connection).await.map_err(|fault| unreadable(&self.name, &fault))
    }

    /// As of a source: everything that was committed before is in the log before this place.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn mark(&mut self) -> Result<Lsn, Trouble> {
        let place = async |connection: &mut Connection| {
            let rows = connection.query(MARK).await?;
            rows.first().ok_or(Fault::Protocol("no end of the log"))?.some(0)
        };
        self.ask(place).await
    }

    /// Asks for rows, which then are to be had here.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn stream(&mut self, sql: &str) -> Result<&mut Self, Trouble> {
        self.ask(async |connection| connection.start(sql).await).await?;
        Ok(self)
    }
}

impl Rows for Reader {
    async fn next(&mut self, row: &mut KeptRow) -> Result<bool, Trouble> {
        let next = self.connection.next_row().await.map_err(|fault| unreadable(&self.name, &fault))?;
        if let Some(read) = &next {
            row.keep(read.cells());
        }
        Ok(next.is_some())
    }
}

fn unreadable(name: &SystemName, fault: &Fault) -> Trouble {
    Trouble::unreadable(format!("{name}: {}", chain(fault)))
}

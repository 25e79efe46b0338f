//! A session on a source of either kind.

use super::listed::{self, SourceTable};
use super::merge::Rows;
use super::mysql;
use super::reader::Reader;
use super::row::KeptRow;
use super::trouble::Trouble;
use crate::config::System;
use crate::model::position::{LogPlace, Lsn};

pub enum Source {
    Postgres(Reader),
    Mysql(mysql::Reader),
}

/// A place in a source's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    Lsn(Lsn),
    Place(LogPlace),
}

impl Source {
    /// # Errors
    /// [`Trouble::Table`] with what the server or the network says.
    pub async fn open(system: &System) -> Result<Self, Trouble> {
        Ok(match system {
            System::Postgres(system) => Self::Postgres(Reader::open(&system.endpoint, &system.name).await?),
            System::Mysql(system) => Self::Mysql(mysql::Reader::open(system).await?),
        })
    }

    /// Those that the system's patterns select.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn tables(&mut self, system: &System) -> Result<Vec<SourceTable>, Trouble> {
        match (self, system) {
            (Self::Postgres(reader), System::Postgres(system)) => listed::of_postgres(reader, system).await,
            (Self::Mysql(reader), System::Mysql(system)) => listed::of_mysql(reader, system).await,
            _ => Err(Trouble::unreadable("a session of another kind than its system")),
        }
    }

    /// Everything that was committed before is in the log before this place.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn mark(&mut self) -> Result<Mark, Trouble> {
        Ok(match self {
            Self::Postgres(reader) => Mark::Lsn(reader.mark().await?),
            Self::Mysql(reader) => Mark::Place(reader.mark().await?),
        })
    }

    /// # Errors
    /// As [`Self::open`].
    pub async fn stream(&mut self, sql: &str) -> Result<Stream<'_>, Trouble> {
        Ok(match self {
            Self::Postgres(reader) => Stream::Postgres(reader.stream(sql).await?),
            Self::Mysql(reader) => Stream::Mysql(Box::new(reader.stream(sql).await?)),
        })
    }
}

/// An answer on its way.
pub enum Stream<'a> {
    Postgres(&'a mut Reader),
    Mysql(Box<mysql::Stream<'a>>),
}

impl Rows for Stream<'_> {
    async fn next(&mut self, row: &mut KeptRow) -> Result<bool, Trouble> {
        match self {
            Self::Postgres(reader) => reader.next(row).await,
            Self::Mysql(stream) => stream.next(row).await,
        }
    }
}

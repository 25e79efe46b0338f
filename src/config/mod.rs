//! The configuration: read once, checked whole, never looked up again.
//!
//! `raw` is what the file says, `check` turns it into the types here and reports every problem at once with
//! file:line:column. Everything after start-up sees only [`Config`]; nothing reads the environment later.

mod check;
mod contract;
mod load;
pub mod predicate;
mod raw;
mod report;
mod scalar;
mod section;
#[cfg(test)]
mod tests;

pub use contract::{Entity, EntityField, EntitySource, Join, MappedColumn, Mapping, Normalise, Part, Sensitivity};
pub use load::{Passwords, find, load, parse};
pub use raw::Place;
pub use report::{Error, Mistake};

use crate::model::name::{SystemName, TableName};
use crate::model::pattern::{Pattern, Selection};
use predicate::{Literal, Predicate};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    pub data_dir: PathBuf,
    /// Field numbers and message names, beside the config unless `lock_file` says otherwise.
    pub lock_file: PathBuf,
    pub systems: BTreeMap<SystemName, System>,
    pub access: Access,
    /// Databases that are written, by name.
    pub targets: BTreeMap<SystemName, Target>,
    pub server: Server,
    pub retention: Retention,
    pub journal: JournalOptions,
}

/// One configured system.
#[derive(Debug, Clone)]
pub enum System {
    Postgres(PostgresSystem),
    Mysql(MysqlSystem),
}

impl System {
    pub fn name(&self) -> &SystemName {
        match self {
            Self::Postgres(system) => &system.name,
            Self::Mysql(system) => &system.name,
        }
    }

    /// Whether a table is configured.
    pub fn captures(&self, table: &TableName) -> bool {
        match self {
            Self::Postgres(system) => system.tables.matches(&table.to_string()),
            Self::Mysql(system) => system.captures(table),
        }
    }
}

/// A MySQL or MariaDB server that is read.
#[derive(Debug, Clone)]
pub struct MysqlSystem {
    pub name: SystemName,
    pub flavour: Flavour,
    pub endpoint: MysqlEndpoint,
    /// `Some`: only tables of this one are captured.
    pub database: Option<String>,
    /// Over `database.table`.
    pub tables: Selection,
    /// By which the server tells its replicas apart: no two may have the same. By default derived from the system's name.
    pub server_id: u32,
}

impl MysqlSystem {
    /// Whether a table is configured. The server's own are never.
    pub fn captures(&self, table: &TableName) -> bool {
        const OWN: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];
        self.database.as_deref().is_none_or(|database| database == &*table.schema)
            && !OWN.contains(&&*table.schema)
            && self.tables.matches(&table.to_string())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Mysql,
    Mariadb,
}

/// A MySQL or MariaDB server and how to log in to it.
#[derive(Debug, Clone)]
pub struct MysqlEndpoint {
    pub host: Host,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretString>,
    pub tls: Tls,
    /// Silence after which the connection counts as dead. Default 30 s.
    pub silence_max: Duration,
}

#[derive(Debug, Clone)]
pub struct PostgresSystem {
    pub name: SystemName,
    pub endpoint: PostgresEndpoint,
    /// Over `schema.table`.
    pub tables: Selection,
    /// Default `tailwater_<system>`.
    pub slot: String,
    /// Default `tailwater_<system>`; tables without identity go into `<publication>_insert_only`.
    pub publication: String,
}

/// A PostgreSQL database and how to log in to it.
#[derive(Debug, Clone)]
pub struct PostgresEndpoint {
    /// What the server shows as `application_name`: `tailwater/<system or target>`.
    pub application: String,
    pub host: Host,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretString>,
    pub database: String,
    pub tls: Tls,
    /// Silence after which the connection counts as dead. Default 30 s.
    pub silence_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Tcp(String),
    /// A `host` that starts with `/`: PostgreSQL's directory of unix sockets, MySQL's and MariaDB's socket itself.
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// The default on unix sockets and loopback addresses.
    #[default]
    Disable,
    /// Encrypted and the certificate checked against the host name: the default elsewhere. `ca_file`: PEM; `None`: the
    /// system's roots.
    VerifyFull { ca_file: Option<PathBuf> },
}

/// A database that receives tables as they are.
#[derive(Debug, Clone)]
pub struct Target {
    /// Shares its names with the systems.
    pub name: SystemName,
    pub endpoint: PostgresEndpoint,
    /// Who it is: what of `tables` these may see is written. Empty without an `entitlements` section.
    pub roles: Vec<String>,
    /// Over `system.schema.table`.
    pub tables: Selection,
    /// The name of the schema on the target, with `{system}` and `{schema}` for those of the table. Default `{system}`.
    pub schema: String,
    /// Over the names of entities. Default: none.
    pub entities: Vec<Pattern>,
}

/// Who may come in and what they may see.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub roles: Vec<String>,
    /// `None`: no such section. The local operator reads raw, with a warning; other subjects read nothing.
    pub entitlements: Option<Vec<Entitlement>>,
    /// Of all contracts, by name.
    pub entities: Arc<BTreeMap<String, Arc<Entity>>>,
    pub subjects: BTreeMap<String, Subject>,
}

/// What one role may read. What several give a subject adds up, row by row.
#[derive(Debug, Clone)]
pub struct Entitlement {
    pub role: String,
    pub of: EntitledTo,
    /// Only rows of which this is true.
    pub rows: Option<Predicate>,
    /// Only fields of at most this sensitivity. Of columns that no contract speaks of nothing is known.
    pub max_sensitivity: Sensitivity,
    pub mask: Vec<(Masked, Mask)>,
}

#[cfg(test)]
impl Entitlement {
    /// To the rows of these tables as they are.
    pub fn raw(role: &str, tables: Selection) -> Self {
        let of = EntitledTo::Tables { tables, columns: Columns::All };
        Self { role: role.to_owned(), of, rows: None, max_sensitivity: Sensitivity::Internal, mask: Vec::new() }
    }
}

#[derive(Debug, Clone)]
pub enum EntitledTo {
    /// `tables`: over `system.schema.table`.
    Tables { tables: Selection, columns: Columns },
    /// Over the names of entities.
    Entity(Pattern),
}

/// Which columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Those of fields that the table's system owns, and the key.
    Owned,
    /// The rows as they are.
    All,
}

/// What is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Masked {
    /// A field of an entity, or a column of a table.
    Name(String),
    /// Fields with this tag, and the columns that they are mapped to.
    Tag(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// It is not there at all, neither in rows nor in their type.
    Omit,
    /// It is always null.
    Null,
}

#[derive(Debug, Clone)]
pub struct Subject {
    pub name: String,
    pub roles: Vec<String>,
    /// What predicates compare with: lists of values, of one where the file has no list.
    pub attributes: BTreeMap<String, Vec<Literal>>,
    /// SHA-256 of the bearer token; the config keeps it as `sha256:<64 hex digits>`.
    pub token_hash: [u8; 32],
}

#[derive(Debug, Clone)]
pub struct Server {
    /// Loopback only, until TLS exists. Default 127.0.0.1:7071.
    pub grpc: SocketAddr,
    /// Default 127.0.0.1:7070.
    pub http: SocketAddr,
    pub limits: Limits,
    /// How long open streams may take to drain at a stop. Default 5 s.
    pub grace: Duration,
}

/// What a hostile or broken client may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time. Default 1024.
    pub connections_max: usize,
    /// Streams on one connection. Default 128.
    pub streams_per_connection_max: u32,
    /// Live subscriptions in all. Default 1024.
    pub subscriptions_max: usize,
    /// A request. Default 256 KiB.
    pub request_bytes_max: usize,
    /// All headers of a request together. Default 16 KiB.
    pub header_bytes_max: u32,
    /// From accept to a complete HTTP/2 handshake. Default 5 s.
    pub handshake_max: Duration,
    /// Without a stream or a ping answer. Default 60 s.
    pub idle_max: Duration,
}

#[derive(Debug, Clone)]
pub struct Retention {
    /// Journal bodies kept. Default 10 GiB.
    pub bytes: u64,
    /// Intake waits below this much free disk. Default 1 GiB.
    pub free_disk_bytes_min: u64,
}

#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Default true.
    pub sync: bool,
    /// Default 32 MiB.
    pub queue_bytes_max: usize,
    /// Default 32 MiB.
    pub tail_bytes_max: usize,
}

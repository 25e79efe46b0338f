//! A connection to a server: where it is, how to log in, and queries whose answers are text.
//!
//! Every session has the same settings, so that no value depends on the server's defaults. Surprise: asked for `localhost`
//! the driver would change over to a unix socket by itself, which is turned off: what is configured is what is used.

use super::fault::Fault;
use crate::config::{Host, MysqlEndpoint, Tls};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts, Value};
use secrecy::ExposeSecret;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Name look-up, connect, TLS and login together.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The protocol's own limit; the server's is smaller than what its log can hold.
const PACKET_BYTES_MAX: usize = 1 << 30;
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What the server has for every new session must not reach ours: rows cut short, statements ended, transactions left open or
/// chained, sorting by a part of a value, answers in another language. Within `/*M!` what only MariaDB has, within the other what
/// only MySQL has (MariaDB passes over its versions). Surprise: a recursion that MariaDB cuts short gives what it has so far.
const SETTINGS: &str = "SET SESSION time_zone = '+00:00', sql_mode = '', sql_quote_show_create = 1, lock_wait_timeout = 5, wait_timeout = 28800, \
     net_write_timeout = 28800, net_read_timeout = 28800, autocommit = 1, completion_type = 0, sql_select_limit = 18446744073709551615, \
     sql_big_selects = 1, sql_safe_updates = 0, sql_auto_is_null = 0, max_sort_length = 1024, sort_buffer_size = 2097152, \
     lc_messages = 'en_US' \
     /*M!100300 , max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0, \
     system_versioning_asof = DEFAULT, max_recursive_iterations = 1000 */ \
     /*!50708 , max_execution_time = 0 */ /*!80030 , show_gipk_in_create_table_and_information_schema = 1, \
     cte_max_recursion_depth = 1000, use_secondary_engine = OFF */";
/// The one of a session that copies is another.
const TRANSACTIONS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// `host:port`, or the socket's path.
pub fn address(endpoint: &MysqlEndpoint) -> String {
    match &endpoint.host {
        Host::Tcp(host) => format!("{host}:{}", endpoint.port),
        Host::Unix(socket) => socket.display().to_string(),
    }
}

pub struct Connection {
    conn: Conn,
}

impl Connection {
    /// # Errors
    /// [`Fault::Connect`] with what went wrong.
    pub async fn open(endpoint: &MysqlEndpoint) -> Result<Self, Fault> {
        let failed = |source: Fault| Fault::Connect { address: address(endpoint), source: Box::new(source) };
        let connect = async {
            let mut conn = Conn::new(options(endpoint)).await?;
            conn.query_drop("SET NAMES utf8mb4").await?;
            conn.query_drop(SETTINGS).await?;
            conn.query_drop(TRANSACTIONS).await?;
            Ok::<_, Fault>(conn)
        };
        let conn = match timeout(CONNECT_MAX, connect).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(failed(io::Error::from(io::ErrorKind::TimedOut).into())),
        };
        Ok(Self { conn })
    }

    /// # Errors
    /// [`Fault::Server`] and those of the connection.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Fault> {
        Ok(self.conn.query_drop(sql).await?)
    }

    /// # Errors
    /// [`Fault::Server`] and those of the connection.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, Fault> {
        let rows: Vec<Row> = self.conn.query(sql).await?;
        Ok(rows.into_iter().map(TextRow).collect())
    }

    /// # Errors
    /// As for [`Self::rows`], and [`Fault::Protocol`] for an empty answer.
    pub async fn row(&mut self, sql: &str) -> Result<TextRow, Fault> {
        self.rows(sql).await?.pop().ok_or(Fault::Protocol("an empty answer"))
    }

    /// The server's number of this session.
    pub fn id(&self) -> u32 {
        self.conn.id()
    }

    /// Gives the driver's own connection, for what only it can do.
    pub fn into_inner(self) -> Conn {
        self.conn
    }

    pub fn inner(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

fn options(endpoint: &MysqlEndpoint) -> Opts {
    let builder = OptsBuilder::default()
        .user(Some(endpoint.user.clone()))
        .pass(endpoint.password.as_ref().map(|password| password.expose_secret().to_owned()))
        .prefer_socket(Some(false))
        .max_allowed_packet(Some(PACKET_BYTES_MAX))
        .tcp_keepalive(Some(KEEPALIVE))
        .stmt_cache_size(Some(0));
    let builder = match &endpoint.host {
        Host::Tcp(host) => builder.ip_or_hostname(host.clone()).tcp_port(endpoint.port).ssl_opts(tls(&endpoint.tls)),
        Host::Unix(socket) => builder.socket(Some(socket.display().to_string())),
    };
    builder.into()
}

/// Certificate and host name are checked by default; only the roots are ours to say.
fn tls(tls: &Tls) -> Option<SslOpts> {
    let Tls::VerifyFull { ca_file } = tls else { return None };
    let roots = match ca_file {
        Some(path) => vec![path.clone().into()],
        None => {
            let system = rustls_native_certs::load_native_certs().certs;
            system.into_iter().map(|certificate| certificate.to_vec().into()).collect()
        }
    };
    Some(SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true))
}

/// A row of an answer in the text protocol.
pub struct TextRow(Row);

impl TextRow {
    /// `None` for null, and for what is not UTF-8.
    pub fn text(&self, column: usize) -> Option<&str> {
        match self.0.as_ref(column) {
            Some(Value::Bytes(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// # Errors
    /// [`Fault::Protocol`] for null.
    pub fn some(&self, column: usize) -> Result<&str, Fault> {
        self.text(column).ok_or(Fault::Protocol("an answer without a value"))
    }

    /// # Errors
    /// [`Fault::Protocol`] for what is no number.
    pub fn number(&self, column: usize) -> Result<u64, Fault> {
        self.some(column)?.parse().map_err(|_| Fault::Protocol("an answer that is no number"))
    }
}

/// A string as SQL; the session's `sql_mode` has backslashes escape.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name as SQL.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

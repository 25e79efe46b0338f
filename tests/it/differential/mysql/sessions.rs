//! Settings of one session.

use crate::harness::mysql::{Kind, Server};
use crate::harness::rng::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

const SETTINGS: &[&str] = &[
    "DO 1",
    "DO 1",
    "SET sql_mode = 'STRICT_TRANS_TABLES'",
    "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "SET sql_mode = 'NO_ZERO_DATE,STRICT_ALL_TABLES'",
    "SET sql_mode = 'HIGH_NOT_PRECEDENCE,IGNORE_SPACE,NO_AUTO_VALUE_ON_ZERO'",
    "SET NAMES latin1",
    "SET NAMES gbk",
    "SET NAMES cp1251",
    "SET time_zone = '+05:45'",
    "SET foreign_key_checks = 0",
    "SET unique_checks = 0",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET sql_quote_show_create = 0",
    "SET sql_safe_updates = 1",
    "SET default_storage_engine = MyISAM",
];
const OF_MARIADB: &[&str] = &[
    "SET sql_mode = 'ORACLE'",
    "SET sql_mode = 'MSSQL'",
    "SET system_versioning_alter_history = KEEP",
    "SET binlog_annotate_row_events = 0",
    "SET check_constraint_checks = 0",
];
const OF_MYSQL: &[&str] = &[
    "SET old_alter_table = 1",
    "SET sql_generate_invisible_primary_key = ON",
    "SET binlog_rows_query_log_events = ON",
    "SET collation_connection = utf8mb4_0900_as_cs",
];

pub async fn session(server: &Server, rng: &mut Rng) -> Conn {
    let mut conn = server.client().await;
    let own = if server.kind == Kind::Mysql { OF_MYSQL } else { OF_MARIADB };
    let setting = if rng.one_in(3) { rng.pick(own) } else { rng.pick(SETTINGS) };
    conn.query_drop(setting).await.unwrap_or_else(|error| panic!("{setting}: {error}"));
    let wait = "SET lock_wait_timeout = 20, innodb_lock_wait_timeout = 20";
    conn.query_drop(wait).await.unwrap_or_else(|error| panic!("{wait}: {error}"));
    conn
}

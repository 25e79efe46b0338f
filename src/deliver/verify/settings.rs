//! What the verifier's sessions are set to, by lists of its own: a setting that is forgotten for copies and streams must not
//! be forgotten here too, or both would read the same wrong value.
//!
//! Surprise: names that one version of a server does not know are passed over, not refused.

/// Of PostgreSQL: forms of values, limits and isolation; and a row that a policy hides would look like one that is not there.
const OF_POSTGRES: [(&str, &str); 23] = [
    ("client_encoding", "UTF8"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "iso_8601"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    ("lc_monetary", "C"),
    ("search_path", ""),
    ("standard_conforming_strings", "on"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("quote_all_identifiers", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("transaction_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("row_security", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    // The last one: nothing is ever written.
    ("default_transaction_read_only", "on"),
];

/// Of both MySQL and MariaDB, then of MySQL, then of MariaDB from 10.3 on.
const OF_MYSQL: &str = "SET SESSION time_zone = '+00:00', sql_mode = '', sql_select_limit = 18446744073709551615, sql_big_selects = 1, \
     sql_safe_updates = 0, sql_auto_is_null = 0, autocommit = 1, completion_type = 0, max_sort_length = 1024, sort_buffer_size = 2097152, \
     wait_timeout = 28800, net_write_timeout = 28800, net_read_timeout = 28800, lock_wait_timeout = 50 \
     /*!80030 , max_execution_time = 0, show_gipk_in_create_table_and_information_schema = ON */ \
     /*M!100300 , max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0, \
     system_versioning_asof = DEFAULT */";

/// Nothing is ever written.
const READ_ONLY: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

pub fn of_postgres() -> String {
    let list: Vec<_> = OF_POSTGRES.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    format!(
        "SELECT pg_catalog.set_config(s.name, w.value, false) FROM (VALUES {}) AS w(name, value) \
         JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(w.name)",
        list.join(", ")
    )
}

pub fn of_mysql() -> [&'static str; 3] {
    ["SET NAMES utf8mb4", OF_MYSQL, READ_ONLY]
}

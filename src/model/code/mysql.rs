//! MySQL and MariaDB as sources. What every source shares is in `source`.

use super::codes;

codes! {
    LOG_SETTINGS = "TW-MYS-001" {
        what: "the server does not log what Tailwater needs",
        why: "Changes are read from the binary log. They are whole and unambiguous only with row format, full row images and full metadata; anything less would have to be guessed.",
        evidence: "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata');",
        next: "Run the SQL in the message, put the same into the server's configuration file, let the applications connect anew, and restart Tailwater.",
    }
    GTID_OFF = "TW-MYS-002" {
        what: "the server gives its transactions no global ids",
        why: "A place in the log that survives restarts, purges and file changes is known only by GTIDs.",
        evidence: "SELECT @@gtid_mode, @@enforce_gtid_consistency;",
        next: "Turn it on step by step as the manual says: enforce_gtid_consistency = ON, then gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE, ON; then restart Tailwater.",
    }
    ROWS_INCOMPLETE = "TW-MYS-003" {
        what: "a row was logged without all of its columns, or a table without its columns' names",
        why: "Some session has its own binlog_row_image or binlog_row_metadata, or the settings were other ones when the row was logged. Guessing by position would put values into wrong columns.",
        evidence: "The message names the table. SELECT @@global.binlog_row_image, @@global.binlog_row_metadata;",
        next: "Set both to FULL, globally and in the application. Nothing of the table is captured from that row on; the other tables go on. Another copy of the table follows by itself: after a row without columns at once, after a table without names once the log has them again; where such rows come again and again, within 60 s.",
    }
    STATEMENT_LOGGED = "TW-MYS-004" {
        what: "rows were changed by a statement that was logged as such (no longer given)",
        why: "Some session has binlog_format STATEMENT or MIXED, or a MEMORY table was emptied at a restart. Earlier versions halted; now every captured table is copied again.",
        evidence: "tailwater status says why a table is copied again; SELECT @@global.binlog_format;",
        next: "Set binlog_format = ROW everywhere, so that copies are not needed.",
    }
    LOG_COMPRESSED = "TW-MYS-005" {
        what: "the log holds compressed transactions or events",
        why: "This version does not read them, and passing them over would lose changes.",
        evidence: "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_transaction_compression', 'log_bin_compress');",
        next: "Turn it off: SET GLOBAL binlog_transaction_compression = OFF; on MariaDB SET GLOBAL log_bin_compress = OFF; then stop, move data_dir aside, start, and take new copies downstream.",
    }
    TWO_PHASE = "TW-MYS-006" {
        what: "the log holds a two-phase (XA) transaction (no longer given)",
        why: "Its changes come before anybody knows whether it commits. Earlier versions halted; now the tables that it changed are copied again once it commits.",
        evidence: "tailwater status says why a table is copied again. XA RECOVER;",
        next: "Have the application commit without XA, so that copies are not needed.",
    }
    PARTIAL_JSON = "TW-MYS-007" {
        what: "an update logged only what it changed inside a JSON column",
        why: "The rest of the document is not in the log. This version does not read such updates.",
        evidence: "SELECT @@global.binlog_row_value_options;",
        next: "SET GLOBAL binlog_row_value_options = ''; then stop, move data_dir aside, start, and take new copies downstream.",
    }
    EVENT_UNKNOWN = "TW-MYS-008" {
        what: "the log holds an event or a statement that this version does not know",
        why: "It may change rows, so it is not passed over.",
        evidence: "The message names it and its transaction; mysqlbinlog shows it.",
        next: "Report it with the message. To start over behind it: stop, move data_dir aside, start, and take new copies downstream.",
    }
    LOG_INCIDENT = "TW-MYS-009" {
        what: "the server itself says that changes are missing from its log (no longer given)",
        why: "It could not write them, so no replica has them. Earlier versions halted; now every captured table is copied again.",
        evidence: "tailwater status says why a table is copied again. The server's error log.",
        next: "Find in the server's error log what it could not write.",
    }
    LOG_PURGED = "TW-MYS-010" {
        what: "the server no longer has the binary log that the stream needs",
        why: "Files were purged or expired before Tailwater had read them; changes in them cannot be read any more. Or the last transaction that was read is gone with its file, so that nothing shows whether what the server has since is of the same history.",
        evidence: "SELECT @@gtid_purged; or SHOW BINARY LOGS; against the message. binlog_expire_logs_seconds says how long files stay.",
        next: "Let files stay longer. Then stop, move data_dir aside, start, and take new copies downstream.",
    }
    SERVER_OTHER = "TW-MYS-011" {
        what: "this is not the server that the journal was filled from",
        why: "Its server_uuid differs from the checkpoint's; or, with MariaDB, its server_uid, which is of its address, and its log is not the one that was read either. After a failover the new primary may lack transactions that are journaled, or have others.",
        evidence: "SELECT @@server_uuid; or SELECT @@server_uid; against the message.",
        next: "If the address is wrong, correct the config and restart. If the server was really replaced: stop, move data_dir aside, start, and take new copies downstream.",
    }
    HISTORY_BEHIND = "TW-MYS-012" {
        what: "the server lacks transactions that are already journaled",
        why: "It was restored from an older backup, or lost the end of its log in a crash (sync_binlog other than 1). It will give other transactions the same ids.",
        evidence: "SELECT @@gtid_executed; or SELECT @@gtid_binlog_pos; against the message.",
        next: "Find out which is right. To follow the server as it is: stop, move data_dir aside, start, and take new copies downstream.",
    }
    ROLLED_BACK = "TW-MYS-013" {
        what: "a transaction was rolled back after it had changed a table that cannot roll back (no longer given)",
        why: "The log holds all of its changes, and which of them stayed depends on each table's engine. Earlier versions halted; now none of these changes is delivered, and the tables are copied again.",
        evidence: "tailwater status says why a table is copied again. SELECT engine FROM information_schema.tables;",
        next: "Use InnoDB for the captured tables, so that copies are not needed.",
    }
    ROWS_REMOVED = "TW-MYS-014" {
        what: "an ALTER TABLE removed or exchanged rows of a captured table without logging them (no longer given)",
        why: "Partitions that are dropped, truncated or exchanged and imported tablespaces change rows that no event tells of. Earlier versions halted; now the table is copied again.",
        evidence: "tailwater status says why a table is copied again.",
        next: "Nothing needs to be done.",
    }
    TYPE_UNREADABLE = "TW-MYS-015" {
        what: "a captured table has a column that this version does not read",
        why: "Its character set or its storage format is not known: COMPRESSED columns of MariaDB and dates and times in their format of before 2013, for example. Going on would pass wrong values on. The table is not captured; the others are.",
        evidence: "The message names table and column; SHOW CREATE TABLE.",
        next: "Convert the column (for text: ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4; for old dates and times: ALTER TABLE … FORCE), or exclude the table. It is then copied by itself.",
    }
    SERVER_ID_TAKEN = "TW-MYS-016" {
        what: "another replica with the same server_id has taken the stream over",
        why: "The server ends the older of two readers with one server_id. It is tried again with backoff.",
        evidence: "SHOW REPLICAS; or SHOW SLAVE HOSTS;",
        next: "Nothing, if it passes. Else give this system another `server_id` in the config.",
    }
    LOG_SHORT_LIVED = "TW-MYS-017" {
        what: "the server keeps its binary log for a short time only",
        why: "When Tailwater is stopped for longer, files that it needs are gone, and it has to start over.",
        evidence: "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days');",
        next: "Let files stay for some days, with the SQL in the finding.",
    }
    REPLICA_NOT_LOGGED = "TW-MYS-018" {
        what: "the server is a replica that does not log what it applies",
        why: "With log_replica_updates (MariaDB: log_slave_updates) off, what comes from its primary is not in its own log. None of its tables is captured.",
        evidence: "SELECT @@global.log_replica_updates; or SELECT @@global.log_slave_updates; and SHOW REPLICA STATUS; or SHOW ALL SLAVES STATUS;",
        next: "Set it to ON in the server's configuration file and restart the server; or read from the primary; or, where the server is no replica any more, RESET REPLICA ALL. The tables are then copied by themselves.",
    }
    FLAVOUR_WRONG = "TW-MYS-019" {
        what: "the server is not of the configured kind",
        why: "MySQL and MariaDB count transactions in ways of their own.",
        evidence: "SELECT VERSION();",
        next: "Write `kind: mysql` or `kind: mariadb`, whichever it is, and restart.",
    }
    TABLE_VERSIONED = "TW-MYS-020" {
        what: "a captured table keeps old versions of its rows by transactions",
        why: "MariaDB logs what changes in a transaction-precise system-versioned table as statements, which tell no rows. The table is not captured; the others are. (Versions by time are captured: the current rows are the table's. Earlier versions halted for these, too.)",
        evidence: "SELECT table_schema, table_name FROM information_schema.columns WHERE generation_expression = 'ROW END' AND data_type = 'bigint';",
        next: "Exclude the table, or let its period be of TIMESTAMP(6) columns; it is then copied by itself.",
    }
    ENGINE_UNFIT = "TW-MYS-021" {
        what: "a captured table is of a storage engine, or in a place, in which not all of its changes are logged as its own",
        why: "MERGE, FEDERATED, CONNECT, SPIDER, BLACKHOLE and their like show rows that change without an event of theirs, or keep none; parts of a MERGE table change under its name; and a copy of a table without transactions and without primary key can double rows. The table is not captured; the others are.",
        evidence: "SELECT table_schema, table_name, engine FROM information_schema.tables; the message names the table.",
        next: "Run the SQL in the message, give the table a primary key, or exclude it; it is then copied by itself.",
    }
    CASCADE_UNLOGGED = "TW-MYS-022" {
        what: "a foreign key changes rows of a captured table, and the server does not log that",
        why: "On MariaDB, on MySQL before 9.6 and with innodb_native_foreign_keys = ON, rows that ON DELETE or ON UPDATE with CASCADE, SET NULL or SET DEFAULT changes in the child table are changed inside the storage engine, without an event. The table is not captured; the others are.",
        evidence: "SELECT constraint_schema, table_name, constraint_name, delete_rule, update_rule FROM information_schema.referential_constraints;",
        next: "Make the foreign key RESTRICT or NO ACTION and have the application change the children, use MySQL 9.6 or newer, or exclude the table; it is then copied by itself.",
    }
    DATABASE_UNLOGGED = "TW-MYS-024" {
        what: "the server leaves the database of a captured table out of its log",
        why: "binlog_do_db or binlog_ignore_db keeps its changes out of the binary log, so nobody can see them. The table is not captured; the others are. For these too a statement is not logged where the default database of its session is left out.",
        evidence: "SHOW BINARY LOG STATUS; or, on MariaDB and on MySQL before 8.2, SHOW MASTER STATUS;",
        next: "Take the option out of the server's configuration file and restart the server, or exclude the table. It is then copied by itself.",
    }
}

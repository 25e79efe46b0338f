//! Codes of the source area.

use super::codes;

codes! {
    SERVER_UNREACHABLE = "TW-SRC-001" {
        what: "the source's server cannot be reached, or the connection to it broke",
        why: "Networks and servers go away; Tailwater connects again by itself, for ever, and nothing is lost meanwhile.",
        evidence: "`tailwater status` shows the address and the last error; try `psql`, `mysql` or `mariadb` with the same host, port, user and database.",
        next: "Nothing, if the server is on its way back. Else check `host`, `port` and the network.",
    }
    AUTHENTICATION_FAILED = "TW-SRC-002" {
        what: "the source's server does not let Tailwater's user in",
        why: "There is no such user, its password is wrong or missing, or the server has no rule for it from this address. It is tried again every 10 s.",
        evidence: "PostgreSQL's log names the line of pg_hba.conf that decided. MySQL and MariaDB choose the account whose host fits best: SELECT user, host FROM mysql.user; an account without a name ('' at localhost) goes before 'tailwater'@'%'.",
        next: "Mend `password` in the config and restart. PostgreSQL: CREATE ROLE tailwater LOGIN REPLICATION PASSWORD '…'; or ALTER ROLE, or pg_hba.conf and SELECT pg_reload_conf(); MySQL and MariaDB: CREATE USER or ALTER USER tailwater@'…' IDENTIFIED BY '…'; or DROP USER ''@localhost;",
    }
    DATABASE_MISSING = "TW-SRC-003" {
        what: "the source's server has no such database",
        why: "The configured database was never created, dropped, or the address leads to another server. It is tried again every 10 s.",
        evidence: "SELECT datname FROM pg_database;",
        next: "Correct `database` (or `host` and `port`) in the config and restart.",
    }
    PERMISSION_MISSING = "TW-SRC-004" {
        what: "Tailwater's user may not do something that it needs to",
        why: "PostgreSQL: it needs REPLICATION, for its publications either ownership of the tables or publications made by their owner, and SELECT on tables that are copied. MySQL and MariaDB: REPLICATION SLAVE, REPLICATION CLIENT, SELECT and, on MySQL, LOCK TABLES. Going on without would miss changes.",
        evidence: "The message names what was refused, and the SQL that would mend it.",
        next: "As the owner or a superuser run the SQL in the message. A source that is halted then needs a restart; a table or a copy that waits goes on by itself.",
    }
    WAL_LEVEL_NOT_LOGICAL = "TW-SRC-005" {
        what: "the source's server does not write what logical decoding needs",
        why: "Row changes can be read from the WAL only with wal_level = logical.",
        evidence: "SHOW wal_level;",
        next: "ALTER SYSTEM SET wal_level = 'logical'; then restart the PostgreSQL server, then Tailwater.",
    }
    SERVER_REPLACED = "TW-SRC-006" {
        what: "this is not the server or database that the journal was filled from",
        why: "Its system identifier or database differs from the checkpoint's. Positions of one mean nothing in the other, so going on would lose or invent changes.",
        evidence: "SELECT system_identifier FROM pg_control_system(); against the message.",
        next: "If the address is wrong, correct the config and restart. If the server was really replaced: stop, move data_dir aside, drop the slot if there is one, start, and take new copies downstream.",
    }
    TIMELINE_CHANGED = "TW-SRC-007" {
        what: "the server was promoted or restored since: it is on another timeline",
        why: "After a failover or a point-in-time recovery the history may differ from what is journaled: changes may be missing on either side.",
        evidence: "SELECT timeline_id FROM pg_control_checkpoint(); against the message.",
        next: "Connect to the server that is still on the recorded timeline; or stop, move data_dir aside, drop the slot, start, and take new copies downstream.",
    }
    SERVER_BEHIND = "TW-SRC-008" {
        what: "the server's log ends before what is already journaled",
        why: "It was restored from an older backup or snapshot. It will write other changes at positions that the journal already has.",
        evidence: "SELECT pg_current_wal_flush_lsn(); against the message.",
        next: "Find out which is right. To follow the restored server: stop, move data_dir aside, drop the slot, start, and take new copies downstream.",
    }
    HISTORY_DIFFERS = "TW-SRC-009" {
        what: "the last transaction that was read is not in the server's history as it was",
        why: "The server was restored from an older backup, its log was reset, or another one has its address, and it has grown since: it gives the same ids to other transactions, which would be left out.",
        evidence: "The message. PostgreSQL: SELECT pg_xact_commit_timestamp('<xid>'); MySQL and MariaDB: SHOW BINARY LOGS; and mysqlbinlog --start-position at the place in the message.",
        next: "Connect to the right server; or stop, move data_dir aside, with PostgreSQL drop the slot, start, and take new copies downstream.",
    }
    SLOT_MISSING = "TW-SRC-010" {
        what: "the replication slot is gone",
        why: "It was dropped, or the server was failed over to one without it. What committed since may be lost, so no new slot is made silently.",
        evidence: "SELECT * FROM pg_replication_slots;",
        next: "Find out who dropped it. To start over: stop, move data_dir aside, start, and take new copies downstream.",
    }
    SLOT_INVALIDATED = "TW-SRC-011" {
        what: "the server gave up the replication slot",
        why: "It retained more WAL than max_slot_wal_keep_size allows (wal_status is 'lost'); changes that were not read yet are gone from the log.",
        evidence: "SELECT slot_name, wal_status, safe_wal_size FROM pg_replication_slots; SHOW max_slot_wal_keep_size;",
        next: "Raise max_slot_wal_keep_size. Then stop, move data_dir aside, SELECT pg_drop_replication_slot('<slot>'); start, and take new copies downstream.",
    }
    SLOT_FOREIGN = "TW-SRC-012" {
        what: "a replication slot of this name belongs to something else",
        why: "It is physical, of another output plugin, or of another database. Using it would steal another consumer's changes.",
        evidence: "SELECT slot_name, slot_type, plugin, database FROM pg_replication_slots;",
        next: "Choose another `slot` in the config and restart.",
    }
    SLOT_AHEAD = "TW-SRC-013" {
        what: "the replication slot was moved beyond the checkpoint",
        why: "Somebody advanced the slot or read from it. The server would forward silently over changes that are not journaled.",
        evidence: "SELECT confirmed_flush_lsn FROM pg_replication_slots; against the checkpoint in the message.",
        next: "Find the other reader and stop it. To start over: stop, move data_dir aside, SELECT pg_drop_replication_slot('<slot>'); start, and take new copies downstream.",
    }
    SLOT_WITHOUT_JOURNAL = "TW-SRC-014" {
        what: "the replication slot exists, but the journal has never heard of it",
        why: "Either data_dir was lost, or the slot belongs to another Tailwater. What was confirmed to it cannot be known.",
        evidence: "SELECT slot_name, active, confirmed_flush_lsn FROM pg_replication_slots;",
        next: "Put the lost data_dir back; or choose another `slot`; or, to start over: SELECT pg_drop_replication_slot('<slot>'); then restart.",
    }
    PUBLICATION_MISSING = "TW-SRC-015" {
        what: "a publication that the stream depends on is gone",
        why: "It was dropped. Changes written while it was missing are not in the stream, and making a new one would hide that.",
        evidence: "SELECT * FROM pg_publication;",
        next: "Where one table has this code: run the SQL in the message. Where the source has it, start over: stop, move data_dir aside, SELECT pg_drop_replication_slot('<slot>'); start, and take new copies downstream.",
    }
    PUBLICATION_ALTERED = "TW-SRC-016" {
        what: "a publication no longer carries all changes of the captured tables",
        why: "Somebody removed a table, an operation, rows or columns from it. Changes since then are not in the stream.",
        evidence: "SELECT * FROM pg_publication_tables; SELECT * FROM pg_publication;",
        next: "Run the SQL in the message. Tailwater notices within 10 s and copies these tables again by itself. (At the first start: then restart.)",
    }
    LOG_REMOVED = "TW-SRC-017" {
        what: "the server no longer has the WAL that the stream needs",
        why: "Segments were removed although the slot needs them; changes in them cannot be read any more.",
        evidence: "The server's words in the message; ls pg_wal.",
        next: "Stop, move data_dir aside, SELECT pg_drop_replication_slot('<slot>'); start, and take new copies downstream.",
    }
    STREAM_MALFORMED = "TW-SRC-018" {
        what: "the server sent bytes that are not what the protocol promises",
        why: "A proxy in between, a damaged connection, or something that this version does not know. Guessing would lose or invent changes.",
        evidence: "The message names the kind and the byte. The slot has not moved.",
        next: "Restart once; if it comes again at the same place, report it with the message.",
    }
    CELL_UNREADABLE = "TW-SRC-019" {
        what: "a value is not what its column's type promises",
        why: "Bytes that are no text in the column's character set, for example. Sending them on as something else, or leaving them out, would be a lie. Nothing more of the table is captured; the other tables go on, and this one is copied again.",
        evidence: "The message names table and column, and the whole numbers of the row's key.",
        next: "Correct the value at the source: the copy then takes it up by itself, at most a minute later. Or exclude the table under `tables.exclude`.",
    }
    SERVER_UNAVAILABLE = "TW-SRC-020" {
        what: "the server is up but takes no replication now",
        why: "It is starting, stopping, a standby in recovery, or out of connections, memory or disk. It is tried again with backoff.",
        evidence: "The server's words in the message and its log.",
        next: "Nothing, if it passes. Else look at max_connections, max_wal_senders, max_replication_slots and the server's disk.",
    }
    SLOT_IN_USE = "TW-SRC-021" {
        what: "somebody is reading from the replication slot",
        why: "Mostly the server has not noticed yet that an earlier connection of ours died. It is tried again with backoff.",
        evidence: "SELECT active_pid FROM pg_replication_slots; SELECT * FROM pg_stat_replication;",
        next: "Nothing, if it passes within wal_sender_timeout. Else another Tailwater uses this slot: stop it.",
    }
    FAULT_UNKNOWN = "TW-SRC-022" {
        what: "the server refused something for a reason that Tailwater does not know",
        why: "What is not known is tried again with backoff and never skipped.",
        evidence: "The server's words in the message and its log.",
        next: "Read the message; mend what it names on the server.",
    }
    JOURNAL_STOPPED = "TW-SRC-023" {
        what: "the source stopped because the journal takes no more",
        why: "Nothing may be confirmed to the server that is not durable here.",
        evidence: "`tailwater status` shows the journal's own code.",
        next: "Mend what the journal's code says and restart.",
    }
    TLS_FAILED = "TW-SRC-024" {
        what: "no trusted, encrypted connection to the server could be made",
        why: "The server does not do TLS, or its certificate is not trusted or not for this host name. There is no falling back to less. It is tried again every 10 s.",
        evidence: "SHOW ssl; on the server; openssl s_client -starttls postgres -connect HOST:PORT",
        next: "Set ssl = on and a certificate for this host name on the server, or name its CA under `tls.ca_file`.",
    }
    AUTHENTICATION_UNSAFE = "TW-SRC-025" {
        what: "the server asks for a login that Tailwater does not do here",
        why: "A password in clear over a connection that others can read, or a method that is not trust, password, md5 or SCRAM-SHA-256.",
        evidence: "The method in the message; pg_hba.conf on the server.",
        next: "Use scram-sha-256 in pg_hba.conf, or set `tls` in the config; then restart.",
    }
    VERSION_UNSUPPORTED = "TW-SRC-026" {
        what: "the server's version is too old",
        why: "Tailwater needs PostgreSQL 14 or newer.",
        evidence: "SHOW server_version;",
        next: "Upgrade the server.",
    }
    SOURCE_PANICKED = "TW-SRC-027" {
        what: "the source stopped because of a bug in Tailwater",
        why: "Its task panicked. Nothing was confirmed to the server that is not durable here, so a restart loses nothing.",
        evidence: "The panic's place and message on standard error.",
        next: "Restart Tailwater; report the panic if it comes again.",
    }
    SLOTS_EXHAUSTED = "TW-SRC-028" {
        what: "the server has no replication slot or walsender left",
        why: "Each source takes one slot and one walsender, and each of the two has a limit that is set at server start.",
        evidence: "SHOW max_replication_slots; SHOW max_wal_senders; SELECT * FROM pg_replication_slots; SELECT * FROM pg_stat_replication;",
        next: "Drop a slot that nobody uses, or raise the limit with the SQL in the finding and restart the server.",
    }
    NOTHING_MATCHES = "TW-SRC-029" {
        what: "a pattern of `tables.include` matches no table",
        why: "It may be misspelt, the table may not exist yet, or it is in another database. Nothing of it would be captured.",
        evidence: "SELECT table_schema, table_name FROM information_schema.tables; names are compared as they are there, upper and lower case apart.",
        next: "Correct the pattern in the config. If the table is still to come, nothing needs to be done: it is found when it exists.",
    }
    IDENTITY_MISSING = "TW-SRC-030" {
        what: "a captured table has no replica identity, so only its inserts and truncates are captured",
        why: "Without a key or a logged previous row, nobody can say which row an update or a delete was about: copies of the table would go stale.",
        evidence: "SELECT relreplident FROM pg_class; a deferrable primary key does not count, and pg_stat_user_tables tells updates and deletes.",
        next: "Add a primary key, or run the SQL in the finding; or exclude the table. A table that is only inserted into may stay as it is.",
    }
    LOG_UNBOUNDED = "TW-SRC-031" {
        what: "the server keeps WAL for a replication slot without a bound",
        why: "While Tailwater is stopped its slot retains WAL, and with max_slot_wal_keep_size = -1 that goes on until the server's disk is full.",
        evidence: "SHOW max_slot_wal_keep_size; SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) FROM pg_replication_slots;",
        next: "Set a bound that leaves time to act, with the SQL in the finding; and watch tailwater_source_retained_log_bytes.",
    }
    TABLE_NOT_LOGGED = "TW-SRC-032" {
        what: "a table that a pattern selects cannot be captured",
        why: "Unlogged and foreign tables, and partitions that are so, do not write the log that changes are read from.",
        evidence: "SELECT relkind, relpersistence FROM pg_class;",
        next: "For an unlogged table, run the SQL in the finding; capture a foreign table where it lives; or exclude it in the config.",
    }
    COLUMN_GENERATED = "TW-SRC-033" {
        what: "a generated column is not captured",
        why: "The log does not carry what the server computes from other columns, so it is left out of the stream. This is so on PostgreSQL and from version 11 on MariaDB, which logs generated columns of inserted rows only.",
        evidence: "SELECT attname, attgenerated FROM pg_attribute; or SELECT table_name, column_name, generation_expression FROM information_schema.columns;",
        next: "Nothing needs to be done where readers can do without it; else compute it again downstream.",
    }
    TABLE_LOCKED = "TW-SRC-034" {
        what: "a table cannot join its publication while somebody holds a lock on it",
        why: "ALTER PUBLICATION waits a second for its lock and then gives up, so that nobody waits behind it. The other tables go on; this one is tried again every 10 s.",
        evidence: "SELECT * FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = '<table>'::regclass;",
        next: "Nothing, if the lock passes: a VACUUM or an ALTER TABLE that runs. Else end the session that holds it.",
    }
    PUBLICATION_REFUSED = "TW-SRC-035" {
        what: "the server refuses to put a table into its publication",
        why: "The message has the server's reason. Nothing of the table is captured; the other tables go on, and this one is tried again every 10 s.",
        evidence: "The server's words and the refused statement in the message.",
        next: "Fix what the server names, or exclude the table under `tables.exclude`.",
    }
    IDENTITY_UNFIT = "TW-SRC-036" {
        what: "a table declares a replica identity by which the log does not tell its rows apart",
        why: "A key with a generated column is not in the log; a partition logs its rows by its own replica identity, not by that of the table; PostgreSQL 18 refuses updates under FULL with a generated column. Nothing of the table is captured until that is mended; what a target has of it stays as it is, shown as halted.",
        evidence: "SELECT relname, relreplident FROM pg_class; SELECT attname, attgenerated FROM pg_attribute; the message names the table, partition or column.",
        next: "Run the SQL in the message, or give the table a key without generated columns. The table is then copied again by itself.",
    }
    CHANGES_UNTOLD = "TW-SRC-037" {
        what: "rows of a table without replica identity were updated or deleted since it was copied",
        why: "The log does not say which row an update or a delete of such a table was about, so only inserts and truncates are captured, and the copies are stale now. (The server also counts what was rolled back.)",
        evidence: "SELECT n_tup_upd, n_tup_del FROM pg_stat_user_tables; SELECT relreplident FROM pg_class;",
        next: "Give the table a primary key, or ALTER TABLE <table> REPLICA IDENTITY FULL: it is then copied again by itself. Or take another copy: tailwater resync.",
    }
    TABLE_GONE = "TW-SRC-038" {
        what: "a target has a table that its source no longer captures",
        why: "The table was dropped or renamed at the source, or the config leaves it out now. The target keeps the rows that it has; nothing changes them any more.",
        evidence: "tailwater status lists the source's tables.",
        next: "Nothing, if that was meant: drop the table at the target and leave it out of the target's `tables`. If it comes back, it is copied again by itself.",
    }
    ERROR_REPEATED = "TW-SRC-039" {
        what: "the server gives the same error at the same place of its log, again and again",
        why: "The error is none that Tailwater knows. It may be a value that the server cannot send (a very large one), or a part of the log that it cannot decode. Another try would not help, and nothing behind that place can be read before it.",
        evidence: "The server's words in the message, and its own log at that time.",
        next: "Remove what the server names, then restart. Where the transaction itself cannot be sent, exclude its table under `tables.exclude`, restart, and include it again: it is then copied.",
    }
    INTAKE_WAITS = "TW-SRC-040" {
        what: "the journal has taken nothing for a minute, and the connection to the server was given back",
        why: "A server that shuts down waits until its log is confirmed, and only what is durable is confirmed. So that it does not wait for us, the source is left alone while the journal waits for disk space. The server keeps its log for the replication slot meanwhile.",
        evidence: "`tailwater status` shows the journal's own code; du -sh on `data_dir`.",
        next: "Do what the journal's code says. The source connects again by itself as soon as the journal takes something.",
    }
}

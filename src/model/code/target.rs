//! Codes of targets.

use super::codes;

codes! {
    TARGET_UNREACHABLE = "TW-TGT-001" {
        what: "The target cannot be reached, or the connection to it broke.",
        why: "Networks and servers go away and come back. It is tried again with backoff, for ever; nothing is lost meanwhile within `retention`.",
        evidence: "The system's words in the message; `tailwater status` shows how far behind the target is.",
        next: "Nothing, if it passes. Else look whether the target's server runs and host and port are right.",
    }
    TARGET_UNAVAILABLE = "TW-TGT-002" {
        what: "The target is up but did not do what it was asked now.",
        why: "It is starting, stopping, out of connections, memory or disk, or somebody held a lock. It is tried again with backoff.",
        evidence: "The server's words in the message and its log.",
        next: "Nothing, if it passes. Else look at the target's disk, max_connections and pg_locks.",
    }
    TARGET_LOGIN_FAILED = "TW-TGT-003" {
        what: "The target does not let us in.",
        why: "User, password, database, pg_hba.conf or the certificate is not as expected. It is tried again every 10 s.",
        evidence: "The server's words in the message; `targets.<name>` in the config.",
        next: "Correct the config and restart, or the server; then it goes on by itself.",
    }
    TARGET_PERMISSION_MISSING = "TW-TGT-004" {
        what: "The target's role lacks a right.",
        why: "It makes schemas and tables of its own, and writes only to those.",
        evidence: "The server's words in the message. `tailwater check` lists what is missing.",
        next: "GRANT CREATE ON DATABASE <database> TO <role>; and make the role the owner of tables that were given away. A halted table then needs `tailwater resync`.",
    }
    TARGET_UNFIT = "TW-TGT-005" {
        what: "This server cannot be a target.",
        why: "A target is PostgreSQL 14 or later with encoding UTF8, not a standby and not read-only.",
        evidence: "SHOW server_version; SHOW server_encoding; SELECT pg_is_in_recovery(); SHOW default_transaction_read_only;",
        next: "Name another server or database under `targets`, or mend this one; it is looked at again every 10 s.",
    }
    TARGET_OF_ANOTHER_JOURNAL = "TW-TGT-006" {
        what: "The target was filled from another journal.",
        why: "Its position means nothing in this one: going on could leave changes out. Either the journal was lost and made anew, or another Tailwater writes this target.",
        evidence: "SELECT * FROM _tailwater.positions; in the target, and the journal's epoch in `tailwater status`.",
        next: "If no other Tailwater writes it: tailwater resync TARGET, which takes it over and makes every table equal again from a new copy.",
    }
    TARGET_AHEAD = "TW-TGT-007" {
        what: "The target is ahead of the journal, or has applied other transactions than the journal holds.",
        why: "The journal was restored from an older backup, or lost its end with `journal.sync` off. It gives the same sequences to other transactions, which the target would leave out.",
        evidence: "SELECT * FROM _tailwater.positions; in the target, and the sequence in `tailwater status`.",
        next: "tailwater resync TARGET makes every table equal again from a new copy.",
    }
    TARGET_FENCED = "TW-TGT-008" {
        what: "Somebody else moved the target's position while we were writing.",
        why: "Two Tailwaters on one target would apply changes twice; the second to come stops.",
        evidence: "SELECT * FROM _tailwater.positions; and pg_stat_activity on the target: application_name tailwater/<target>.",
        next: "Stop one of the two. Give it a target name and a schema of its own, then restart.",
    }
    TARGET_RESUME_POINT_GONE = "TW-TGT-009" {
        what: "The journal no longer holds what the target needs next.",
        why: "The target was away, or halted, for longer than `retention` keeps changes. Going on would leave a silent gap.",
        evidence: "The oldest sequence in `tailwater status`; SELECT * FROM _tailwater.positions; in the target.",
        next: "tailwater resync TARGET makes every table equal again from a new copy. Raise `retention.size` if that was too short.",
    }
    TARGET_STATE_UNREADABLE = "TW-TGT-010" {
        what: "What Tailwater keeps in the target's schema _tailwater does not read.",
        why: "A later version wrote it, or somebody changed it by hand. A guess could apply changes twice.",
        evidence: "SELECT * FROM _tailwater.format; SELECT * FROM _tailwater.tables; in the target.",
        next: "Run the version that wrote it. If it was damaged: DROP SCHEMA _tailwater CASCADE; drop the tables it lists, and restart.",
    }
    TARGET_TABLE_CHANGED = "TW-TGT-011" {
        what: "The source's table was altered in a way that is not followed.",
        why: "A column was renamed, dropped or retyped, or the key is another: what that means for the rows that the target has is for a person to say.",
        evidence: "The message names the column. The table is as it was before the change; the others go on.",
        next: "Adapt what reads the table, then: tailwater resync TARGET TABLE, which gives it the new columns and copies it again.",
    }
    TARGET_TABLE_FOREIGN = "TW-TGT-012" {
        what: "A table of that name is there already, and Tailwater did not make it.",
        why: "It would be overwritten.",
        evidence: "\\d SCHEMA.TABLE in the target.",
        next: "Rename or drop it, or set `schema` of the target in the config; then tailwater resync TARGET TABLE.",
    }
    TARGET_NAME_TAKEN = "TW-TGT-013" {
        what: "Two tables would have one name in the target.",
        why: "They would overwrite each other's rows.",
        evidence: "SELECT * FROM _tailwater.tables; in the target names the one that has it.",
        next: "Set `schema` of the target in the config, such as \"{system}_{schema}\", or exclude one of the two; then restart.",
    }
    TARGET_COLUMN_CLASH = "TW-TGT-014" {
        what: "A column of the source has a name that starts with _tailwater_.",
        why: "Tailwater's own columns in the target are called so.",
        evidence: "The message names the column.",
        next: "Rename the column at the source, or exclude the table from the target.",
    }
    TARGET_REFUSES_ROW = "TW-TGT-015" {
        what: "The target does not take a row.",
        why: "It cannot hold the value, or somebody gave the table a constraint that the source does not have. Skipping the row would be lying.",
        evidence: "The message names the column or the constraint; the target's log has more.",
        next: "Drop the constraint in the target, or change the value at the source; then tailwater resync TARGET TABLE.",
    }
    TARGET_TABLE_ALTERED = "TW-TGT-016" {
        what: "The target's table is not as Tailwater made it.",
        why: "It was dropped, or a column, its type or its key was changed there, or something depends on a column that has to go.",
        evidence: "The server's words in the message; \\d SCHEMA.TABLE in the target.",
        next: "Undo the change, or drop what depends on it. If the table is gone: tailwater resync TARGET TABLE makes it again.",
    }
    TARGET_FAULT_UNKNOWN = "TW-TGT-017" {
        what: "The target refused something for a reason that Tailwater does not know.",
        why: "What is not known is tried again with backoff and never skipped.",
        evidence: "The server's words in the message and its log.",
        next: "Read the message; mend what it names on the target.",
    }
    TARGET_PANICKED = "TW-TGT-018" {
        what: "The target's writer stopped because of a bug in Tailwater.",
        why: "Its task panicked. What it had not committed is applied again after a restart, once.",
        evidence: "The panic's place and message on standard error.",
        next: "Restart Tailwater; report the panic if it comes again.",
    }
    TARGET_JOURNAL_UNREADABLE = "TW-TGT-019" {
        what: "The journal cannot be read any further for this target.",
        why: "A record is damaged or missing. Going on behind it would leave changes out.",
        evidence: "The message names the sequence; the server's log has more.",
        next: "Save `data_dir`, then restore a good copy of it, or start a new journal and tailwater resync TARGET.",
    }
    TARGET_NAME_TOO_LONG = "TW-TGT-020" {
        what: "A table's name in the target would be longer than PostgreSQL allows.",
        why: "It would be cut to 63 bytes, and two tables could meet.",
        evidence: "`targets.<name>.schema` in the config.",
        next: "Set a shorter `schema`, and restart.",
    }
    TARGET_CAPTURED = "TW-TGT-021" {
        what: "The target's tables would be captured themselves.",
        why: "Target and system are one database, and the system's patterns select what is written: every change would come back as another one.",
        evidence: "`systems.<name>.tables` and `targets.<name>.schema` in the config.",
        next: "Exclude the target's schema in the system's `tables.exclude`, or name another database.",
    }
    TARGET_RESYNC_WHOLE = "TW-TGT-022" {
        what: "The target as a whole is halted, so single tables cannot be made again.",
        why: "Where it stands in the journal is lost for all of its tables.",
        evidence: "`tailwater status` shows the target's halt.",
        next: "tailwater resync TARGET, without tables.",
    }
    TARGET_UNKNOWN = "TW-TGT-023" {
        what: "There is no such target, or it has no such table.",
        why: "Making something else again would not be what was asked for.",
        evidence: "`tailwater status` lists targets and their tables.",
        next: "Correct the name; tables are system.schema.table, and `*` matches anything.",
    }
    TARGET_BUSY = "TW-TGT-024" {
        what: "The target could not be told now.",
        why: "It is not connected, or at work on something long. Nothing was changed.",
        evidence: "`tailwater status` shows the target's state.",
        next: "Run the command again once the target is reachable.",
    }
    TARGET_SEES_NOTHING = "TW-TGT-025" {
        what: "The entitlements of the target's roles show nothing of a table that is chosen for it.",
        why: "Its changes would pass the target by and leave it looking whole. What was there of it under other entitlements was emptied.",
        evidence: "Tailwater's log says which entitlement gives nothing of the table, and why.",
        next: "Entitle one of its roles to the table and restart, then tailwater resync TARGET TABLE; or take the table out of `tables` of the target.",
    }
}

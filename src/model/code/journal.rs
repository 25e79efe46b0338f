//! Codes of the journal area.

use super::codes;

codes! {
    JOURNAL_DAMAGED = "TW-JRN-001" {
        what: "The journal is damaged.",
        why: "A record is missing, does not read, or does not hash to what the chain of headers says. Going on would lose or invent changes without anyone noticing.",
        evidence: "The message names the sequence and what is wrong with it; the disk's health (`smartctl`, `dmesg`); whether files were copied or restored by hand.",
        next: "Stop Tailwater, keep the directory `journal` in `data_dir` for inspection, and restore it from a copy taken while Tailwater was stopped; without one, move it away and start anew: subscribers are then told that their resume point is gone."
    }
    JOURNAL_FOREIGN = "TW-JRN-002" {
        what: "The directory is not a journal of Tailwater.",
        why: "It holds other files, or a RocksDB store that lacks a journal's identity. Writing into it could destroy someone else's data.",
        evidence: "`ls` of the directory in the message.",
        next: "Set `data_dir` to an empty directory, or to the one that holds the journal."
    }
    JOURNAL_NEWER = "TW-JRN-003" {
        what: "The journal was written by a newer version of Tailwater.",
        why: "Its format has records that this version would misread.",
        evidence: "The message names both format versions; `tailwater --version`.",
        next: "Run the version that wrote it, or a newer one."
    }
    JOURNAL_LOCKED = "TW-JRN-004" {
        what: "Another process has the journal open.",
        why: "Two writers would give one sequence number twice, so the second one is refused.",
        evidence: "`fuser -v` on the file LOCK in the journal's directory.",
        next: "Stop the other Tailwater, or give this one its own `data_dir`."
    }
    JOURNAL_UNOPENABLE = "TW-JRN-005" {
        what: "The journal's directory cannot be created, read or written.",
        why: "The operating system refuses it: permissions, a full or read-only file system, or a failing disk.",
        evidence: "The message ends with the operating system's words.",
        next: "Mend the directory's permissions or file system and start again; nothing was changed."
    }
    JOURNAL_DISK_LOW = "TW-JRN-006" {
        what: "Intake waits because the file system is nearly full.",
        why: "Less than `retention.free_disk` is left. Stopping here keeps the journal writable for acknowledgements and trimming; the sources keep their logs meanwhile.",
        evidence: "`df` on `data_dir`; `tailwater status` shows the bytes left.",
        next: "Free space or lower `retention.size`; intake goes on by itself within a second of there being enough."
    }
    JOURNAL_WRITE_FAILED = "TW-JRN-007" {
        what: "A write to the journal failed, and the journal stopped.",
        why: "After a failed write or sync nobody can know what reached the disk, so nothing is written after it. What was durable stays readable.",
        evidence: "The message ends with the storage engine's words; `dmesg` and the file LOG in the journal's directory.",
        next: "Mend the disk and restart Tailwater: it resumes from the last durable checkpoint."
    }
    JOURNAL_CLOSED = "TW-JRN-008" {
        what: "The journal is closed.",
        why: "Tailwater is stopping; what was not yet durable is read again from the source at the next start.",
        evidence: "The log line that says why Tailwater stops.",
        next: "Nothing, or start Tailwater again with `tailwater run`."
    }
    INTAKE_SUPERSEDED = "TW-JRN-009" {
        what: "A newer connection of this source has taken over its way into the journal.",
        why: "One source has one writer at a time; what the older one had open is forgotten and read again.",
        evidence: "The log lines of this source before the message.",
        next: "Nothing: the newer connection goes on."
    }
    LOCK_FILE_UNWRITABLE = "TW-JRN-010" {
        what: "The lock file with field numbers and message names cannot be written.",
        why: "A number that is handed out before it is recorded could be given to another column after the journal is lost, and clients would misread rows.",
        evidence: "The message names the file and the operating system's words.",
        next: "Make its directory writable, or set `lock_file` in the config to a place that Tailwater may write to."
    }
    LOCK_FILE_UNREADABLE = "TW-JRN-011" {
        what: "The lock file does not read as one.",
        why: "It was edited by hand, merged badly, or written by a newer version; guessing its numbers would renumber clients.",
        evidence: "The message names the file, the place and what is wrong.",
        next: "Restore the file from version control, or move it away: it is written again from the journal."
    }
    LOCK_FILE_DISAGREES = "TW-JRN-012" {
        what: "The lock file and the journal give one number or name two meanings.",
        why: "They belong to different installations or one of them was restored from elsewhere. Clients generated from one would misread rows of the other.",
        evidence: "The message names the table, the number and both meanings.",
        next: "Put the lock file that belongs to this journal in place, set `lock_file` to it, or move the wrong one away: it is written again from the journal."
    }
}

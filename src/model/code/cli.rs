//! Codes of the command line and of the process as a whole.

use super::codes;

codes! {
    CLI_NOT_RUNNING = "TW-CLI-001" {
        what: "No running Tailwater was found for this configuration.",
        why: "A running Tailwater writes its addresses to `endpoints.json` in its data_dir; the file is not there, or nobody answers.",
        evidence: "cat DATA_DIR/endpoints.json; the message holds the system's words.",
        next: "tailwater run --config FILE, or name the configuration of the one that runs.",
    }
    CLI_NO_TOKEN = "TW-CLI-002" {
        what: "There is no token to show to the server.",
        why: "Every call needs a subject. On the same machine it is the operator, whose token only the owner of data_dir can read.",
        evidence: "ls -l DATA_DIR/operator.token",
        next: "Run the command as the user that runs Tailwater, or give --subject NAME with --token-file FILE or TAILWATER_TOKEN.",
    }
    CLI_SERVER_REFUSED = "TW-CLI-003" {
        what: "The server refused the request.",
        why: "Its own words, with a code of their own where there is one, stand in the message.",
        evidence: "The server's log holds a line for the refusal.",
        next: "tailwater explain CODE, with the code in the message.",
    }
    CLI_RESERVED = "TW-CLI-004" {
        what: "An option that has a meaning, but not in this version (no longer given).",
        why: "Ignoring it would show something else than was asked for.",
        evidence: "The message names the option.",
        next: "tailwater COMMAND --help shows what there is.",
    }
    CLI_OUTPUT = "TW-CLI-005" {
        what: "Output could not be written.",
        why: "What was printed may be incomplete, so nothing more is done and nothing is acknowledged.",
        evidence: "The system's words stand in the message.",
        next: "Check the disk or the reading end of the pipe, and run the command again.",
    }
    CLI_BAD_FRAME = "TW-CLI-006" {
        what: "The server sent something that does not decode.",
        why: "The command line and the server are probably of different versions; a guess could show wrong values.",
        evidence: "tailwater --version, and the version in tailwater status.",
        next: "Use the same version on both sides.",
    }
    CLI_UNKNOWN_CODE = "TW-CLI-007" {
        what: "There is no such code.",
        why: "Codes read TW-AREA-NNN and never change their meaning.",
        evidence: "tailwater explain lists them all.",
        next: "tailwater explain",
    }
    APP_DATA_DIR = "TW-CLI-008" {
        what: "The data directory cannot be used.",
        why: "It holds the journal, the operator's token and the secrets of cursors: it must exist, be writable, and be this process's alone.",
        evidence: "ls -ld DATA_DIR; the system's words stand in the message.",
        next: "mkdir -p DATA_DIR && chown USER DATA_DIR && chmod 700 DATA_DIR",
    }
    APP_DATA_DIR_IN_USE = "TW-CLI-009" {
        what: "Another Tailwater is using the data directory.",
        why: "Two processes on one journal would destroy it.",
        evidence: "cat DATA_DIR/endpoints.json names its addresses and process id.",
        next: "Stop the other one first, or give this one a data_dir of its own.",
    }
    APP_LISTEN = "TW-CLI-010" {
        what: "A listener's address cannot be used.",
        why: "Most often another process has the port.",
        evidence: "ss -ltnp | grep PORT",
        next: "Stop the other process, or change server.grpc or server.http in the configuration.",
    }
    APP_STOPPED = "TW-CLI-011" {
        what: "A part of Tailwater stopped that must not stop by itself.",
        why: "Going on without it would look healthy and deliver nothing, so the whole process ends and can be started anew.",
        evidence: "The log lines before this one.",
        next: "Start it again; if it happens again, look up the code in the lines before with tailwater explain CODE.",
    }
    CLI_RESUME_POINT_GONE = "TW-CLI-012" {
        what: "The journal no longer holds the place to resume from.",
        why: "It was trimmed, or this is another journal. Going on would leave a silent gap.",
        evidence: "tailwater status shows the oldest sequence that is held.",
        next: "Take a new copy of the data, then subscribe with --from earliest or --from latest.",
    }
    CLI_BAD_OPTION = "TW-CLI-013" {
        what: "An option's value does not read as one.",
        why: "A guess could do something else than was asked for.",
        evidence: "The message names the option and what is wrong with it.",
        next: "tailwater COMMAND --help shows what the option takes.",
    }
    VERIFY_NOT_PASSED = "TW-CLI-014" {
        what: "The target did not come as far as the source was, so the two cannot be compared.",
        why: "What the target has not applied yet is no difference. It was waited for as long as --wait allows without anything moving, or source or target is halted and will not move.",
        evidence: "tailwater status: the source's checkpoint, the target's sequence, and what is halted.",
        next: "Mend what is halted, or let the target catch up, and verify again; --wait SECONDS waits longer.",
    }
    VERIFY_UNREADABLE = "TW-CLI-015" {
        what: "A database could not be read while it was verified.",
        why: "The connection broke, or the server refused the query, for example because the role may not SELECT from the table.",
        evidence: "The message names the system or target and holds the server's words.",
        next: "Mend what the server says (start it if it is down, GRANT SELECT ON the table TO the role if it refuses), and verify again.",
    }
    VERIFY_SHAPES_DIFFER = "TW-CLI-016" {
        what: "The table is not laid out alike in the source and in the target.",
        why: "A column, or the whole table, is on one side only. Comparing the rest would look like an answer and be none.",
        evidence: "The message names what is missing; \\d TABLE in psql shows each side.",
        next: "If a column was added just now, verify again once it is in the target; else tailwater resync TARGET TABLE.",
    }
    VERIFY_NOT_READY = "TW-CLI-017" {
        what: "The target does not have the table as a whole, so it was not compared.",
        why: "Its copy has not begun or is under way, or the table is halted in the target.",
        evidence: "tailwater status shows the copy, or the code of the halt.",
        next: "Wait until the table is ready. If it is halted: mend what the code in the message says, then tailwater resync TARGET TABLE.",
    }
    VERIFY_NOTHING = "TW-CLI-018" {
        what: "Nothing that the configuration sends to a target is meant by the options of verify.",
        why: "An answer of no differences about nothing would be misleading.",
        evidence: "`targets`, their `tables` and those of the systems in the configuration; the message names what matches nothing.",
        next: "Correct --target or --table: patterns read system.schema.table, and `*` matches anything.",
    }
    VERIFY_DIFFERENCES = "TW-CLI-019" {
        what: "The target's table is not the same as the source's.",
        why: "Each difference was looked at again while the source's row stayed the same and after the target had passed it: it does not pass by itself.",
        evidence: "The report names each row by its key, and the columns that differ; the values are in the two databases.",
        next: "If the source's table has no replica identity (TW-SRC-030), its updates and deletes do not come: give it one. Else find out who wrote to the target beside Tailwater. Then tailwater resync TARGET TABLE makes the table anew from the source.",
    }
    VERIFY_UNSETTLED = "TW-CLI-020" {
        what: "Rows changed so often while they were compared that nothing can be said of them.",
        why: "A row is the same, or different, only when both sides were seen at one state of it; these changed each time in between.",
        evidence: "The report names the rows by their keys.",
        next: "Verify the table again at a quieter time, or with a longer --wait.",
    }
    VERIFY_NOT_CAPTURED = "TW-CLI-021" {
        what: "The configuration selects a table, and no source brings it to the target.",
        why: "It is of a kind that is not captured (an unlogged or foreign table, a sequence of MariaDB), the login may not see it, or the running Tailwater has another configuration. An answer that leaves it out would look like one about everything.",
        evidence: "The message names the reason; tailwater check lists what is not captured.",
        next: "Exclude it in the configuration, or give the login its rights or the table its kind; restart Tailwater if the configuration was changed since it started.",
    }
}

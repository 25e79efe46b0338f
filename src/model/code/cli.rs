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
        what: "An option that has a meaning, but not in this version.",
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
}

//! Codes of the deliver area.

use super::codes;

codes! {
    LISTENER_NOT_LOOPBACK = "TW-DLV-001" {
        what: "A listener's address is not on the loopback interface.",
        why: "Connections are not encrypted yet, so tokens and rows would cross the network in the clear.",
        evidence: "`server.grpc` and `server.http` in the config.",
        next: "Use 127.0.0.1 or [::1], and a tunnel or a TLS proxy on this machine for readers elsewhere.",
    }
    OPERATOR_TOKEN_EXPOSED = "TW-DLV-002" {
        what: "The operator's token file can be read by others, or belongs to another user.",
        why: "Whoever reads it may call every RPC. A token that others could have read no longer proves anything.",
        evidence: "`ls -l` on `operator.token` in `data_dir`: mode 600 and the user that runs `tailwater run` are expected.",
        next: "Delete the file and start again: a new token is made. Keep `data_dir` itself closed to others.",
    }
    OPERATOR_TOKEN_UNUSABLE = "TW-DLV-003" {
        what: "The operator's token file cannot be made or read, or does not hold a token.",
        why: "Without it the command line on this machine cannot prove who it is.",
        evidence: "`operator.token` in `data_dir`: one line of 64 hexadecimal digits; the message names the failing step.",
        next: "Make `data_dir` writable for the user that runs Tailwater, delete a damaged file, and start again.",
    }
    TOKEN_MISSING = "TW-DLV-004" {
        what: "The call carries no bearer token.",
        why: "Every RPC needs a subject, and a token is how a caller names itself.",
        evidence: "The call's metadata: `authorization: Bearer <token>` is expected.",
        next: "Make one with `tailwater token`, put its hash under `subjects` in the config, and send the token with each call.",
    }
    TOKEN_UNKNOWN = "TW-DLV-005" {
        what: "No subject has this token.",
        why: "It was mistyped, replaced, or belongs to another installation.",
        evidence: "`subjects.<name>.token_hash` in the config; the config is read at start only.",
        next: "Compare the hash that `tailwater token` printed with the config, and restart after changing it.",
    }
    RPC_WITHOUT_RULE = "TW-DLV-006" {
        what: "No rule says who may call this RPC, so nobody may.",
        why: "What is not allowed in so many words is refused; a path that does not exist gets the same answer.",
        evidence: "The RPC's path in the message.",
        next: "Check the path against the `.proto` files that `tailwater proto` prints; client and server may differ in version.",
    }
    ROLE_MISSING = "TW-DLV-007" {
        what: "The subject lacks the role that this RPC needs.",
        why: "Reading needs any role at all; status and reflection need the role `admin` or the local operator.",
        evidence: "`subjects.<name>.roles` in the config.",
        next: "Give the subject the role, or make the call with `tailwater` on the server's own machine.",
    }
    NOTHING_ENTITLED = "TW-DLV-008" {
        what: "The subject may read no table at all.",
        why: "Without an `entitlements` section only the local operator reads; with one, each reader needs a role that it names.",
        evidence: "`entitlements` and `subjects.<name>.roles` in the config.",
        next: "Write an entitlement for one of the subject's roles, such as `- {role: analytics, tables: [\"crm.*\"]}`, and restart.",
    }
    REQUEST_INVALID = "TW-DLV-009" {
        what: "The request does not say what it must, or says too much.",
        why: "A guess at what was meant could deliver too much or too little.",
        evidence: "The message names the field and what it allows.",
        next: "Correct the request; the comments in the `.proto` files say what each field takes.",
    }
    TABLE_NOT_FOUND = "TW-DLV-010" {
        what: "There is no such table, or the subject may not see it.",
        why: "The two have one answer, so that a name cannot be probed for. A table is known from its first captured change on.",
        evidence: "`CatalogService.ListTables` names what the subject may see.",
        next: "Correct the name, use a pattern with `*` for tables to come, or ask for an entitlement.",
    }
    CURSOR_UNREADABLE = "TW-DLV-011" {
        what: "The cursor is not one that this journal gave out.",
        why: "It was cut, changed or made up. Guessing a place near it could skip changes.",
        evidence: "The cursor as the client keeps it: 110 characters without spaces, 88 of an earlier version.",
        next: "Use the cursor of the last applied `Commit`, or start from `earliest` and take a new copy.",
    }
    RESUME_POINT_GONE = "TW-DLV-012" {
        what: "The journal cannot continue from there: it was trimmed, or it is another journal, or an older backup of it.",
        why: "Going on from elsewhere would leave a gap that nobody sees. An older backup gives the same sequences to other transactions once it has grown.",
        evidence: "The frame `ResumePointGone` says which, and the oldest sequence held. `tailwater status` shows the bounds.",
        next: "Take a new copy and start from `earliest`; for a durable subscription say so with `accept_gap` (`tailwater subscribe --accept-gap`). Raise `retention` if readers need longer.",
    }
    CURSOR_AHEAD = "TW-DLV-013" {
        what: "The acknowledged cursor lies beyond what the journal holds.",
        why: "Only what was delivered can be acknowledged: the journal may have been restored from an older backup.",
        evidence: "`journal.sequence` in `tailwater status`.",
        next: "Find out which `data_dir` runs. If it is an older backup, take a new copy and start from `earliest`.",
    }
    SUBSCRIPTION_BUSY = "TW-DLV-014" {
        what: "The durable subscription already has a live stream.",
        why: "Two readers of one subscription would each apply changes and acknowledge for the other.",
        evidence: "`subscriptions` in `tailwater status`.",
        next: "Stop the other reader, or subscribe with `takeover` to end its stream.",
    }
    SUBSCRIPTION_TAKEN_OVER = "TW-DLV-015" {
        what: "Another stream took this durable subscription over.",
        why: "It was asked for with `takeover`; one subscription has one live stream.",
        evidence: "`subscriptions` in `tailwater status`, and the other reader's log.",
        next: "Nothing, if the other reader is the new one. Otherwise give the two readers names of their own.",
    }
    SUBSCRIPTION_NOT_FOUND = "TW-DLV-016" {
        what: "The subject has no durable subscription of this name.",
        why: "A subscription belongs to the subject that created it; a name that another subject holds cannot be used.",
        evidence: "`subscriptions` in `tailwater status`.",
        next: "Subscribe with the name first, with the same subject, or choose another name.",
    }
    SUBSCRIPTIONS_EXHAUSTED = "TW-DLV-017" {
        what: "There are as many subscriptions as are allowed.",
        why: "Each one costs memory; the limit keeps one client from starving the rest.",
        evidence: "`server.limits.subscriptions` for live ones; a subject may own 1,024 durable ones.",
        next: "Close streams that nobody reads, or raise the limit and restart.",
    }
    SERVER_STOPPING = "TW-DLV-018" {
        what: "The server is shutting down.",
        why: "Streams end at a transaction's end, so that the last cursor is complete.",
        evidence: "The server's log.",
        next: "Reconnect with the last cursor; nothing is lost.",
    }
    CHANGES_UNREADABLE = "TW-DLV-019" {
        what: "Stored changes cannot be read, so they cannot be checked against what the subject may see.",
        why: "Sending what cannot be checked could leak, skipping it would leave a gap.",
        evidence: "The message names the sequence; the server's log has more.",
        next: "Save `data_dir`, then restore a good copy of it or start a new journal and take new copies.",
    }
    ENTITIES_NOT_OFFERED = "TW-DLV-020" {
        what: "The request names entities, and none are defined.",
        why: "Entities come from contracts; this server delivers tables.",
        evidence: "`contracts` in the config.",
        next: "Subscribe to tables, such as `crm.creme.*`.",
    }
    CONNECTIONS_EXHAUSTED = "TW-DLV-021" {
        what: "A connection was closed at once, as there are as many as are allowed.",
        why: "Each one costs memory; the limit keeps one client from starving the rest.",
        evidence: "`server.limits.connections`, and `ss -tn` on this machine.",
        next: "Find who opens them; one connection carries many streams. Raise the limit if they are wanted.",
    }
    JOURNAL_UNAVAILABLE = "TW-DLV-022" {
        what: "The journal accepts nothing any more.",
        why: "A write failed or it is being closed, so what was asked for cannot be made durable.",
        evidence: "`tailwater status` and the server's log name the first failure.",
        next: "Mend what the log names, such as a full disk, and restart Tailwater.",
    }
    LISTENER_FAILED = "TW-DLV-023" {
        what: "The gRPC listener cannot be opened.",
        why: "The address is in use or not this machine's.",
        evidence: "`server.grpc` in the config; `ss -ltnp` shows who has the port.",
        next: "Stop the other process or choose another port, and start again.",
    }
    TABLE_OUT_OF_SIGHT = "TW-DLV-024" {
        what: "A table that the stream showed changed so that the subject may see nothing of it any more.",
        why: "Its changes would pass by unsaid, and whoever has its rows would take them for current.",
        evidence: "The message names the table; Tailwater's log says which entitlement gives nothing of it, and why.",
        next: "Correct the entitlement, or the table (REPLICA IDENTITY FULL for `rows`), and restart; or subscribe without the table.",
    }
}

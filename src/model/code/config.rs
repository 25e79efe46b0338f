//! Codes of the config area.

use super::codes;

codes! {
    CONFIG_UNREADABLE = "TW-CFG-001" {
        what: "The configuration file cannot be read.",
        why: "Without its configuration Tailwater does not know what it may touch, so it starts nothing.",
        evidence: "The system's own words stand behind the path in the message.",
        next: "ls -l FILE; name another file with --config FILE.",
    }
    CONFIG_NOT_FOUND = "TW-CFG-002" {
        what: "No configuration file was found.",
        why: "Without --config, `tailwater.yaml` in the working directory and then `/etc/tailwater/tailwater.yaml` are tried.",
        evidence: "The message names the places that were looked at.",
        next: "tailwater run --config FILE; `config/tailwater.yaml` in the sources is an annotated example to start from.",
    }
    CONFIG_NOT_UTF8 = "TW-CFG-003" {
        what: "The configuration file is not UTF-8 text.",
        why: "Names of tables and columns must be read exactly, so no encoding is guessed.",
        evidence: "The place is that of the first byte that is not UTF-8.",
        next: "iconv -f ISO-8859-1 -t UTF-8 FILE > FILE.utf8, and use that.",
    }
    CONFIG_SYNTAX = "TW-CFG-004" {
        what: "The configuration file is not valid YAML.",
        why: "Nothing after a syntax error can be trusted, so only the first one is shown.",
        evidence: "The place is where the parser stopped; the cause may stand in the line above.",
        next: "Look at indentation (spaces, no tabs) and at quotes and brackets before that place.",
    }
    CONFIG_UNKNOWN_KEY = "TW-CFG-005" {
        what: "A key that has no meaning here.",
        why: "A misspelt key that is passed over would leave its default in force, unseen.",
        evidence: "The message names the key, and the nearest known one.",
        next: "Correct or remove the key; the examples in `config/` show every key.",
    }
    CONFIG_LATER = "TW-CFG-006" {
        what: "A key or value that has a meaning, but not in this version.",
        why: "Ignoring it would promise something that does not happen, such as a mask that masks nothing.",
        evidence: "The message names the key or value.",
        next: "Remove or change it as the message says, or use a version that knows it: tailwater --version.",
    }
    CONFIG_MISSING_KEY = "TW-CFG-007" {
        what: "A key that must be given is missing.",
        why: "There is no default that would be right for everybody.",
        evidence: "The place is that of the section in which the key belongs.",
        next: "Add the key; the examples in `config/` show every key.",
    }
    CONFIG_DUPLICATE = "TW-CFG-008" {
        what: "Something was given twice.",
        why: "One of the two would win silently.",
        evidence: "The message names the line of the first.",
        next: "Remove one of the two.",
    }
    CONFIG_WRONG_KIND = "TW-CFG-009" {
        what: "A value is of the wrong kind, such as a list where text belongs.",
        why: "Values are not converted by guessing: `no` could be a word or a truth value.",
        evidence: "The message says what was found and what is needed.",
        next: "Write the value as the message says.",
    }
    CONFIG_WRONG_VALUE = "TW-CFG-010" {
        what: "A value is not one of those allowed, or is out of its bounds.",
        why: "Bounds keep a slip of the keyboard from becoming an outage.",
        evidence: "The message says what was found and what is allowed.",
        next: "Choose a value within the bounds; the examples in `config/` give each option's unit and bounds.",
    }
    CONFIG_VERSION = "TW-CFG-011" {
        what: "The configuration is written for another version of the format.",
        why: "Keys may mean something else there.",
        evidence: "This Tailwater reads `version: 1`.",
        next: "Use the Tailwater that the file was written for, or write `version: 1` and check the file with it.",
    }
    CONFIG_BAD_NAME = "TW-CFG-012" {
        what: "A name that cannot be used.",
        why: "Names of systems become protobuf packages and metric labels, names of slots live in the database: each has rules.",
        evidence: "The message says which rule.",
        next: "Choose another name. Do it before the first start: a system's name is part of every event.",
    }
    CONFIG_LITERAL_SECRET = "TW-CFG-013" {
        what: "A password stands in the configuration itself.",
        why: "Configuration files are copied, mailed and committed; passwords must not travel with them.",
        evidence: "The place is that of the password.",
        next: "password: {env: NAME} or password: {file: PATH}; and change the password, since it was written down.",
    }
    CONFIG_SECRET_MISSING = "TW-CFG-014" {
        what: "A password's environment variable is not set, or its file cannot be read or is empty.",
        why: "Passwords are read once, at start, so that a missing one is found now and not at the next reconnect.",
        evidence: "The message names the variable or the file.",
        next: "Set the variable in the service's environment, or write the password alone into the file that `password: {file: PATH}` names.",
    }
    CONFIG_UNKNOWN_ROLE = "TW-CFG-015" {
        what: "A role that `roles` does not list.",
        why: "A misspelt role would give a subject nothing, or an entitlement nobody, without anyone noticing.",
        evidence: "The message names the role, and the nearest known one.",
        next: "Correct the name, or add it to `roles`.",
    }
    CONFIG_NOT_LOOPBACK = "TW-CFG-016" {
        what: "A listener on an address that other machines can reach.",
        why: "This version has no TLS for its own listeners; tokens and data would cross the network in the clear.",
        evidence: "The place is that of the address.",
        next: "Listen on 127.0.0.1 or [::1]; let other machines in through a TLS proxy or an SSH tunnel on this one.",
    }
    CONFIG_TOKEN_HASH = "TW-CFG-017" {
        what: "A `token_hash` that is not the hash of a token.",
        why: "Only hashes are kept, so that the configuration lets nobody in.",
        evidence: "It reads `sha256:` and 64 hexadecimal digits.",
        next: "tailwater token --subject NAME makes a token and prints both.",
    }
    CONFIG_NO_ROLES = "TW-CFG-018" {
        what: "A subject or a target without roles, although there are entitlements, or without an attribute that a role's rows need.",
        why: "With entitlements only roles decide what is seen; a subject without one would see nothing, unexplained.",
        evidence: "The place is that of the subject.",
        next: "Give it roles: [NAME], or remove it.",
    }
    CONFIG_NOTHING_SELECTED = "TW-CFG-019" {
        what: "A pattern, or a whole selection, that can match no table.",
        why: "It would leave tables out that somebody counts on.",
        evidence: "Inside a system names are `schema.table`; for subjects they are `system.schema.table`. `*` matches anything.",
        next: "Write the pattern with all its parts, such as public.orders, public.* or erp.public.*",
    }
    CONFIG_TOO_LARGE = "TW-CFG-020" {
        what: "The configuration file is larger than 1 MiB.",
        why: "No configuration is; another file was probably meant.",
        evidence: "ls -l FILE shows the size.",
        next: "Name the right file with --config FILE.",
    }
    CONFIG_RAW_COPY = "TW-CFG-021" {
        what: "An entitlement on tables that does not say `columns: all`, and no contract that says who owns what.",
        why: "It gives whole rows as they are, so whoever reads the configuration must be able to see that it does.",
        evidence: "The place is that of the entitlement.",
        next: "Add `columns: all` if a raw copy is meant, or `contracts`: without `columns` a role sees what the table's system owns.",
    }
    CONFIG_UNKNOWN_NAME = "TW-CFG-022" {
        what: "A contract, or something that refers to one, names what is nowhere defined.",
        why: "A field of a misspelt system, join or field would stay empty, and nobody would be told.",
        evidence: "The message names it, and the nearest known name.",
        next: "Correct the name, or define it.",
    }
    CONFIG_CONTRACT = "TW-CFG-023" {
        what: "A contract that contradicts itself.",
        why: "Ownership has to be certain: each field has one owner, who has a column for each of its parts.",
        evidence: "The message says what does not fit together.",
        next: "Correct the contract at the place that the message names.",
    }
}

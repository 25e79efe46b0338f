//! Entities: contracts applied to the changes of their tables.

use super::codes;

codes! {
    ENTITY_MISFIT = "TW-GOV-001" {
        what: "a table does not fit the contract of an entity",
        why: "Without the column, the key or the kind of value that the contract speaks of, fields would be empty or guessed. The entity halts; the tables themselves go on.",
        evidence: "The message names the table and what is missing. tailwater status shows which entity is halted.",
        next: "Correct the contract, or put the column back, and restart Tailwater: the entity is made again from new copies of its tables.",
    }
    ENTITY_ROW_UNKNOWN = "TW-GOV-002" {
        what: "an update came for a row that is not known here",
        why: "The source leaves out large columns that did not change, and the image that has them is not here; an entity made without them would lack values.",
        evidence: "The message names the table and the row's key.",
        next: "Restart Tailwater: the entity is made again from new copies of its tables. If it happens again, report it.",
    }
    ENTITY_JOURNAL_UNREADABLE = "TW-GOV-003" {
        what: "what the journal holds for an entity cannot be read",
        why: "The bytes are damaged or of another version.",
        evidence: "The message says what does not read. The journal checks its own chain when Tailwater starts.",
        next: "Restart Tailwater: the entity is made again from new copies of its tables.",
    }
    ENTITY_ID_UNFIT = "TW-GOV-004" {
        what: "the key of an entity's root has no plain text",
        why: "It becomes the id by which a system knows the entity, and only whole numbers, texts and UUIDs are one.",
        evidence: "The message names the table.",
        next: "Choose another root in the contract, and restart Tailwater.",
    }
    GOVERN_BEHIND = "TW-GOV-005" {
        what: "retention took transactions that entities were not made of yet",
        why: "The contracts were switched off for longer than `retention` keeps, or an older backup of data_dir came back.",
        evidence: "The message says from where on the journal still has transactions.",
        next: "Nothing: every entity is made again from new copies of its tables.",
    }
    GOVERN_PANICKED = "TW-GOV-006" {
        what: "the making of entities ended by an error of Tailwater's own",
        why: "It is not tried again, so that it cannot do harm twice. Sources, subscribers and raw copies go on.",
        evidence: "Standard error holds the panic's message and place.",
        next: "Restart Tailwater, and report what standard error says.",
    }
}

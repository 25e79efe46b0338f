//! What a target knows of itself, in its schema `_tailwater`: how far it is, and how each of its tables stands.
//!
//! Everything here changes in the transaction that changes the rows. Where a target stands is a row for each of its systems,
//! (epoch, sequence, history), locked and compared before a batch and moved with it: a second Tailwater finds another sequence
//! than its own, and stops. `resync` and the humans' questions read the same tables. Surprise: the column `history` begins with
//! the sequence that it belongs to, as an earlier version moves the sequence and leaves the history behind.

use super::connection::Target as Connection;
use super::failure::Failure;
use super::table::{Source, State, Table};
use crate::model::code::{self, Code};
use crate::model::name::{SystemName, TableName};
use crate::model::position::{Epoch, Reached, Sequence};
use crate::model::problem::Problem;
use crate::source::postgres::{Fault, Row, literal};

/// Raised when an older version would misread what this one writes.
const FORMAT: u32 = 1;

const MAKE: &str = "CREATE SCHEMA IF NOT EXISTS _tailwater; \
     CREATE TABLE IF NOT EXISTS _tailwater.format (version int NOT NULL); \
     CREATE TABLE IF NOT EXISTS _tailwater.positions (target text, system text, epoch text NOT NULL, \
         sequence bigint NOT NULL, moved_at timestamptz NOT NULL DEFAULT now(), history text, \
         PRIMARY KEY (target, system)); \
     CREATE TABLE IF NOT EXISTS _tailwater.tables (target_schema text, target_table text, target text NOT NULL, \
         system text NOT NULL, source_schema text NOT NULL, source_table text NOT NULL, state text NOT NULL, \
         copy_after bigint NOT NULL, copy_begin bigint NOT NULL, sweep boolean NOT NULL, shape text, halt_code text, \
         halt_message text, PRIMARY KEY (target_schema, target_table), \
         UNIQUE (target, system, source_schema, source_table)); \
     INSERT INTO _tailwater.format SELECT 1 WHERE NOT EXISTS (SELECT FROM _tailwater.format)";

/// Made by a version that kept no history.
const LACKS_HISTORY: &str = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute \
     WHERE attrelid = '_tailwater.positions'::regclass AND attname = 'history' AND NOT attisdropped)";
const ADD_HISTORY: &str = "ALTER TABLE _tailwater.positions ADD COLUMN IF NOT EXISTS history text";

/// How far a target is with one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub system: SystemName,
    /// 32 hexadecimal digits.
    pub epoch: String,
    pub reached: Reached,
}

/// What is kept for one target.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Kept {
    pub positions: Vec<Position>,
    pub tables: Vec<Table>,
}

/// Makes what is missing, and reads what is there.
///
/// # Errors
/// [`Failure::Halt`] for what a later version wrote; those of the connection.
pub async fn open(connection: &mut Connection, target: &SystemName) -> Result<Kept, Failure> {
    let exists = connection.query("SELECT 1 WHERE to_regclass('_tailwater.format') IS NOT NULL").await?;
    if exists.is_empty() {
        connection.query(MAKE).await?;
    }
    let rows = connection.query("SELECT max(version) FROM _tailwater.format").await?;
    let version: Option<u32> = rows.first().map(|row| row.parse(0)).transpose()?.flatten();
    match version {
        Some(FORMAT) => {
            if !connection.query(LACKS_HISTORY).await?.is_empty() {
                connection.query(ADD_HISTORY).await?;
            }
            read(connection, target).await
        }
        Some(newer) => {
            Err(unreadable(format!("its schema _tailwater has format {newer}, this version knows {FORMAT}")))
        }
        None => Err(unreadable("its schema _tailwater has no format".to_owned())),
    }
}

fn unreadable(message: String) -> Failure {
    Failure::Halt(Problem::new(code::TARGET_STATE_UNREADABLE, message))
}

async fn read(connection: &mut Connection, target: &SystemName) -> Result<Kept, Failure> {
    let ours = format!("WHERE target = {}", literal(target.as_str()));
    // A commit of a session before this one may still be on its way: the lock waits for it.
    let locked = connection.query(&format!("BEGIN; {}", lock(target))).await?;
    let positions = standing(&locked)?;
    let sql = format!(
        "SELECT system, source_schema, source_table, target_schema, target_table, state, copy_after, copy_begin, sweep, \
         shape, halt_code, halt_message FROM _tailwater.tables {ours} ORDER BY 1, 2, 3"
    );
    let tables = connection.query(&sql).await?.iter().map(table).collect::<Result<_, Failure>>()?;
    connection.query("COMMIT").await?;
    Ok(Kept { positions, tables })
}

fn system(row: &Row) -> Result<SystemName, Failure> {
    let name: String = row.some(0)?;
    SystemName::recorded(&name).map_err(|_| unreadable(format!("its schema _tailwater names a system {name:?}")))
}

fn position(row: &Row) -> Result<Position, Failure> {
    let sequence = Sequence(row.some(2)?);
    let noted = row.text(3).and_then(|text| text.split_once(':'));
    let history = match noted {
        Some((at, history)) if at == sequence.to_string() => Some(
            history
                .parse()
                .map_err(|_| unreadable("its schema _tailwater holds a history that does not read".into()))?,
        ),
        _ => None,
    };
    Ok(Position { system: system(row)?, epoch: row.some(1)?, reached: Reached { sequence, history } })
}

/// The column `history`.
fn noted(Reached { sequence, history }: Reached) -> String {
    history.map_or_else(|| "NULL".to_owned(), |history| format!("'{sequence}:{history}'"))
}

fn table(row: &Row) -> Result<Table, Failure> {
    let text = |column| row.some::<String>(column);
    let source = Source { system: system(row)?, name: TableName::new(&text(1)?, &text(2)?) };
    let strange = |what: &str| unreadable(format!("its schema _tailwater holds {what} of {source} that does not read"));
    let state = match (text(5)?.as_str(), row.text(10), row.text(11)) {
        ("waiting", ..) => State::Waiting,
        ("refilling", ..) => State::Refilling,
        ("copying", ..) => State::Copying,
        ("ready", ..) => State::Ready,
        ("halted", Some(code), message) => {
            let code = Code::find(code).unwrap_or(code::TARGET_TABLE_ALTERED);
            State::Halted(Problem::new(code, message.unwrap_or_default()))
        }
        _ => return Err(strange("a state")),
    };
    let shape = row.text(9).map(serde_json::from_str).transpose().map_err(|_| strange("a shape"))?;
    Ok(Table {
        name: TableName::new(&text(3)?, &text(4)?),
        state,
        copy_after: Sequence(row.some(6)?),
        copy_begin: Sequence(row.some(7)?),
        sweep: row.is_true(8),
        shape,
        source,
    })
}

/// Locks where the target stands; gives it as text to compare with [`standing`].
pub fn lock(target: &SystemName) -> String {
    format!(
        "SELECT system, epoch, sequence, history FROM _tailwater.positions WHERE target = {} FOR UPDATE",
        literal(target.as_str())
    )
}

/// What the answer to [`lock`] says.
///
/// # Errors
/// Those of [`open`].
pub fn standing(rows: &[Row]) -> Result<Vec<Position>, Failure> {
    rows.iter().map(position).collect()
}

/// Moves every system of the target.
pub fn move_to(target: &SystemName, reached: Reached) -> String {
    let (sequence, history) = (reached.sequence, noted(reached));
    format!(
        "UPDATE _tailwater.positions SET sequence = {sequence}, history = {history}, moved_at = now() WHERE target = {}",
        literal(target.as_str())
    )
}

/// For a place that an earlier version noted, unless it has moved since.
pub fn note_history(target: &SystemName, reached: Reached) -> String {
    let (sequence, history) = (reached.sequence, noted(reached));
    format!(
        "UPDATE _tailwater.positions SET history = {history} WHERE target = {} AND sequence = {sequence}",
        literal(target.as_str())
    )
}

/// Gives a system its first position, or, taken over from another journal, its new one.
pub fn set_position(target: &SystemName, system: &SystemName, epoch: Epoch, reached: Reached) -> String {
    let (target, system) = (literal(target.as_str()), literal(system.as_str()));
    let (sequence, history) = (reached.sequence, noted(reached));
    format!(
        "INSERT INTO _tailwater.positions (target, system, epoch, sequence, history) \
         VALUES ({target}, {system}, '{epoch}', {sequence}, {history}) \
         ON CONFLICT (target, system) DO UPDATE SET epoch = EXCLUDED.epoch, sequence = EXCLUDED.sequence, \
         history = EXCLUDED.history, moved_at = now()"
    )
}

/// Writes a table's record. Changes nothing where another table, or another target, has the name: then no row comes back.
pub fn put_table(target: &SystemName, table: &Table) -> Result<String, serde_json::Error> {
    let text = |text: Option<&str>| text.map_or("NULL".to_owned(), literal);
    let shape = table.shape.as_ref().map(serde_json::to_string).transpose()?;
    let (code, message) = match &table.state {
        State::Halted(problem) => (Some(problem.code.as_str()), Some(problem.message.replace('\0', ""))),
        _ => (None, None),
    };
    let values = [
        text(Some(&table.name.schema)),
        text(Some(&table.name.table)),
        text(Some(target.as_str())),
        text(Some(table.source.system.as_str())),
        text(Some(&table.source.name.schema)),
        text(Some(&table.source.name.table)),
        text(Some(table.state.word())),
        table.copy_after.to_string(),
        table.copy_begin.to_string(),
        table.sweep.to_string(),
        text(shape.as_deref()),
        text(code),
        text(message.as_deref()),
    ];
    Ok(format!(
        "INSERT INTO _tailwater.tables AS k (target_schema, target_table, target, system, source_schema, source_table, \
         state, copy_after, copy_begin, sweep, shape, halt_code, halt_message) VALUES ({}) \
         ON CONFLICT (target_schema, target_table) DO UPDATE SET state = EXCLUDED.state, \
         copy_after = EXCLUDED.copy_after, copy_begin = EXCLUDED.copy_begin, sweep = EXCLUDED.sweep, \
         shape = EXCLUDED.shape, halt_code = EXCLUDED.halt_code, halt_message = EXCLUDED.halt_message \
         WHERE (k.target, k.system, k.source_schema, k.source_table) = \
         (EXCLUDED.target, EXCLUDED.system, EXCLUDED.source_schema, EXCLUDED.source_table) RETURNING 1",
        values.join(", ")
    ))
}

/// Who has the name of a table in the target.
///
/// # Errors
/// Those of the connection.
pub async fn holder(connection: &mut Connection, name: &TableName) -> Result<Option<String>, Fault> {
    let sql = format!(
        "SELECT concat_ws('.', target || ': ' || system, source_schema, source_table) FROM _tailwater.tables \
         WHERE target_schema = {} AND target_table = {}",
        literal(&name.schema),
        literal(&name.table)
    );
    Ok(connection.query(&sql).await?.first().and_then(|row| row.text(0).map(str::to_owned)))
}

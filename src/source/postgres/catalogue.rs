//! Tables as the server's catalogue describes them, before their first change comes through the stream.
//!
//! Only for tables that the journal does not know yet, so that they can be named, printed and subscribed to from the start.
//! Afterwards the stream's Relation messages alone decide: they are as old as the rows they describe, the catalogue is not.

use super::fault::Fault;
use super::simple_query::{Connection, Row, literal};
use crate::decode::postgres::message::{Relation, RelationColumn};
use crate::decode::postgres::types::{self, TypeNames};
use crate::model::name::TableName;
use crate::model::schema::TableShape;

/// What a Relation message would carry. A domain is described by its base type, as a Type message does; columns that
/// are generated are left out, as version 15 leaves them out.
const COLUMNS: &str = "SELECT c.oid, c.relreplident, a.attname, a.atttypid, a.atttypmod, bn.nspname, b.typname, \
     EXISTS (SELECT 1 FROM pg_catalog.pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         WHERE i.indrelid = c.oid AND k.attnum = a.attnum AND k.place <= i.indnkeyatts \
         AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary AND i.indimmediate END) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
     CROSS JOIN LATERAL (WITH RECURSIVE base AS ( \
         SELECT t.* FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid \
         UNION ALL SELECT t.* FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd') \
         SELECT * FROM base WHERE typtype <> 'd') b \
     JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace";

/// The table's shape now; `None` when it is gone.
///
/// # Errors
/// Those of the connection.
pub async fn shape(connection: &mut Connection, table: &TableName) -> Result<Option<TableShape>, Fault> {
    let (schema, name) = (literal(&table.schema), literal(&table.table));
    let sql = format!("{COLUMNS} WHERE n.nspname = {schema} AND c.relname = {name} ORDER BY a.attnum");
    let rows = connection.query(&sql).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut names = TypeNames::default();
    for row in &rows {
        names.learn(row.some(3)?, text(row, 5)?, text(row, 6)?);
    }
    let relation = Relation {
        id: first.some(0)?,
        schema: &table.schema,
        table: &table.table,
        replica_identity: text(first, 1)?.bytes().next().unwrap_or_default(),
        columns: rows.iter().map(column).collect::<Result<_, Fault>>()?,
    };
    Ok(Some(types::shape(&relation, &names, None)))
}

fn column(row: &Row) -> Result<RelationColumn<'_>, Fault> {
    Ok(RelationColumn { name: text(row, 2)?, key: row.is_true(7), type_oid: row.some(3)?, modifier: row.some(4)? })
}

fn text(row: &Row, column: usize) -> Result<&str, Fault> {
    row.text(column).ok_or(Fault::Protocol("a column without a description"))
}

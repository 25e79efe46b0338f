//! Entities on the wire: their type, their rows, and what changed of them.

use super::Fault;
use super::cell::Cell;
use super::crosswalk::Crosswalk;
use super::plan::Plan;
use super::record::One;
use super::rule::Rule;
use crate::model::code;
use crate::model::problem::Problem;
use crate::model::schema::{ColumnShape, Identity, TableSchema, TableShape};
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::api::v1::{Change, FieldSet, Op};
use std::collections::BTreeMap;

/// The column of our own id, which is the key.
const ID: &str = "id";

/// A row of an entity, in the order of its columns. `None` for null.
pub type EntityRow = Vec<Option<Cell>>;

/// What an entity's rows look like. `plan`: the version of a table that its parts are of.
///
/// # Errors
/// An owner's table does not fit.
pub fn shape(
    rule: &Rule,
    mut plan: impl FnMut(u8) -> Result<std::sync::Arc<Plan>, Fault>,
) -> Result<TableShape, Fault> {
    let text = |name: &str, key| ColumnShape {
        name: name.into(),
        value_type: ValueType::Scalar(Scalar::String),
        declared_type: "text".into(),
        key,
    };
    let id =
        ColumnShape { value_type: ValueType::Scalar(Scalar::Int64), declared_type: "bigint".into(), ..text(ID, true) };
    let mut columns = vec![id];
    columns.extend(rule.systems.iter().filter_map(|system| rule.entity.ids.get(system)).map(|name| text(name, false)));
    for part in &rule.parts {
        let Some(mapped) = &part.mapped[usize::from(part.owner)] else { continue };
        let table = match &mapped.join {
            None => rule.root(part.owner),
            Some(name) => rule.joins(part.owner).find(|(_, join, _)| join == name).map_or(0, |(number, ..)| number),
        };
        let plan = plan(table)?;
        let column = plan.schema.columns.iter().find(|column| *column.shape.name == *mapped.column);
        let Some(column) = column else {
            let message = format!("{}: it has no column {}", plan.schema.full_name(), mapped.column);
            return Err(Problem::new(code::ENTITY_MISFIT, message).into());
        };
        let is_text = column.shape.value_type == ValueType::Scalar(Scalar::String);
        // A text written another way may be longer than its column.
        let free = is_text && !rule.entity.fields[part.field].normalise.is_empty();
        let declared_type = if free { "text".into() } else { column.shape.declared_type.clone() };
        let value_type = column.shape.value_type;
        columns.push(ColumnShape { name: part.column.as_str().into(), value_type, declared_type, key: false });
    }
    let origin = rule.entity.fingerprint().into();
    Ok(TableShape { name: rule.name(), identity: Identity::Full, columns, origin })
}

/// A row as it is now. `None`: there is no such entity.
///
/// # Errors
/// A note does not read.
pub fn row(crosswalk: &Crosswalk<'_>, id: u64, one: &One) -> Result<Option<EntityRow>, Fault> {
    if one.roots.is_empty() {
        return Ok(None);
    }
    let rule = crosswalk.rule;
    let mut sides = BTreeMap::new();
    for root in &one.roots {
        // As it was written.
        let source = u8::try_from(root.source).unwrap_or_default();
        if let Some(side) = crosswalk.side(source, &root.key)? {
            sides.insert(source, side);
        }
    }
    let mut row = vec![Some(Cell::of_number(id))];
    for (source, system) in (0..).zip(&rule.systems) {
        let prefix = rule.entity.sources.get(system).map(|source| source.id_prefix.as_str()).unwrap_or_default();
        row.push(sides.get(&source).map(|side| Cell::of_text(&format!("{prefix}{}", side.key))));
    }
    for (place, part) in rule.parts.iter().enumerate() {
        let cell = sides.get(&part.owner).and_then(|side| side.cells.get(place)?.cell.clone());
        row.push(cell.map(Cell));
    }
    Ok(Some(row))
}

/// What became of a row. `None`: nothing that anybody sees.
pub fn change(schema: &TableSchema, before: Option<&EntityRow>, after: Option<&EntityRow>) -> Option<Change> {
    let (op, updated) = match (before, after) {
        (None, Some(_)) => (Op::Insert, None),
        (Some(_), None) => (Op::Delete, None),
        (Some(before), Some(after)) => {
            let pairs = before.iter().zip(after).zip(&schema.columns);
            let fields: Vec<u32> =
                pairs.filter(|((before, after), _)| before != after).map(|(_, column)| column.number).collect();
            if fields.is_empty() {
                return None;
            }
            (Op::Update, Some(FieldSet { fields }))
        }
        (None, None) => return None,
    };
    let message = |row: &EntityRow| encode(schema, row).into();
    Some(Change {
        schema_id: schema.id.0,
        op: op.into(),
        after: after.map(message),
        before: before.map(message),
        updated,
        ..Default::default()
    })
}

/// A row as a copy reads it.
pub fn read(schema: &TableSchema, row: &EntityRow) -> Change {
    let after = Some(encode(schema, row).into());
    Change { schema_id: schema.id.0, op: Op::Read.into(), after, ..Default::default() }
}

fn encode(schema: &TableSchema, row: &EntityRow) -> Vec<u8> {
    let mut message = Vec::new();
    for (column, cell) in schema.columns.iter().zip(row) {
        if let Some(cell) = cell {
            cell.put(column.number, &mut message);
        }
    }
    message
}

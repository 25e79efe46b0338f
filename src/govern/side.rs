//! A side: what one system says of an entity, put together from its root and the rows that hang on it.

use super::Fault;
use super::cell::Cell;
use super::images::{Image, Images};
use super::note::last_parts;
use super::record::{Side, SideCell};
use crate::config::{Join, MappedColumn};
use crate::model::code;
use crate::model::problem::Problem;
use std::collections::BTreeMap;

impl Images<'_> {
    /// Without its id. `None`: there is no such root.
    pub fn side(&mut self, source: u8, root: &[u8]) -> Result<Option<Side>, Fault> {
        let Some(image) = self.get(self.rule.root(source), root)? else { return Ok(None) };
        let rule = self.rule;
        let mut joined = BTreeMap::new();
        for (number, name, join) in rule.joins(source) {
            joined.extend(self.first(number, join, &image)?.map(|first| (name, first)));
        }
        let mut cells = Vec::with_capacity(rule.parts.len());
        for part in &rule.parts {
            let cell = match &part.mapped[usize::from(source)] {
                Some(mapped) => mapped_cell(mapped, &image, &joined)?,
                None => None,
            };
            let normalise = &rule.entity.fields[part.field].normalise;
            let cell = cell.map(|(cell, value_type)| (cell.normalised(value_type, normalise), value_type));
            let same = cell.as_ref().map(|(cell, value_type)| cell.plain(*value_type));
            cells.push(SideCell { cell: cell.map(|(cell, _)| cell.0), same });
        }
        Ok(Some(Side { id: 0, key: self.key_text(source, &image)?, cells }))
    }

    /// The first of the rows that a root joins.
    fn first(&mut self, table: u8, join: &Join, root: &Image) -> Result<Option<Image>, Fault> {
        let on = root.plan.joined_on(&root.row, join.on.iter().map(|(_, root)| root.as_str()))?;
        let Some(on) = on else { return Ok(None) };
        let prefix = self.names.children(table, &on);
        let mut first: Option<(Order, Image)> = None;
        for (name, _) in self.memory.list(&prefix)? {
            let Some([key]) = last_parts::<1>(&name, &prefix) else { continue };
            let Some(image) = self.get(table, &key)? else { continue };
            let place = place(join, &image)?;
            let order = (place.is_none(), place.unwrap_or_default(), key);
            if first.as_ref().is_none_or(|(before, _)| order < *before) {
                first = Some((order, image));
            }
        }
        Ok(first.map(|(_, image)| image))
    }

    fn key_text(&self, source: u8, root: &Image) -> Result<String, Problem> {
        let system = self.rule.system(source);
        let key = self.rule.entity.sources.get(system).map(|source| source.key.as_str()).unwrap_or_default();
        let cell = root.plan.cell(&root.row, key)?;
        let text = cell.zip(root.plan.value_type(key)).and_then(|(cell, value_type)| cell.text(value_type));
        text.ok_or_else(|| Problem::new(code::ENTITY_ID_UNFIT, root.plan.schema.full_name()))
    }
}

/// By which the first of several rows is found: null comes last, then the value, then the key.
type Order = (bool, Vec<u8>, Vec<u8>);

fn place(join: &Join, image: &Image) -> Result<Option<Vec<u8>>, Problem> {
    let Some(column) = &join.first_by else { return Ok(None) };
    let cell = image.plan.cell(&image.row, column)?;
    Ok(cell.zip(image.plan.value_type(column)).map(|(cell, value_type)| cell.order(value_type)))
}

type TypedCell = (Cell, crate::model::value_type::ValueType);

fn mapped_cell(
    mapped: &MappedColumn,
    root: &Image,
    joined: &BTreeMap<&str, Image>,
) -> Result<Option<TypedCell>, Problem> {
    let image = match &mapped.join {
        None => root,
        Some(name) => match joined.get(name.as_str()) {
            Some(image) => image,
            None => return Ok(None),
        },
    };
    let cell = image.plan.cell(&image.row, &mapped.column)?;
    Ok(cell.zip(image.plan.value_type(&mapped.column)))
}

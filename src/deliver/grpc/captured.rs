//! Which tables can be copied.

use crate::deliver::state::Copying;
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::wire::api::v1;
use std::collections::{HashMap, HashSet};

/// As a status says it.
const UNIDENTIFIED: &str = "none";

/// The tables whose changes come. A halted one is not among them: a copy would be stale from its end on.
pub fn tables(status: &v1::GetStatusResponse) -> Vec<(SystemName, TableName)> {
    let of_source = |source: &v1::SourceStatus| {
        let system = SystemName::new(&source.system).ok()?;
        let tables = source.tables.iter().filter(|table| table.halt.is_none());
        Some(tables.map(|table| (system.clone(), TableName::new(&table.schema, &table.table))).collect::<Vec<_>>())
    };
    status.sources.iter().filter_map(of_source).flatten().collect()
}

/// What a copy of a table would be worth, as far as that is known: of a source that does not stream now, nothing is.
pub fn judge(status: &v1::GetStatusResponse) -> impl Fn(&SystemName, &TableName) -> Copying + use<> {
    let mut streaming = HashSet::new();
    let mut known = HashMap::new();
    for source in status.sources.iter().filter(|source| source.state() == v1::SourceState::Streaming) {
        let Ok(system) = SystemName::new(&source.system) else { continue };
        for table in &source.tables {
            let is_halted = table.halt.as_ref().is_some_and(|halt| halt.code != code::CHANGES_UNTOLD.as_str());
            // Its updates and deletes are in no stream.
            let is_told_apart = table.halt.is_none() && table.identity != UNIDENTIFIED;
            let copying = match (is_halted, is_told_apart) {
                (true, _) => Copying::Useless,
                (false, true) => Copying::Useful,
                (false, false) => Copying::OnlyAnew,
            };
            known.insert((system.clone(), TableName::new(&table.schema, &table.table)), copying);
        }
        streaming.insert(system);
    }
    move |system, table| {
        let unknown = if streaming.contains(system) { Copying::Useless } else { Copying::Useful };
        known.get(&(system.clone(), table.clone())).copied().unwrap_or(unknown)
    }
}

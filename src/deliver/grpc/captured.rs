//! Which tables can be copied, as the running sources say.

use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::wire::api::v1;
use std::collections::{HashMap, HashSet};

/// The tables whose changes come. A halted one is not among them: a copy would be stale from its end on.
pub fn tables(status: &v1::GetStatusResponse) -> Vec<(SystemName, TableName)> {
    let of_source = |source: &v1::SourceStatus| {
        let system = SystemName::new(&source.system).ok()?;
        let tables = source.tables.iter().filter(|table| table.halt.is_none());
        Some(tables.map(|table| (system.clone(), TableName::new(&table.schema, &table.table))).collect::<Vec<_>>())
    };
    status.sources.iter().filter_map(of_source).flatten().collect()
}

/// Tables that are halted or gone, as far as that is known: of a source that does not stream now, nothing is. Surprise: one whose
/// updates the stream does not tell of is called halted, and a new copy is what helps.
pub fn out_of_reach(status: &v1::GetStatusResponse) -> impl Fn(&SystemName, &TableName) -> bool + use<> {
    let streaming = status.sources.iter().filter(|source| source.state() == v1::SourceState::Streaming);
    let within = |source: &v1::SourceStatus| {
        let is_within = |table: &&v1::TableStatus| {
            table.halt.as_ref().is_none_or(|halt| halt.code == code::CHANGES_UNTOLD.as_str())
        };
        let tables = source.tables.iter().filter(is_within);
        let names = tables.map(|table| TableName::new(&table.schema, &table.table)).collect::<HashSet<_>>();
        Some((SystemName::new(&source.system).ok()?, names))
    };
    let within: HashMap<_, _> = streaming.filter_map(within).collect();
    move |system, table| within.get(system).is_some_and(|tables| !tables.contains(table))
}

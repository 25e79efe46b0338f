//! Which tables a target gets, and what they are called there.

use super::table::Source;
use crate::config::{Access, System, Target};
use crate::deliver::class::Class;
use crate::deliver::subject::Subject;
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::model::problem::Problem;
use std::collections::BTreeMap;
use std::sync::Arc;

/// PostgreSQL's `NAMEDATALEN - 1`.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Decides by the configuration alone, so its answers hold for the life of the process.
#[derive(Clone)]
pub struct Names {
    schema: String,
    tables: crate::model::pattern::Selection,
    /// `None`: its roles may see nothing.
    class: Option<Arc<Class>>,
    systems: Arc<BTreeMap<SystemName, System>>,
}

impl Names {
    pub fn of(target: &Target, access: &Access, systems: &Arc<BTreeMap<SystemName, System>>) -> Self {
        let class = Class::new(access, &Subject::target(target.name.as_str(), &target.roles), &[]).ok();
        Self {
            schema: target.schema.clone(),
            tables: target.tables.clone(),
            class: class.map(Arc::new),
            systems: Arc::clone(systems),
        }
    }

    pub fn systems(&self) -> impl Iterator<Item = &SystemName> {
        self.systems.keys()
    }

    /// Whether changes of the table are for this target: captured, chosen and allowed.
    pub fn select(&self, source: &Source) -> bool {
        let captured = self.systems.get(&source.system).is_some_and(|system| system.captures(&source.name));
        let name = source.to_string();
        captured && self.tables.matches(&name) && self.class.as_ref().is_some_and(|class| class.sees_name(&name))
    }

    /// # Errors
    /// The name would not fit.
    pub fn name(&self, source: &Source) -> Result<TableName, Problem> {
        let schema = self.schema.replace("{system}", source.system.as_str()).replace("{schema}", &source.name.schema);
        if schema.len() > IDENTIFIER_BYTES_MAX {
            let message = format!("schema {schema:?} is {} bytes long", schema.len());
            return Err(Problem::new(code::TARGET_NAME_TOO_LONG, message));
        }
        let table = &source.name.table;
        if table.len() > IDENTIFIER_BYTES_MAX {
            let message = format!("table {table:?} is {} bytes long", table.len());
            return Err(Problem::new(code::TARGET_NAME_TOO_LONG, message));
        }
        Ok(TableName::new(&schema, table))
    }
}

//! Which tables a target gets, and what they are called there.

use super::table::Source;
use crate::config::{Access, System, Target};
use crate::deliver::class::{Asked, Class};
use crate::deliver::subject::Subject;
use crate::deliver::view::View;
use crate::govern;
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::model::pattern::{Pattern, Selection};
use crate::model::problem::Problem;
use crate::model::schema::TableSchema;
use std::collections::BTreeMap;
use std::sync::Arc;

/// PostgreSQL's `NAMEDATALEN - 1`.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// What of a version of a table is for a target.
pub struct Seen {
    /// As far as it is seen.
    pub schema: TableSchema,
    pub view: View,
    /// By what it is seen, as [`Class::policy`]. Another one needs another copy.
    pub policy: String,
    /// As [`Class::is_outdated`].
    pub is_outdated: bool,
}

/// Decides by the configuration alone, so its answers hold for the life of the process.
#[derive(Clone)]
pub struct Names {
    schema: String,
    tables: Selection,
    entities: Vec<Pattern>,
    /// Those that the target gets.
    contracts: Vec<String>,
    /// `None`: its roles may see nothing.
    class: Option<Arc<Class>>,
    systems: Arc<BTreeMap<SystemName, System>>,
    /// Of Tailwater's own tables.
    own: SystemName,
}

impl Names {
    pub fn of(target: &Target, access: &Access, systems: &Arc<BTreeMap<SystemName, System>>) -> Self {
        let subject = Subject::target(target.name.as_str(), &target.roles);
        let class = Class::new(access, &subject, &Asked::default()).ok();
        let is_meant = |name: &&String| target.entities.iter().any(|pattern| pattern.matches(name));
        Self {
            schema: target.schema.clone(),
            tables: target.tables.clone(),
            entities: target.entities.clone(),
            contracts: access.entities.keys().filter(is_meant).cloned().collect(),
            class: class.map(Arc::new),
            systems: Arc::clone(systems),
            own: SystemName::tailwater(),
        }
    }

    /// Those that the target has a position of.
    pub fn systems(&self) -> impl Iterator<Item = &SystemName> {
        self.systems.keys().chain((!self.contracts.is_empty()).then_some(&self.own))
    }

    /// The entities that are for this target, as tables.
    pub fn entities(&self) -> Vec<Source> {
        let source = |name: &String| Source { system: self.own.clone(), name: TableName::new(govern::SCHEMA, name) };
        self.contracts.iter().map(source).filter(|source| self.select(source)).collect()
    }

    /// Whether changes of the table are for this target: captured, chosen and allowed.
    pub fn select(&self, source: &Source) -> bool {
        let Some(class) = &self.class else { return false };
        if source.system == self.own {
            let name = &*source.name.table;
            return self.entities.iter().any(|pattern| pattern.matches(name)) && class.means_entity(name);
        }
        let captured = self.systems.get(&source.system).is_some_and(|system| system.captures(&source.name));
        let name = source.to_string();
        captured && self.tables.matches(&name) && class.means_table(&name)
    }

    /// What of a version of a table is for this target, nothing included.
    pub fn seen(&self, schema: &TableSchema) -> Seen {
        let Some(class) = &self.class else {
            let (schema, view) = (schema.clone(), View::Nothing);
            return Seen { schema, view, policy: String::new(), is_outdated: false };
        };
        let view = class.view(schema);
        let (policy, is_outdated) = (class.policy(schema), class.is_outdated(schema));
        Seen { schema: view.described(schema), view, policy, is_outdated }
    }

    /// # Errors
    /// The name would not fit.
    pub fn name(&self, source: &Source) -> Result<TableName, Problem> {
        // Tailwater's own are known by their schema alone.
        let system = if source.system == self.own { &source.name.schema } else { source.system.as_str() };
        let schema = self.schema.replace("{system}", system).replace("{schema}", &source.name.schema);
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

//! A table of a contract in one of its versions: where in its rows the columns are that the contract speaks of.

use super::cell::{Cell, cell, is_ordered};
use super::rule::Rule;
use crate::config::Join;
use crate::model::code;
use crate::model::problem::Problem;
use crate::model::schema::{Column, Identity, TableSchema};
use crate::model::value_type::ValueType;
use crate::wire::fields::{Fields, Malformed};
use crate::wire::row::{KeyPlan, put_part};
use std::collections::HashMap;
use std::sync::Arc;

/// Compiled for one use of a table and one version of it.
pub struct Plan {
    pub schema: Arc<TableSchema>,
    key: KeyPlan,
    /// Numbers of the fields that are kept.
    pub needed: Vec<u32>,
    columns: HashMap<String, Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    number: u32,
    value_type: ValueType,
}

impl Plan {
    /// # Errors
    /// What of the table does not fit the contract.
    pub fn of(rule: &Rule, number: u8, schema: &Arc<TableSchema>) -> Result<Self, Problem> {
        let used = &rule.tables[usize::from(number)];
        let misfit = |what: String| Problem::new(code::ENTITY_MISFIT, format!("{}: {what}", schema.full_name()));
        let key: Vec<&Column> = schema.columns.iter().filter(|column| column.shape.key).collect();
        if key.is_empty() || schema.identity == Identity::Nothing {
            return Err(misfit("it has no key, so its rows cannot be told apart".to_owned()));
        }
        if used.join.is_none() {
            let source = rule.entity.sources.get(rule.system(used.source));
            let meant = source.map(|source| source.key.as_str()).unwrap_or_default();
            if key.len() != 1 || *key[0].shape.name != *meant {
                let found: Vec<&str> = key.iter().map(|column| &*column.shape.name).collect();
                return Err(misfit(format!("the contract says that its key is {meant}, it is {}", found.join(", "))));
            }
        }
        let mut columns = HashMap::new();
        for name in rule.columns(number) {
            let Some(column) = schema.columns.iter().find(|column| *column.shape.name == *name) else {
                return Err(misfit(format!("it has no column {name}, which the contract speaks of")));
            };
            columns.insert(name.to_owned(), Place { number: column.number, value_type: column.shape.value_type });
        }
        let first_by = used.join.as_ref().and_then(|(_, join)| join.first_by.as_ref());
        if let Some(name) =
            first_by.filter(|name| columns.get(*name).is_some_and(|place| !is_ordered(place.value_type)))
        {
            return Err(misfit(format!("column {name} is of a type without an order that is known here")));
        }
        let numbers = columns.values().map(|place| place.number);
        let needed = numbers.chain(key.iter().map(|column| column.number)).collect();
        Ok(Self { schema: Arc::clone(schema), key: KeyPlan::of(schema), needed, columns })
    }

    /// Whether rows of another version are kept in the same way: under the same keys, with the same numbers.
    pub fn goes_on_as(&self, other: &Self) -> bool {
        let key = |plan: &Self| -> Vec<(Arc<str>, ValueType)> {
            let key = plan.schema.columns.iter().filter(|column| column.shape.key);
            key.map(|column| (Arc::clone(&column.shape.name), column.shape.value_type)).collect()
        };
        key(self) == key(other) && self.columns == other.columns
    }

    /// # Errors
    /// The row cannot be told from others, or is damaged.
    pub fn key(&self, row: &[u8]) -> Result<Vec<u8>, Problem> {
        match self.key.key(row) {
            Ok(Some(key)) => Ok(key),
            Ok(None) => {
                let message =
                    format!("{}: its key is of a type whose values cannot be compared", self.schema.full_name());
                Err(Problem::new(code::ENTITY_MISFIT, message))
            }
            Err(malformed) => Err(self.damaged(malformed)),
        }
    }

    pub fn damaged(&self, malformed: Malformed) -> Problem {
        Problem::new(code::ENTITY_JOURNAL_UNREADABLE, format!("a row of {}: {malformed}", self.schema.full_name()))
    }

    pub fn cell(&self, row: &[u8], column: &str) -> Result<Option<Cell>, Problem> {
        let Some(place) = self.columns.get(column) else { return Ok(None) };
        cell(row, place.number).map_err(|malformed| self.damaged(malformed))
    }

    /// The type of a column that the contract speaks of.
    pub fn value_type(&self, column: &str) -> Option<ValueType> {
        self.columns.get(column).map(|place| place.value_type)
    }

    /// What these columns hold, so that two rows have it in common exactly when the servers call it equal. `None` where one of
    /// them is null.
    ///
    /// # Errors
    /// One of them is of a type whose values cannot be compared.
    pub fn joined_on<'c>(
        &self,
        row: &[u8],
        columns: impl Iterator<Item = &'c str>,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let mut value = Vec::new();
        for column in columns {
            let Some(place) = self.columns.get(column) else { return Ok(None) };
            let fields: Result<Vec<_>, _> = Fields::of(row).collect();
            let fields = fields.map_err(|malformed| self.damaged(malformed))?;
            let Some(field) = fields.iter().rfind(|field| field.number == place.number) else { return Ok(None) };
            let comparable = put_part(place.value_type, field.value, &mut value);
            if !comparable.map_err(|malformed| self.damaged(malformed))? {
                let message = format!("{}: column {column} cannot be joined on", self.schema.full_name());
                return Err(Problem::new(code::ENTITY_MISFIT, message));
            }
        }
        Ok(Some(value))
    }

    /// Whether a joined table's row is one that the contract means.
    ///
    /// # Errors
    /// A column that decides it is of a type without a plain text.
    pub fn passes(&self, row: &[u8], join: &Join) -> Result<bool, Problem> {
        for (column, wanted) in &join.only {
            let Some(cell) = self.cell(row, column)? else { return Ok(false) };
            let text = self.value_type(column).and_then(|value_type| cell.text(value_type)).ok_or_else(|| {
                let message = format!("{}: column {column} has no plain text to choose by", self.schema.full_name());
                Problem::new(code::ENTITY_MISFIT, message)
            })?;
            if text != *wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The versions of a contract's tables that were met, compiled.
#[derive(Default)]
pub struct Plans(HashMap<(u8, u32), Arc<Plan>>);

impl Plans {
    /// # Errors
    /// [`Plan::of`].
    pub fn get(
        &mut self,
        rule: &Rule,
        number: u8,
        schema: u32,
        look_up: impl FnOnce() -> Option<Arc<TableSchema>>,
    ) -> Result<Arc<Plan>, Problem> {
        if let Some(plan) = self.0.get(&(number, schema)) {
            return Ok(Arc::clone(plan));
        }
        let schema_of = look_up().ok_or_else(|| {
            Problem::new(code::ENTITY_JOURNAL_UNREADABLE, format!("schema {schema} is not in the journal"))
        })?;
        let plan = Arc::new(Plan::of(rule, number, &schema_of)?);
        self.0.insert((number, schema), Arc::clone(&plan));
        Ok(plan)
    }
}

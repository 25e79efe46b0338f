//! A table as the log describes it, before its rows come: whether it is captured, and as what.
//!
//! The log tells types and names, and not all: the catalogue is asked for the rest, which is as of now, while the log may be
//! older. Whatever is another then was altered meanwhile, and the statement that did it follows in the log.

use super::assemble::{Captured, Table};
use super::catalogue;
use super::connection::Connection;
use super::encode::TablePlan;
use super::fault::Fault;
use super::stream::Stream;
use crate::config::Flavour;
use crate::decode::mysql::mariadb::{self, Disguised};
use crate::decode::mysql::table_map::{Column, TableMap};
use crate::decode::mysql::types::{self, Charsets};
use crate::decode::mysql::versioned;
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::TableShape;
use crate::source::status::By;

/// What of a table's images is captured.
struct Logged<'a> {
    /// Each with its place, and what it is in place of what the log makes it look like.
    columns: Vec<(usize, &'a Column, Option<Disguised>)>,
    /// Where a system-versioned table tells which rows are current.
    row_end: Option<usize>,
}

impl Stream<'_> {
    /// Rows of the table come next. Of one that is not configured nothing is read but its name, nor of one that was stopped.
    pub(super) async fn describe(&mut self, table_id: u64, body: &[u8]) -> Result<(), Fault> {
        let (schema, table) = TableMap::names(body)?;
        let name = TableName::new(&schema, &table);
        let captured = match self.system.captures(&name) {
            false => Captured::No,
            true if self.stopped.contains(&name) => Captured::PassedOver(name),
            true => match self.plan(&name, body).await {
                Ok(plan) => {
                    self.reporter.unreadable(&name, By::Shape, None);
                    plan
                }
                Err(Fault::Table(table, problem)) => {
                    self.hold_table(&table, &problem).await?;
                    Captured::PassedOver(name)
                }
                Err(fault) => return Err(fault),
            },
        };
        if let Captured::PassedOver(name) = &captured {
            self.copier.gate.spoil(name);
        }
        self.assembly.table(table_id, body, captured);
        Ok(())
    }

    async fn plan(&mut self, name: &TableName, body: &[u8]) -> Result<Captured, Fault> {
        let map = TableMap::parse(body, self.assembly.dialect());
        let mut map = map.map_err(|malformed| catalogue::unreadable(name, &malformed.to_string()))?;
        if !map.has_full_metadata() {
            let message = format!("{name}: its columns have no names in the log");
            return Err(Fault::Table(name.clone(), Problem::new(code::ROWS_INCOMPLETE, message)));
        }
        let Logged { columns, row_end } = self.logged(name, &map).await?;
        let kinds_by = |charsets: &Charsets| {
            let kind = |(place, column, disguised): &(usize, &Column, _)| {
                Ok((*place, types::kind(column, charsets, *disguised)?))
            };
            columns.iter().map(kind).collect::<Result<Vec<_>, types::Unreadable>>()
        };
        let mut kinds = kinds_by(&self.charsets);
        if kinds.is_err() {
            // Perhaps of a character set that nobody used yet.
            let mut connection = Connection::open(&self.system.endpoint).await?;
            self.charsets = catalogue::charsets(&mut connection, self.system.flavour).await?;
            kinds = kinds_by(&self.charsets);
        }
        let kinds = kinds.map_err(|why| catalogue::unreadable(name, &why.to_string()))?;
        // It is alike in all current rows.
        map.primary_key.retain(|place| Some(*place) != row_end);
        let shape = types::shape(&map, &kinds);
        if !self.is_fit(name, &shape).await? {
            self.passes_over(name).await?;
            return Ok(Captured::PassedOver(name.clone()));
        }
        let schema = self.intake.describe(&shape).await?;
        let plan = TablePlan::new(schema, &map, kinds);
        Ok(Captured::As(Box::new(Table::new(map, plan, row_end))))
    }

    /// Whether the table can be captured, as far as is known. One that looks as it always did is as it was looked at last; of
    /// another one the catalogue is asked, before its rows come.
    async fn is_fit(&mut self, name: &TableName, shape: &TableShape) -> Result<bool, Fault> {
        let known = self.journal.current_schema(&self.system.name, name);
        let is_known = known.is_some_and(|schema| schema.has_shape(shape));
        let looked = self.looked.table(name);
        let found = match looked {
            Some(looked) if is_known => Some(looked),
            _ => self.side.describe(name.clone()).await?.map(|(_, table)| table),
        };
        // A table that is gone was dropped or renamed behind these rows, which the log tells in its place.
        Ok(found.is_none_or(|table| table.unfit.is_none()))
    }

    /// The columns that every image has, but for those that MariaDB adds of its own. The catalogue is asked only where one of
    /// these could be, or one of MariaDB's UUIDs and addresses, or a period of a versioned table, or where generated columns are
    /// left out of images. What the catalogue no longer has is what was last known of it.
    async fn logged<'a>(&self, name: &TableName, map: &'a TableMap) -> Result<Logged<'a>, Fault> {
        let columns = map.columns.iter().enumerate();
        let is_doubtful = |column: &Column| {
            let is_hidden = || mariadb::may_be_hidden(&column.name) || versioned::may_be_of_period(column);
            types::may_be_disguised(column) || is_hidden()
        };
        let asks = self.omits_generated || map.columns.iter().any(is_doubtful);
        if !asks || self.system.flavour == Flavour::Mysql {
            let columns = columns.map(|(place, column)| (place, column, None)).collect();
            return Ok(Logged { columns, row_end: None });
        }
        let described = self.side.describe(name.clone()).await?.map(|(described, _)| described);
        let known = self.schema(name);
        let journaled = |column: &str| known.as_ref()?.columns.iter().find(|known| *known.shape.name == *column);
        let is_listed = |column: &str| match (&described, &known) {
            (Some(described), _) => described.lists(column),
            (None, Some(_)) => journaled(column).is_some(),
            (None, None) => !mariadb::may_be_hidden(column) && !versioned::UNDECLARED.contains(&column),
        };
        let declared = match &described {
            Some(described) => described.row_end.clone(),
            None => self.kept_row_end(name),
        };
        let row_end = versioned::row_end(map, declared.as_deref(), is_listed);
        let is_of_period = |place: usize| row_end.is_some_and(|end| place == end || place + 1 == end);
        let is_hidden =
            |place: usize, column: &str| !is_listed(column) && (mariadb::may_be_hidden(column) || is_of_period(place));
        let is_logged = |column: &str| match (&described, &known) {
            (Some(described), _) => !described.unlogged.iter().any(|unlogged| unlogged == column),
            (None, Some(_)) if self.omits_generated => journaled(column).is_some(),
            (None, _) => true,
        };
        let disguise = |column: &Column| {
            if !types::may_be_disguised(column) {
                return Ok(None);
            }
            let now = described.as_ref().and_then(|table| table.column(&column.name)).map(|column| column.disguised);
            let before = || journaled(&column.name).map(|known| Disguised::by_name(&known.shape.declared_type));
            now.or_else(before).ok_or_else(|| {
                let why = format!("column {}: it is gone, and the log does not say what it was", column.name);
                catalogue::unreadable(name, &why)
            })
        };
        let logged = columns.filter(|(place, column)| !is_hidden(*place, &column.name) && is_logged(&column.name));
        let columns =
            logged.map(|(place, column)| Ok((place, column, disguise(column)?))).collect::<Result<_, Fault>>()?;
        Ok(Logged { columns, row_end })
    }
}

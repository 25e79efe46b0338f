//! Does to the target what a plan says, inside one transaction of the target, and commits it with the position.
//!
//! Many rows go in through COPY: straight into the table where the target cannot have them yet, through a temporary table
//! where it may. A few go in as literals. Surprise: the transaction stays open across the parts of a source transaction that is
//! larger than a batch, so that the target never shows half of it.

use super::connection::Target as Connection;
use super::failure::{Failure, of_table};
use super::fold::{Effect, Fold, Image};
use super::ledger::{self, Position};
use super::plan::{Single, Step, TableBatch};
use super::shape::{Column, Shape};
use super::sql::{self, Cells};
use super::table::{Alteration, Source, Table};
use super::values::{Rows, StampText, Unwritable, instant, literals, put_literal};
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::model::position::Reached;
use crate::model::problem::Problem;
use crate::source::postgres::{Fault, identifier};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// From so many rows on a COPY is worth its round trips.
const COPY_ROWS_MIN: usize = 32;
/// Statements for single rows go together up to about this much.
const STATEMENTS_BYTES: usize = 256 * 1024;

pub struct Applier {
    connection: Connection,
    target: SystemName,
    /// Where the target stands, as far as we know.
    stands: Vec<Position>,
    open: bool,
    /// Temporary tables of this session.
    stages: HashMap<Source, Stage>,
    stages_made: u64,
    /// Tables whose rows turned out to be there already: they go through a stage.
    not_fresh: HashSet<Source>,
    /// In the open transaction: by their names there.
    written: HashMap<TableName, Source>,
}

struct Stage {
    shape: Arc<Shape>,
    name: String,
    /// Holds rows of this transaction; a commit empties it.
    used: bool,
}

impl Applier {
    pub fn new(connection: Connection, target: SystemName, stands: Vec<Position>) -> Self {
        Self {
            connection,
            target,
            stands,
            open: false,
            stages: HashMap::new(),
            stages_made: 0,
            not_fresh: HashSet::new(),
            written: HashMap::new(),
        }
    }

    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Whether a transaction is open: a part of a larger one was written.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Opens the target's transaction unless it is, and makes sure that nobody else moved it.
    ///
    /// # Errors
    /// [`Failure::Halt`] when somebody did; those of the connection.
    async fn begin(&mut self) -> Result<(), Failure> {
        if self.open {
            return Ok(());
        }
        let rows = self.connection.query(&format!("BEGIN; {}", ledger::lock(&self.target))).await?;
        let mut found = ledger::standing(&rows)?;
        found.sort_by(|one, other| one.system.cmp(&other.system));
        if found != self.stands {
            let message = format!("its position is {}, ours is {}", told(&found), told(&self.stands));
            return Err(Failure::Halt(Problem::new(code::TARGET_FENCED, message)));
        }
        self.open = true;
        Ok(())
    }

    /// # Errors
    /// [`Failure`]; the target's transaction is of no use then.
    pub async fn write(&mut self, batches: Vec<TableBatch>) -> Result<(), Failure> {
        for batch in batches {
            self.begin().await?;
            let TableBatch { table, changed, steps } = batch;
            for (step, shape) in steps {
                self.step(&table, step, &shape).await?;
            }
            self.written.insert(table.name.clone(), table.source.clone());
            if changed {
                self.put_table(&table).await?;
            }
        }
        Ok(())
    }

    /// Commits what was written, and that everything up to `reached` is.
    ///
    /// # Errors
    /// [`Failure`]. Whether it was committed is then for the target to say.
    pub async fn commit(&mut self, reached: Reached) -> Result<(), Failure> {
        self.begin().await?;
        // What somebody has made to be checked at the commit would be everybody's trouble there; here it is its table's.
        let check = if self.written.is_empty() { "" } else { "SET CONSTRAINTS ALL IMMEDIATE; " };
        let sql = format!("{check}{}; COMMIT", ledger::move_to(&self.target, reached));
        self.connection.query(&sql).await.map_err(|fault| self.by_its_table(fault))?;
        self.written.clear();
        self.open = false;
        self.stages.values_mut().for_each(|stage| stage.used = false);
        self.stands.iter_mut().for_each(|position| position.reached = reached);
        Ok(())
    }

    /// A fault that names one of the tables that were written is that table's.
    fn by_its_table(&self, fault: Fault) -> Failure {
        let named = match &fault {
            Fault::Server(error) => self.written.get(&TableName::new(&error.table.0, &error.table.1)),
            _ => None,
        };
        match named {
            Some(source) => of_table(source, fault),
            None => fault.into(),
        }
    }

    /// Writes records alone, in a transaction of their own. Only with none open.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn put_tables(&mut self, tables: &[Table]) -> Result<(), Failure> {
        self.begin().await?;
        for table in tables {
            self.put_table(table).await?;
        }
        self.connection.query("COMMIT").await?;
        self.open = false;
        Ok(())
    }

    /// Writes the record of one that loses all its rows, if it is there. Only with no transaction open.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn put_emptied(&mut self, table: &Table) -> Result<(), Failure> {
        self.begin().await?;
        if self.exists(&table.name).await? {
            self.run(table, &sql::clear(&table.name)).await?;
        }
        self.put_tables(std::slice::from_ref(table)).await
    }

    async fn put_table(&mut self, table: &Table) -> Result<(), Failure> {
        let sql = ledger::put_table(&self.target, table).map_err(|_| Fault::Protocol("a shape without a text"))?;
        if self.connection.query(&sql).await?.is_empty() {
            let message = format!("{}.{} belongs to another table", table.name.schema, table.name.table);
            return Err(Failure::Halt(Problem::new(code::TARGET_NAME_TAKEN, message)));
        }
        Ok(())
    }

    async fn step(&mut self, table: &Table, step: Step, shape: &Arc<Shape>) -> Result<(), Failure> {
        match step {
            Step::Alter(alteration) => self.alter(table, &alteration).await,
            Step::Net(fold) => self.net(table, fold, shape).await,
            Step::Single(singles) => self.singles(table, &singles, shape).await,
        }
    }

    async fn alter(&mut self, table: &Table, alteration: &Alteration) -> Result<(), Failure> {
        let name = &table.name;
        let sql = match alteration {
            Alteration::Make { old: None, new } => sql::create(name, new),
            Alteration::Make { old: Some(old), new } => {
                // Dropped by hand meanwhile, it is made again.
                if self.exists(name).await? { sql::remake(name, old, new) } else { sql::create(name, new) }
            }
            Alteration::AddColumns(shape) => sql::add_columns(name, shape),
            Alteration::Clear => sql::clear(name),
            Alteration::Disown(from) => sql::disown(name, *from),
            Alteration::Sweep(before) => sql::sweep(name, *before),
        };
        self.run(table, &sql).await
    }

    async fn exists(&mut self, name: &TableName) -> Result<bool, Failure> {
        let table = crate::source::postgres::literal(&sql::qualified(name));
        let sql = format!("SELECT 1 WHERE to_regclass({table}) IS NOT NULL");
        Ok(!self.connection.query(&sql).await?.is_empty())
    }

    async fn run(&mut self, table: &Table, sql: &str) -> Result<(), Failure> {
        self.connection.query(sql).await.map(drop).map_err(|fault| of_table(&table.source, fault))
    }

    async fn copy(&mut self, table: &Table, sql: &str, data: &[u8]) -> Result<(), Failure> {
        self.connection.copy_in(sql, data).await.map_err(|fault| of_table(&table.source, fault))
    }

    async fn net(&mut self, table: &Table, fold: Fold, shape: &Arc<Shape>) -> Result<(), Failure> {
        let (mut fresh, mut puts, mut parts, mut deletes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for effect in fold.into_effects() {
            match effect {
                Effect::Put { image, .. } if !image.unchanged.is_empty() => parts.push(image),
                Effect::Put { image, fresh: true } => fresh.push(image),
                Effect::Put { image, fresh: false } => puts.push(image),
                Effect::Delete { row } => deletes.push(row),
            }
        }
        let mut rows = rows(table, shape)?;
        if fresh.len() < COPY_ROWS_MIN || self.not_fresh.contains(&table.source) {
            puts.append(&mut fresh);
        }
        self.put_fresh(table, &mut rows, &fresh).await?;
        self.put(table, &mut rows, &puts).await?;
        let mut statements = Statements::default();
        for image in &parts {
            statements.add(&part(table, &mut rows, image).map_err(|why| unwritable(table, &why))?);
            if statements.is_full() {
                self.run(table, &statements.take()).await?;
            }
        }
        if !statements.is_empty() {
            self.run(table, &statements.take()).await?;
        }
        self.delete(table, &mut rows, &deletes).await
    }

    /// Rows that the target should not have: where it has one after all, all of them go in as others do.
    async fn put_fresh(&mut self, table: &Table, rows: &mut Rows, images: &[Image]) -> Result<(), Failure> {
        if images.is_empty() {
            return Ok(());
        }
        let lines = lines(table, rows, images)?;
        let columns = sql::columns(&rows.shape);
        self.connection.query("SAVEPOINT fresh").await?;
        match self.connection.copy_in(&sql::copy(&sql::qualified(&table.name), &columns), &lines).await {
            Ok(()) => {
                self.connection.query("RELEASE SAVEPOINT fresh").await?;
                Ok(())
            }
            Err(Fault::Server(error)) if error.sqlstate == "23505" => {
                self.connection.query("ROLLBACK TO SAVEPOINT fresh; RELEASE SAVEPOINT fresh").await?;
                self.not_fresh.insert(table.source.clone());
                self.stage_and_put(table, rows, &lines).await
            }
            Err(fault) => Err(of_table(&table.source, fault)),
        }
    }

    async fn put(&mut self, table: &Table, rows: &mut Rows, images: &[Image]) -> Result<(), Failure> {
        if images.len() >= COPY_ROWS_MIN {
            let lines = lines(table, rows, images)?;
            return self.stage_and_put(table, rows, &lines).await;
        }
        if images.is_empty() {
            return Ok(());
        }
        let mut values = "VALUES ".to_owned();
        for (index, image) in images.iter().enumerate() {
            values += if index > 0 { ", (" } else { "(" };
            values += &literals(rows, image).map_err(|why| unwritable(table, &why))?;
            values.push(')');
        }
        self.run(table, &sql::upsert(&table.name, &rows.shape, &values)).await
    }

    async fn stage_and_put(&mut self, table: &Table, rows: &Rows, lines: &[u8]) -> Result<(), Failure> {
        let stage = self.stage(table, &rows.shape).await?;
        let columns = sql::columns(&rows.shape);
        self.copy(table, &sql::copy(&identifier(&stage), &columns), lines).await?;
        let select = format!("SELECT {columns} FROM {}", identifier(&stage));
        let upsert = sql::upsert(&table.name, &rows.shape, &select);
        self.run(table, &upsert).await
    }

    async fn delete(&mut self, table: &Table, rows: &mut Rows, keys: &[bytes::Bytes]) -> Result<(), Failure> {
        if keys.len() >= COPY_ROWS_MIN {
            let mut lines = Vec::new();
            for key in keys {
                rows.read(key).map_err(|why| unwritable(table, &why))?;
                rows.put_key_line(&mut lines);
            }
            let stage = self.stage(table, &rows.shape).await?;
            let copy = sql::copy(&identifier(&stage), &sql::key_columns(&rows.shape));
            self.copy(table, &copy, &lines).await?;
            let delete = sql::delete_staged(&table.name, &rows.shape, &stage);
            return self.run(table, &delete).await;
        }
        if keys.is_empty() {
            return Ok(());
        }
        let mut listed = Vec::new();
        for key in keys {
            rows.read(key).map_err(|why| unwritable(table, &why))?;
            let cells = key_cells(rows);
            let mut text = String::new();
            for (index, (_, cell)) in cells.iter().enumerate() {
                text += if index > 0 { ", " } else { "" };
                put_literal(*cell, &mut text);
            }
            listed.push(if cells.len() > 1 { format!("({text})") } else { text });
        }
        self.run(table, &sql::delete_listed(&table.name, &rows.shape, &listed)).await
    }

    /// The table's stage, empty.
    async fn stage(&mut self, table: &Table, shape: &Arc<Shape>) -> Result<String, Failure> {
        match self.stages.get_mut(&table.source) {
            Some(stage) if stage.shape == *shape => {
                let (name, used) = (stage.name.clone(), std::mem::replace(&mut stage.used, true));
                if used {
                    self.connection.query(&format!("TRUNCATE {}", identifier(&name))).await?;
                }
                return Ok(name);
            }
            Some(outdated) => {
                let drop_it = format!("DROP TABLE {}", identifier(&outdated.name));
                self.connection.query(&drop_it).await?;
            }
            None => {}
        }
        self.stages_made += 1;
        let name = format!("tailwater_stage_{}", self.stages_made);
        self.run(table, &sql::create_stage(&name, &table.name)).await?;
        let stage = Stage { shape: Arc::clone(shape), name: name.clone(), used: true };
        self.stages.insert(table.source.clone(), stage);
        Ok(name)
    }

    async fn singles(&mut self, table: &Table, singles: &[Single], shape: &Arc<Shape>) -> Result<(), Failure> {
        let mut rows = rows(table, shape)?;
        if let Some(images) = all_appended(singles).filter(|images| images.len() >= COPY_ROWS_MIN) {
            let lines = lines(table, &mut rows, images)?;
            return self.copy(table, &sql::copy(&sql::qualified(&table.name), &sql::columns(shape)), &lines).await;
        }
        let mut statements = Statements::default();
        for single in singles {
            statements.add(&self::single(table, &mut rows, single).map_err(|why| unwritable(table, &why))?);
            if statements.is_full() {
                self.run(table, &statements.take()).await?;
            }
        }
        if statements.is_empty() { Ok(()) } else { self.run(table, &statements.take()).await }
    }
}

/// Statements on their way to the server together.
#[derive(Default)]
struct Statements(String);

impl Statements {
    fn add(&mut self, sql: &str) {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(sql);
    }

    fn is_full(&self) -> bool {
        self.0.len() >= STATEMENTS_BYTES
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

fn told(positions: &[Position]) -> String {
    let one = |position: &Position| {
        let Reached { sequence, history } = position.reached;
        let history = history.map(|history| history.to_string()).unwrap_or_default();
        format!("{} {}:{sequence}:{history}", position.system, position.epoch)
    };
    positions.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn rows(table: &Table, shape: &Arc<Shape>) -> Result<Rows, Failure> {
    Rows::of(Arc::clone(shape)).map_err(|malformed| unwritable(table, &malformed.into()))
}

fn unwritable(table: &Table, why: &Unwritable) -> Failure {
    let code = match why {
        Unwritable::Malformed(_) => code::TARGET_JOURNAL_UNREADABLE,
        Unwritable::Refused { .. } => code::TARGET_REFUSES_ROW,
    };
    Failure::Table(table.source.clone(), Problem::new(code, why.to_string()))
}

fn lines<'a>(table: &Table, rows: &mut Rows, images: impl IntoIterator<Item = &'a Image>) -> Result<Vec<u8>, Failure> {
    let mut lines = Vec::new();
    let mut stamp = StampText::new();
    for image in images {
        rows.read(&image.row).map_err(|why| unwritable(table, &why))?;
        stamp.set(image.stamp);
        rows.put_line(&stamp, &mut lines);
    }
    Ok(lines)
}

/// The rows, if there is nothing but rows to append.
fn all_appended(singles: &[Single]) -> Option<Vec<&Image>> {
    singles.iter().map(|single| if let Single::Append(image) = single { Some(image) } else { None }).collect()
}

fn key_cells(rows: &Rows) -> Cells<'_> {
    all_cells(rows).into_iter().filter(|(column, _)| column.key).collect()
}

fn all_cells(rows: &Rows) -> Cells<'_> {
    rows.shape.columns.iter().enumerate().map(|(place, column)| (column, rows.cell(place))).collect()
}

/// The cells that an image has: what stays unchanged is left out.
fn given_cells<'a>(rows: &'a Rows, image: &Image) -> Vec<(&'a Column, Option<&'a str>)> {
    all_cells(rows).into_iter().filter(|(column, _)| !image.unchanged.contains(&column.number)).collect()
}

fn own(image: &Image) -> String {
    sql::own(image.stamp.sequence, &instant(image.stamp))
}

/// Sets what an update gave of the row with its key.
fn part(table: &Table, rows: &mut Rows, image: &Image) -> Result<String, Unwritable> {
    rows.read(&image.row)?;
    let row = sql::with_key(&key_cells(rows));
    Ok(sql::update(&table.name, &given_cells(rows, image), &own(image), &row))
}

fn single(table: &Table, rows: &mut Rows, single: &Single) -> Result<String, Unwritable> {
    let name = &table.name;
    match single {
        Single::Append(image) => {
            let values = format!("VALUES ({})", literals(rows, image)?);
            Ok(sql::append(name, &rows.shape, &values))
        }
        Single::Put(image) => put_one(table, rows, image),
        Single::Move { before, image } => moved(table, rows, before, image),
        Single::Replace { before, image } => {
            rows.read(before)?;
            let row = sql::one_exactly(name, &all_cells(rows));
            rows.read(&image.row)?;
            Ok(sql::update(name, &given_cells(rows, image), &own(image), &row))
        }
        Single::Delete { before } => {
            rows.read(before)?;
            let row = if rows.shape.is_keyed() {
                sql::with_key(&key_cells(rows))
            } else {
                sql::one_exactly(name, &all_cells(rows))
            };
            Ok(sql::delete(name, &row))
        }
    }
}

fn put_one(table: &Table, rows: &mut Rows, image: &Image) -> Result<String, Unwritable> {
    let values = format!("VALUES ({})", literals(rows, image)?);
    Ok(sql::upsert(&table.name, &rows.shape, &values))
}

/// A row gets another key. While a table is copied the old row may not be there yet, and the new one may be there already,
/// read a moment ahead of this change: in the end there is the new row, and it holds at least what this change says.
fn moved(table: &Table, rows: &mut Rows, before: &[u8], image: &Image) -> Result<String, Unwritable> {
    let name = &table.name;
    rows.read(before)?;
    let old = sql::with_key(&key_cells(rows));
    rows.read(&image.row)?;
    let new = sql::with_key(&key_cells(rows));
    let set = sql::update(name, &given_cells(rows, image), &own(image), &old);
    if old == new {
        return if image.unchanged.is_empty() { put_one(table, rows, image) } else { Ok(set) };
    }
    let last = if image.unchanged.is_empty() {
        put_one(table, rows, image)?
    } else {
        sql::update(name, &given_cells(rows, image), &own(image), &new)
    };
    Ok(format!("{}; {set}; {last}", sql::make_way(name, &old, &new)))
}

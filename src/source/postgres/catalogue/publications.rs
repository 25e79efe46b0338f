//! Our two publications as they are on the server, row by row of the catalogue, whoever made them.
//!
//! Columns that only newer versions have are asked for through `to_jsonb`, so that one statement serves all versions.

use super::entry::CarrierEntry;
use super::read::{Found, text};
use crate::model::name::TableName;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, Row, literal};
use std::collections::{HashMap, HashSet};

const INSERT_ONLY: &str = "_insert_only";

/// The names of the two: for tables whose rows can be told apart, and for the others.
pub fn names(publication: &str) -> [String; 2] {
    [publication.to_owned(), format!("{publication}{INSERT_ONLY}")]
}

/// Those of the two that exist.
#[derive(Debug, Clone, Default)]
pub struct Publications(Vec<Publication>);

#[derive(Debug, Clone)]
pub struct Publication {
    pub name: String,
    /// We may alter it.
    pub ours: bool,
    /// FOR ALL TABLES.
    pub all_tables: bool,
    pub inserts_and_truncates: bool,
    pub updates_and_deletes: bool,
    pub updates_or_deletes: bool,
    pub via_root: bool,
    /// 18: stored generated columns travel, too.
    pub generated: bool,
    pub members: Members,
    schemas: Vec<WholeSchema>,
    oid: u32,
    xmin: u32,
}

/// The tables that it names. There may be ten thousand, and each is asked for at every look.
#[derive(Debug, Clone, Default)]
pub struct Members {
    pub names: HashSet<TableName>,
    /// With a row filter or a column list.
    filtered: HashSet<TableName>,
    by_relation: HashMap<u32, Member>,
}

/// A row of `pg_publication_rel`.
#[derive(Debug, Clone)]
struct Member {
    oid: u32,
    xmin: u32,
}

#[derive(Debug, Clone)]
struct WholeSchema {
    schema: u32,
    oid: u32,
    xmin: u32,
}

/// # Errors
/// Those of the connection.
pub async fn read(connection: &mut Connection, publication: &str) -> Result<Publications, Fault> {
    let names = names(publication).map(|name| literal(&name)).join(", ");
    let sql = format!(
        "SELECT p.oid, p.xmin, p.pubname, pg_catalog.pg_has_role(p.pubowner, 'USAGE'), p.puballtables, \
         p.pubinsert AND p.pubtruncate, p.pubupdate AND p.pubdelete, p.pubupdate OR p.pubdelete, p.pubviaroot, \
         coalesce(pg_catalog.to_jsonb(p)->>'pubgencols', 'n') NOT IN ('n', 'false') \
         FROM pg_catalog.pg_publication p WHERE p.pubname IN ({names}) ORDER BY p.oid"
    );
    let mut found = Vec::new();
    for row in connection.query(&sql).await? {
        let oid = row.some(0)?;
        found.push(Publication {
            oid,
            xmin: row.some(1)?,
            name: text(&row, 2)?.to_owned(),
            ours: row.is_true(3),
            all_tables: row.is_true(4),
            inserts_and_truncates: row.is_true(5),
            updates_and_deletes: row.is_true(6),
            updates_or_deletes: row.is_true(7),
            via_root: row.is_true(8),
            generated: row.is_true(9),
            members: members(connection, oid).await?,
            schemas: schemas(connection, oid).await?,
        });
    }
    Ok(Publications(found))
}

async fn members(connection: &mut Connection, publication: u32) -> Result<Members, Fault> {
    let sql = format!(
        "SELECT n.nspname, c.relname, pg_catalog.to_jsonb(r)->>'prqual' IS NOT NULL \
             OR pg_catalog.to_jsonb(r)->>'prattrs' IS NOT NULL, c.oid, r.oid, r.xmin \
         FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.prpubid = {publication}"
    );
    let mut members = Members::default();
    for row in connection.query(&sql).await? {
        let name = TableName::new(text(&row, 0)?, text(&row, 1)?);
        if row.is_true(2) {
            members.filtered.insert(name.clone());
        }
        members.names.insert(name);
        members.by_relation.insert(row.some(3)?, Member { oid: row.some(4)?, xmin: row.some(5)? });
    }
    Ok(members)
}

/// Since 15.
async fn schemas(connection: &mut Connection, publication: u32) -> Result<Vec<WholeSchema>, Fault> {
    const THERE: &str = "SELECT 1 WHERE pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL";
    if connection.query(THERE).await?.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT pnnspid, oid, xmin FROM pg_catalog.pg_publication_namespace WHERE pnpubid = {publication} ORDER BY oid"
    );
    let schema = |row: &Row| Ok(WholeSchema { schema: row.some(0)?, oid: row.some(1)?, xmin: row.some(2)? });
    connection.query(&sql).await?.iter().map(schema).collect()
}

impl Publications {
    pub fn find(&self, name: &str) -> Option<&Publication> {
        self.0.iter().find(|publication| publication.name == name)
    }

    /// Whether one of them lets generated columns travel.
    pub fn carries_generated(&self) -> bool {
        self.0.iter().any(|publication| publication.generated)
    }

    /// Through what a table is carried under its own name, by oid of the publication and of what is in it.
    pub(super) fn carriers(&self, found: &Found, relations: &HashMap<u32, Found>) -> Vec<CarrierEntry> {
        self.0.iter().flat_map(|publication| publication.carriers(found, relations)).collect()
    }
}

impl Publication {
    /// Whether it leaves out rows or columns of the table.
    pub fn narrows(&self, table: &TableName) -> bool {
        self.members.filtered.contains(table)
    }

    /// Not a list of tables alone: what is in it cannot simply be set.
    pub fn is_wide(&self) -> bool {
        self.all_tables || !self.schemas.is_empty()
    }

    fn carriers(&self, found: &Found, relations: &HashMap<u32, Found>) -> Vec<CarrierEntry> {
        let parent = |child: &&Found| child.parent.and_then(|oid| relations.get(&oid));
        let ancestor_travels =
            || std::iter::successors(parent(&found), parent).any(|ancestor| !self.direct(ancestor).is_empty());
        if self.via_root && ancestor_travels() { Vec::new() } else { self.direct(found) }
    }

    fn direct(&self, found: &Found) -> Vec<CarrierEntry> {
        let this = CarrierEntry { publication: self.oid, publication_xmin: self.xmin, ..CarrierEntry::default() };
        let all = self.all_tables.then(|| CarrierEntry { wide: true, ..this.clone() });
        let schemas = self.schemas.iter().filter(|whole| whole.schema == found.schema_oid);
        let schemas = schemas.map(|whole| CarrierEntry {
            member: whole.oid,
            member_xmin: whole.xmin,
            wide: true,
            placed_by: found.placed_by,
            ..this.clone()
        });
        let member = self.members.by_relation.get(&found.oid);
        let members =
            member.map(|member| CarrierEntry { member: member.oid, member_xmin: member.xmin, ..this.clone() });
        all.into_iter().chain(schemas).chain(members).collect()
    }
}

/// Whether a carrier is of this publication.
impl CarrierEntry {
    pub fn is_of(&self, publication: &Publication) -> bool {
        self.publication == publication.oid
    }
}

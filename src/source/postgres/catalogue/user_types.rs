//! Types whose values travel as text that depends on the catalogue: enums, composites, and what is made of them.

use super::entry::{LabelEntry, TypeEntry};
use super::read::{oids, text};
use crate::decode::postgres::types::TypeNames;
use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Types that are not built in, as far as columns of the chosen tables are of them, or made of them.
#[derive(Default)]
pub struct UserTypes {
    pub names: TypeNames,
    /// With the types that each is made of.
    types: BTreeMap<u32, (TypeEntry, Vec<u32>)>,
}

/// Oids from here on are not of the server's own bootstrap: pgoutput describes these types (FirstGenbkiObjectId in
/// src/include/access/transam.h).
const DESCRIBED_FROM: u32 = 10_000;

impl UserTypes {
    pub async fn read(connection: &mut Connection, chosen: &[u32]) -> Result<Self, Fault> {
        let used = format!(
            "WITH RECURSIVE used(oid) AS ( \
                 SELECT DISTINCT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ({}) AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.atttypid >= {DESCRIBED_FROM} \
                 UNION SELECT part.oid FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid CROSS JOIN LATERAL ( \
                     SELECT t.typelem UNION ALL SELECT t.typbasetype \
                     UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid \
                     UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r \
                         WHERE pg_catalog.to_jsonb(r)->>'rngmultitypid' = t.oid::text \
                     UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a \
                         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) part(oid) \
                 WHERE part.oid >= {DESCRIBED_FROM})",
            oids(chosen)
        );
        let mut types = Self::default();
        let sql = format!(
            "{used} SELECT t.oid, t.typelem, t.typbasetype, bn.nspname, b.typname, \
             (SELECT string_agg(a.attnum || ' ' || quote_ident(a.attname) || ' ' || a.atttypid || ' ' || a.atttypmod \
                     || ' ' || a.xmin, ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
                 WHERE a.attrelid = t.typrelid AND a.attnum > 0), \
             (SELECT string_agg(a.atttypid::text, ' ') FROM pg_catalog.pg_attribute a \
                 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), \
             (SELECT string_agg(r.rngsubtype || ' ' || r.rngtypid, ' ') FROM pg_catalog.pg_range r \
                 WHERE t.oid::text IN (r.rngtypid::text, pg_catalog.to_jsonb(r)->>'rngmultitypid')) \
             FROM used JOIN pg_catalog.pg_type t ON t.oid = used.oid CROSS JOIN LATERAL (WITH RECURSIVE base AS ( \
                 SELECT x.* FROM pg_catalog.pg_type x WHERE x.oid = t.oid \
                 UNION ALL SELECT x.* FROM base JOIN pg_catalog.pg_type x ON x.oid = base.typbasetype WHERE base.typtype = 'd') \
                 SELECT * FROM base WHERE typtype <> 'd') b JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace"
        );
        for row in connection.query(&sql).await? {
            let oid = row.some(0)?;
            // A domain travels as its base type.
            types.names.learn(oid, text(&row, 3)?, text(&row, 4)?);
            let lists = [6, 7].iter().filter_map(|column| row.text(*column));
            let parts = lists.flat_map(str::split_whitespace).filter_map(|part| part.parse().ok());
            let parts = parts.chain([row.some(1)?, row.some(2)?]).collect();
            let attributes = row.text(5).unwrap_or_default().to_owned();
            types.types.insert(oid, (TypeEntry { oid, labels: Vec::new(), attributes }, parts));
        }
        let labels = "SELECT e.enumtypid, e.oid, e.enumlabel, e.xmin FROM used JOIN pg_catalog.pg_enum e ON e.enumtypid = used.oid \
             ORDER BY e.oid";
        for row in connection.query(&format!("{used} {labels}")).await? {
            if let Some((of, _)) = types.types.get_mut(&row.some(0)?) {
                let label = text(&row, 2)?.to_owned();
                of.labels.push(LabelEntry { oid: row.some(1)?, label, defined_by: row.some(3)? });
            }
        }
        Ok(types)
    }

    /// Those that these are, or are made of, and that can be altered.
    pub fn of(&self, columns: impl Iterator<Item = u32>) -> Vec<TypeEntry> {
        let (mut reached, mut open) = (BTreeSet::new(), columns.collect::<Vec<_>>());
        while let Some(oid) = open.pop() {
            if let Some((_, parts)) = self.types.get(&oid).filter(|_| reached.insert(oid)) {
                open.extend(parts);
            }
        }
        let entries = reached.iter().filter_map(|oid| self.types.get(oid)).map(|(entry, _)| entry);
        entries.filter(|entry| !entry.labels.is_empty() || !entry.attributes.is_empty()).cloned().collect()
    }
}

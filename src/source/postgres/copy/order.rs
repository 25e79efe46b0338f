//! In what order a table's rows are read: that of the index behind its key, by the index's own operators.
//!
//! Our sessions have an empty `search_path`, so a bare `>` finds only what `pg_catalog` has: for `citext` that is text's
//! operator, whose order is not the index's, and for `ltree` there is none. So every operator is written with its schema, as
//! the index's operator class names it, and so are its collation and its direction.
//!
//! Surprise: an index can have a class whose operators are not there or not ours to use. Its rows then have no order, and the
//! table is read in one piece.

use crate::source::postgres::fault::Fault;
use crate::source::postgres::simple_query::{Connection, Row, identifier, literal};

/// The key's columns in the order of their index; empty where there is no order to read in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyOrder(Vec<OrderedColumn>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct OrderedColumn {
    name: String,
    /// The column as the index compares it.
    compared: String,
    /// Behind a literal that is compared with it.
    casts: String,
    precedes: String,
    equals: String,
    follows: String,
    nulls_first: bool,
}

/// Of the index by which the rows are told apart, column by column. A class for `anyarray` and the like is used without a
/// cast where the server takes the column for one, else with the type beneath its domain: only then it can use the index.
const COLUMNS: &str = "SELECT a.attname, \
     CASE WHEN c.casts THEN pg_catalog.format('%I.%I', n.nspname, t.typname) END, \
     CASE WHEN l.casts THEN pg_catalog.format('::%I.%I', bn.nspname, bt.typname) END, \
     CASE WHEN l.casts AND it.typtype <> 'p' THEN pg_catalog.format('::%I.%I', n.nspname, t.typname) END, \
     (SELECT pg_catalog.format('%I.%I', n.nspname, o.collname) FROM pg_catalog.pg_collation o \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace WHERE o.oid = k.ordered_by), \
     k.flags & 1 <> 0, k.flags & 2 <> 0, o.less, o.equal, o.greater \
     FROM pg_catalog.pg_class r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid \
     CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[]) \
         WITH ORDINALITY AS k(attnum, class, ordered_by, flags, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.attnum \
     JOIN pg_catalog.pg_type at ON at.oid = a.atttypid \
     JOIN pg_catalog.pg_opclass oc ON oc.oid = k.class \
     JOIN pg_catalog.pg_am am ON am.oid = oc.opcmethod AND am.amname = 'btree' \
     JOIN pg_catalog.pg_type it ON it.oid = oc.opcintype \
     CROSS JOIN LATERAL (WITH RECURSIVE base(oid, below) AS (SELECT at.oid, at.typbasetype \
         UNION ALL SELECT t.oid, t.typbasetype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.below) \
         SELECT oid FROM base WHERE below = 0) b \
     JOIN pg_catalog.pg_type bt ON bt.oid = b.oid JOIN pg_catalog.pg_namespace bn ON bn.oid = bt.typnamespace \
     CROSS JOIN LATERAL (SELECT CASE it.typtype WHEN 'p' THEN at.typtype = 'd' AND bt.typtype IN ('e', 'c') \
         ELSE at.oid <> it.oid END AS casts) c \
     CROSS JOIN LATERAL (SELECT CASE it.typtype WHEN 'p' THEN at.typtype IN ('d', 'c') ELSE c.casts END AS casts) l \
     JOIN pg_catalog.pg_type t ON t.oid = CASE it.typtype WHEN 'p' THEN b.oid ELSE it.oid END \
     JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
     CROSS JOIN LATERAL (SELECT max(s.operator) FILTER (WHERE s.strategy = 1) AS less, \
             max(s.operator) FILTER (WHERE s.strategy = 3) AS equal, max(s.operator) FILTER (WHERE s.strategy = 5) AS greater \
         FROM (SELECT m.amopstrategy, pg_catalog.format('OPERATOR(%I.%s)', n.nspname, p.oprname) FROM pg_catalog.pg_amop m \
             JOIN pg_catalog.pg_operator p ON p.oid = m.amopopr JOIN pg_catalog.pg_namespace n ON n.oid = p.oprnamespace \
             WHERE m.amopfamily = oc.opcfamily AND m.amoplefttype = oc.opcintype AND m.amoprighttype = oc.opcintype \
             AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')) s(strategy, operator)) o \
     WHERE k.place <= i.indnkeyatts AND i.indisvalid AND i.indimmediate AND CASE r.relreplident \
         WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END";

/// The order of a table whose key has these columns.
///
/// # Errors
/// Those of the connection.
pub async fn read(connection: &mut Connection, relation: u32, key: &[String]) -> Result<KeyOrder, Fault> {
    if key.is_empty() {
        return Ok(KeyOrder::default());
    }
    let rows = connection.query(&format!("{COLUMNS} AND r.oid = {relation} ORDER BY k.place")).await?;
    let columns = rows.iter().map(column).collect::<Result<Option<Vec<_>>, _>>()?.unwrap_or_default();
    let is_whole = columns.iter().map(|column| &column.name).eq(key);
    Ok(if is_whole { KeyOrder(columns) } else { KeyOrder::default() })
}

/// `None`: it cannot be compared.
fn column(row: &Row) -> Result<Option<OrderedColumn>, Fault> {
    let (Some(less), Some(equal), Some(greater)) = (row.text(7), row.text(8), row.text(9)) else { return Ok(None) };
    let name: String = row.some(0)?;
    let cast = row.text(1).map(|name| format!("::{name}")).unwrap_or_default();
    let collation = row.text(4).map(|name| format!(" COLLATE {name}")).unwrap_or_default();
    let (precedes, follows) = if row.is_true(5) { (greater, less) } else { (less, greater) };
    Ok(Some(OrderedColumn {
        compared: format!("{}{cast}{collation}", identifier(&name)),
        name,
        casts: [row.text(2), row.text(3)].into_iter().flatten().collect(),
        precedes: precedes.to_owned(),
        equals: equal.to_owned(),
        follows: follows.to_owned(),
        nulls_first: row.is_true(6),
    }))
}

impl KeyOrder {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the index.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| &*column.name)
    }

    /// What follows ORDER BY; it tells two orders apart, too.
    pub fn to_sql(&self) -> String {
        let one = |column: &OrderedColumn| {
            let nulls = if column.nulls_first { "FIRST" } else { "LAST" };
            format!("{} USING {} NULLS {nulls}", column.compared, column.precedes)
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Conditions: the rows behind a key are those of the first, then those of the second, and so on. One for each column
    /// where the operators differ: the server can find only such ranges by the index.
    pub fn ranges_after(&self, key: &[String]) -> Vec<String> {
        let compared: Vec<_> = self.0.iter().zip(key).collect();
        let Some((first, _)) = compared.first() else { return Vec::new() };
        if compared.iter().all(|(column, _)| column.follows == first.follows) {
            let columns: Vec<_> = compared.iter().map(|(column, _)| column.compared.clone()).collect();
            let values: Vec<_> = compared.iter().map(|(column, value)| column.literal(value)).collect();
            return vec![format!("({}) {} ({})", columns.join(", "), first.follows, values.join(", "))];
        }
        let range = |place: usize| {
            let equal = compared.iter().take(place).map(|(column, value)| column.equal_to(value));
            let behind = compared.iter().skip(place).take(1).map(|(column, value)| column.behind(value));
            equal.chain(behind).collect::<Vec<_>>().join(" AND ")
        };
        (0..compared.len()).rev().map(range).collect()
    }

    /// Whether a row has this key: names and values.
    pub fn equals<'a>(&self, key: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let find = |(name, value)| Some(self.0.iter().find(|column| column.name == name)?.equal_to(value));
        key.filter_map(find).collect::<Vec<_>>().join(" AND ")
    }
}

impl OrderedColumn {
    fn literal(&self, value: &str) -> String {
        format!("{}{}", literal(value), self.casts)
    }

    fn equal_to(&self, value: &str) -> String {
        format!("{} {} {}", self.compared, self.equals, self.literal(value))
    }

    fn behind(&self, value: &str) -> String {
        format!("{} {} {}", self.compared, self.follows, self.literal(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, schema: &str) -> OrderedColumn {
        let operator = |sign: &str| format!("OPERATOR({schema}.{sign})");
        OrderedColumn {
            name: name.to_owned(),
            compared: identifier(name),
            casts: String::new(),
            precedes: operator("<"),
            equals: operator("="),
            follows: operator(">"),
            nulls_first: false,
        }
    }

    #[test]
    fn one_operator_for_all_columns_is_one_range_and_several_are_one_for_each() {
        let key = ["1".to_owned(), "x".to_owned()];
        let same = KeyOrder(vec![column("a", "s"), column("b", "s")]);
        assert_eq!(same.ranges_after(&key), [r#"("a", "b") OPERATOR(s.>) ('1', 'x')"#]);
        assert_eq!(same.to_sql(), r#""a" USING OPERATOR(s.<) NULLS LAST, "b" USING OPERATOR(s.<) NULLS LAST"#);
        let cast = OrderedColumn { casts: "::o.t".to_owned(), ..column("b", "o") };
        let two = KeyOrder(vec![column("a", "s"), cast]);
        assert_eq!(
            two.ranges_after(&key),
            [r#""a" OPERATOR(s.=) '1' AND "b" OPERATOR(o.>) 'x'::o.t"#, r#""a" OPERATOR(s.>) '1'"#]
        );
        let pairs = [("b", "x"), ("a", "1")];
        assert_eq!(two.equals(pairs.into_iter()), r#""b" OPERATOR(o.=) 'x'::o.t AND "a" OPERATOR(s.=) '1'"#);
    }
}

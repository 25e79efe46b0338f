//! A reader that applies what it is sent holds exactly what it may see, after each of many random changes, and no byte of
//! anything else. The oracle knows nothing of wire forms, views or grants: it looks at all rows, and at the entitlements as they
//! were made up.

use crate::config::{self, Access, Passwords};
use crate::deliver::class::{Asked, Class};
use crate::deliver::filter::filter;
use crate::deliver::subject::Subject;
use crate::deliver::view::View;
use crate::model::name::{SystemName, TableName};
use crate::model::schema::{Column, ColumnShape, Identity, SchemaId, TableSchema};
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::api::v1::{Change, Changes, FieldSet, Op};
use crate::wire::fields::{Fields, Value};
use crate::wire::varint::{put_bytes, put_tag, put_varint, zigzag};
use bytes::Bytes;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Some of them see everything, and say nothing of masks.
const WORLDS: usize = 550;
const TRANSITIONS: usize = 200;
const SENSITIVITIES: [&str; 4] = ["public", "internal", "confidential", "restricted"];
const TERRITORIES: [&str; 3] = ["DACH", "Nordics", "Iberia"];
const FIELDS: usize = 5;

/// Values by column; without those that are null.
type Row = BTreeMap<String, Cell>;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Cell {
    Text(String),
    Number(i64),
}

/// A predicate as the file has it, and what it means.
type Predicate = (&'static str, fn(&Row) -> Option<bool>);

const PREDICATES: [Predicate; 6] = [
    ("row.territory in subject.territories", |row| text(row, "territory").map(|t| t == "DACH" || t == "Nordics")),
    ("row.level >= 3", |row| number(row, "level").map(|level| level >= 3)),
    ("not row.territory == 'Iberia'", |row| text(row, "territory").map(|t| t != "Iberia")),
    ("row.territory = 'DACH' or row.level < 2", |row| {
        match (text(row, "territory").map(|t| t == "DACH"), number(row, "level").map(|level| level < 2)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }
    }),
    ("row.level != subject.level and row.territory in ['DACH', 'Iberia']", |row| {
        match (number(row, "level").map(|level| level != 2), text(row, "territory").map(|t| t != "Nordics")) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }),
    ("not (row.level > 1 and row.level <= 3)", |row| number(row, "level").map(|level| level <= 1 || level > 3)),
];

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    if let Some(Cell::Text(text)) = row.get(column) { Some(text) } else { None }
}

fn number(row: &Row, column: &str) -> Option<i64> {
    if let Some(Cell::Number(number)) = row.get(column) { Some(*number) } else { None }
}

/// An entitlement as it was made up.
struct Given {
    /// Columns that it shows of a row, and those that it admits to the type.
    shown: BTreeSet<String>,
    described: BTreeSet<String>,
    rows: Option<Predicate>,
}

struct World {
    schema: TableSchema,
    class: Class,
    given: Vec<Given>,
    rows: BTreeMap<i64, Row>,
    random: StdRng,
    marks: u64,
}

/// What is made up of a field.
struct Field {
    sensitivity: usize,
    tag: Option<&'static str>,
    owner: &'static str,
}

impl World {
    fn new(seed: u64, dir: &Path) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let is_entity = random.random();
        let fields: BTreeMap<String, Field> = (0..FIELDS)
            .map(|number| {
                let sensitivity = random.random_range(0..SENSITIVITIES.len());
                let tag = *[None, Some("pii"), Some("tax")].choose(&mut random).expect("some");
                let owner = if number == 0 { "crm" } else { "erp" };
                (format!("f{number}"), Field { sensitivity, tag, owner })
            })
            .chain(
                ["territory", "level"]
                    .map(|name| (name.to_owned(), Field { sensitivity: 0, tag: Some("open"), owner: "erp" })),
            )
            .collect();
        write_contract(&fields, dir);
        let (mut given, mut yaml) = (Vec::new(), String::new());
        for _ in 0..random.random_range(1..=3) {
            given.push(entitlement(&fields, is_entity, &mut random, &mut yaml));
        }
        let access = access(&yaml, dir);
        let asked = if is_entity {
            Asked { entities: vec!["thing".to_owned()], ..Asked::default() }
        } else {
            Asked { tables: vec!["*".to_owned()], ..Asked::default() }
        };
        let class = Class::new(&access, &Subject::configured("app", &["reader".to_owned()]), &asked).expect("entitled");
        let mut schema = schema(is_entity);
        if is_entity {
            schema.origin = access.entities["thing"].fingerprint().into();
        }
        Self { schema, class, given, rows: BTreeMap::new(), random, marks: 0 }
    }

    /// What the subject may see of a row.
    fn seen(&self, row: &Row) -> Option<Row> {
        let admits = |given: &&Given| given.rows.is_none_or(|(_, holds)| holds(row) == Some(true));
        let shown: Vec<&BTreeSet<String>> = self.given.iter().filter(admits).map(|given| &given.shown).collect();
        let is_shown = |column: &String| shown.iter().any(|shown| shown.contains(column));
        (!shown.is_empty())
            .then(|| row.iter().filter(|(column, _)| is_shown(column)).map(|(c, v)| (c.clone(), v.clone())).collect())
    }

    /// A value like no other, or null, or one that predicates look at.
    fn cell(&mut self, column: &str) -> Option<Cell> {
        if self.random.random_bool(0.15) {
            return None;
        }
        Some(match column {
            "level" => Cell::Number(self.random.random_range(0..5)),
            "territory" => Cell::Text((*TERRITORIES.choose(&mut self.random).expect("some")).to_owned()),
            _ => {
                self.marks += 1;
                Cell::Text(format!("<mark {}>", self.marks))
            }
        })
    }

    fn new_row(&mut self, id: i64) -> Row {
        let columns: Vec<String> = self.schema.columns.iter().map(|column| column.shape.name.to_string()).collect();
        let mut row = Row::from([("id".to_owned(), Cell::Number(id))]);
        for column in columns.iter().skip(1) {
            row.extend(self.cell(column).map(|cell| (column.clone(), cell)));
        }
        row
    }

    /// A random change, done to the rows, as the journal has it; with the rows before and after.
    fn change(&mut self) -> (Change, Option<Row>, Option<Row>) {
        let ids: Vec<i64> = self.rows.keys().copied().collect();
        let (fresh, known) = (self.marks.cast_signed() + 1_000, ids.choose(&mut self.random).copied());
        let (op, before, after) = match (self.random.random_range(0..10), known) {
            (0..=1, _) | (_, None) => (Op::Insert, None, Some(self.new_row(fresh))),
            (2, Some(id)) => (Op::Delete, self.rows.remove(&id), None),
            (3, Some(id)) => (Op::Read, None, self.rows.get(&id).cloned()),
            (choice, Some(id)) => {
                let before = self.rows.remove(&id).expect("known");
                let mut after = before.clone();
                let columns: Vec<String> =
                    self.schema.columns.iter().skip(1).map(|column| column.shape.name.to_string()).collect();
                for _ in 0..self.random.random_range(0..4) {
                    let column = columns.choose(&mut self.random).expect("some").clone();
                    match self.cell(&column) {
                        Some(cell) => after.insert(column, cell),
                        None => after.remove(&column),
                    };
                }
                if choice == 9 && !self.schema.is_entity() {
                    after.insert("id".to_owned(), Cell::Number(fresh));
                }
                (Op::Update, Some(before), Some(after))
            }
        };
        self.marks += 1;
        if let Some(row) = &after {
            self.rows.insert(number(row, "id").expect("a key"), row.clone());
        }
        (self.encode(op, before.as_ref(), after.as_ref()), before, after)
    }

    fn encode(&mut self, op: Op, before: Option<&Row>, after: Option<&Row>) -> Change {
        let mut change = Change { schema_id: self.schema.id.0, op: op.into(), ..Change::default() };
        let mut left_out = BTreeSet::new();
        if let (Some(before), Some(after)) = (before, after) {
            let differ = |column: &&Column| before.get(&*column.shape.name) != after.get(&*column.shape.name);
            let fields = self.schema.columns.iter().filter(differ).map(|column| column.number).collect();
            if self.schema.is_entity() {
                change.updated = Some(FieldSet { fields });
            } else {
                // As PostgreSQL leaves out what is large and stays.
                let stay = self.schema.columns.iter().filter(|column| !differ(column) && !column.shape.key);
                left_out.extend(stay.map(|column| column.number));
                let random = &mut self.random;
                left_out.retain(|_| random.random_bool(0.3));
                change.unchanged = left_out.iter().copied().collect();
            }
        }
        change.before = before.map(|row| encode(&self.schema, row, &BTreeSet::new()));
        change.after = after.map(|row| encode(&self.schema, row, &left_out));
        change
    }
}

fn encode(schema: &TableSchema, row: &Row, without: &BTreeSet<u32>) -> Bytes {
    let mut out = Vec::new();
    for column in schema.columns.iter().filter(|column| !without.contains(&column.number)) {
        match row.get(&*column.shape.name) {
            Some(Cell::Text(text)) => put_bytes(&mut out, column.number, text.as_bytes()),
            Some(Cell::Number(number)) => {
                put_tag(&mut out, column.number, 0);
                put_varint(&mut out, zigzag(*number));
            }
            None => {}
        }
    }
    out.into()
}

fn decode(schema: &TableSchema, bytes: &[u8]) -> Row {
    let mut row = Row::new();
    for field in Fields::of(bytes).map(|field| field.expect("well formed")) {
        let column = schema.columns.iter().find(|column| column.number == field.number).expect("described");
        let cell = match field.value {
            Value::Bytes(_) => Cell::Text(field.value.text().expect("text").to_owned()),
            _ => Cell::Number(field.value.signed().expect("a number")),
        };
        row.insert(column.shape.name.to_string(), cell);
    }
    row
}

fn write_contract(fields: &BTreeMap<String, Field>, dir: &Path) {
    let mut yaml = "version: 1\nentities:\n  thing:\n    ids: {crm_id: crm, erp_id: erp}\n    sources:\n".to_owned();
    yaml += "      crm: {root: {table: public.things, key: id}}\n      erp: {root: {table: public.things, key: id}}\n    fields:\n";
    for (name, Field { sensitivity, tag, owner }) in fields {
        let (sensitivity, tags) = (SENSITIVITIES[*sensitivity], tag.map(|tag| tag.to_owned()).unwrap_or_default());
        writeln!(
            yaml,
            "      {name}: {{owner: {owner}, map: {{crm: {name}, erp: {name}}}, sensitivity: {sensitivity}, tags: [{tags}]}}"
        )
        .expect("a string takes all");
    }
    // So that each tag is one of some field.
    for tag in ["pii", "tax"] {
        writeln!(yaml, "      has_{tag}: {{owner: crm, map: {{crm: {tag}}}, tags: [{tag}]}}")
            .expect("a string takes all");
    }
    std::fs::write(dir.join("contract.yaml"), yaml).expect("the directory is ours");
}

fn access(entitlements: &str, dir: &Path) -> Access {
    let system = |name: &str| {
        format!("  {name}: {{kind: postgres, host: /tmp, user: u, database: d, tables: {{include: [\"*\"]}}}}\n")
    };
    let yaml = format!(
        "version: 1\ndata_dir: d\nsystems:\n{}{}contracts: [contract.yaml]\nroles: [reader]\nentitlements:\n{entitlements}\
         subjects:\n  app: {{roles: [reader], attributes: {{territories: [DACH, Nordics], level: 2}}, token_hash: \"sha256:{}\"}}\n",
        system("crm"),
        system("erp"),
        "0".repeat(64)
    );
    config::parse(&dir.join("t.yaml"), yaml.as_bytes(), Passwords::Leave)
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"))
        .access
}

/// Makes one up, and writes it as the file has it.
fn entitlement(fields: &BTreeMap<String, Field>, is_entity: bool, random: &mut StdRng, yaml: &mut String) -> Given {
    let is_raw = !is_entity && random.random_bool(0.5);
    let max = random.random_range(0..SENSITIVITIES.len());
    let rows = PREDICATES.choose(random).copied().filter(|_| random.random_bool(0.7));
    let mut masks: BTreeMap<String, &str> = BTreeMap::new();
    for _ in 0..random.random_range(0..3) {
        let name = if random.random() { format!("f{}", random.random_range(0..FIELDS)) } else { "tag:pii".to_owned() };
        masks.insert(name, if random.random() { "omit" } else { "null" });
    }
    let of = match (is_entity, is_raw) {
        (true, _) => format!("entity: thing, max_sensitivity: {}", SENSITIVITIES[max]),
        (_, true) => "tables: [\"erp.*\"], columns: all".to_owned(),
        (_, false) => format!("tables: [\"erp.*\"], max_sensitivity: {}", SENSITIVITIES[max]),
    };
    let rows_text = rows.map(|(text, _)| format!(", rows: \"{text}\"")).unwrap_or_default();
    let masks_text: Vec<_> = masks.iter().map(|(name, mask)| format!("\"{name}\": {mask}")).collect();
    writeln!(yaml, "  - {{role: reader, {of}{rows_text}, mask: {{{}}}}}", masks_text.join(", "))
        .expect("a string takes all");
    let (mut shown, mut described) = (BTreeSet::new(), BTreeSet::new());
    for column in columns(is_entity) {
        let field = fields.get(&column);
        let is_open = match field {
            _ if is_raw || column == "id" => true,
            None => is_entity,
            Some(field) => field.sensitivity <= max && (is_entity || field.owner == "erp"),
        };
        let mask = |name: &str| masks.get(name).copied();
        let by_tag = field.and_then(|field| field.tag).and_then(|tag| mask(&format!("tag:{tag}")));
        let found: Vec<&str> = mask(&column).into_iter().chain(by_tag).collect();
        if is_open && !found.contains(&"omit") {
            described.insert(column.clone());
            if found.is_empty() {
                shown.insert(column);
            }
        }
    }
    Given { shown, described, rows }
}

fn columns(is_entity: bool) -> Vec<String> {
    let fields = (0..FIELDS).map(|number| format!("f{number}")).chain(["level".to_owned(), "territory".to_owned()]);
    let others = if is_entity { vec!["crm_id", "erp_id"] } else { vec!["extra"] };
    ["id"].into_iter().chain(others).map(str::to_owned).chain(fields).collect()
}

fn schema(is_entity: bool) -> TableSchema {
    let column = |(number, name): (u32, String)| {
        let scalar = if ["id", "level"].contains(&name.as_str()) { Scalar::Int64 } else { Scalar::String };
        let key = name == "id";
        let shape = ColumnShape {
            name: name.as_str().into(),
            value_type: ValueType::Scalar(scalar),
            declared_type: "".into(),
            key,
        };
        Column { shape, number, field: name.into() }
    };
    let (system, name) = if is_entity {
        (SystemName::tailwater(), TableName::new("entity", "thing"))
    } else {
        (SystemName::new("erp").expect("a name"), TableName::new("public", "things"))
    };
    TableSchema {
        id: SchemaId(7),
        system,
        name,
        identity: Identity::Full,
        columns: (1..).zip(columns(is_entity)).map(column).collect(),
        type_name: "".into(),
        reserved: Vec::new(),
        origin: "".into(),
    }
}

/// A reader's copy, and what it was promised.
fn apply(reader: &mut BTreeMap<i64, Row>, schema: &TableSchema, change: &Change) {
    let row = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| decode(schema, bytes));
    let (before, mut after) = (row(&change.before), row(&change.after));
    let id = |row: &Option<Row>| row.as_ref().and_then(|row| number(row, "id"));
    let old = id(&before).or(id(&after)).expect("a key");
    match change.op() {
        Op::Insert | Op::Created => {
            assert!(!reader.contains_key(&old), "{change:?}: it is here already");
            assert!(change.before.is_none() && change.unchanged.is_empty());
        }
        Op::Read => {}
        Op::Update | Op::Delete => {
            let known = reader.remove(&old).unwrap_or_else(|| panic!("{change:?} of a row that was never shown"));
            assert!(
                before.as_ref().is_none_or(|before| *before == known),
                "{before:?} is not what was shown: {known:?}"
            );
            assert!(change.unchanged.is_empty(), "what is known whole is given whole");
        }
        Op::LeftScope => {
            reader.remove(&old).expect("it was shown");
            let left = before.as_ref().expect("its key");
            assert_eq!(left.keys().collect::<Vec<_>>(), ["id"], "nothing but the key");
            after = None;
        }
        Op::Truncate | Op::Unspecified => panic!("{change:?}"),
    }
    if let Some(after) = after {
        reader.insert(number(&after, "id").expect("a key"), after);
    }
}

#[test]
fn through_a_hundred_thousand_changes_a_reader_holds_what_it_may_see_and_no_byte_of_the_rest() {
    let seed =
        std::env::var("TAILWATER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("TAILWATER_SEED={seed}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut emitted, mut scopes) = (0, BTreeSet::new());
    for number in 0..WORLDS {
        let mut world = World::new(seed.wrapping_add(number as u64), dir.path());
        let view = world.class.view(&world.schema);
        if let View::Whole = view {
            // Nothing is taken apart.
            continue;
        }
        let described = view.described(&world.schema);
        let names = |schema: &TableSchema| -> BTreeSet<String> {
            schema.columns.iter().map(|column| column.shape.name.to_string()).collect()
        };
        let expected: BTreeSet<String> = world.given.iter().flat_map(|given| given.described.clone()).collect();
        assert_eq!(names(&described), expected, "the type has what some entitlement shows or nulls, and nothing else");
        let mut reader = BTreeMap::new();
        for _ in 0..TRANSITIONS {
            let (change, before, after) = world.change();
            let views = [&before, &after].map(|row| row.as_ref().and_then(|row| world.seen(row)));
            let chunk: Bytes = Changes { changes: vec![change] }.encode_to_vec().into();
            let mut out = Vec::new();
            filter(&chunk, |_| &view, &mut out).expect("well formed");
            for hidden in hidden(&[&before, &after], &views) {
                assert!(!holds(&out, &hidden), "{hidden} leaks");
            }
            let sent = Changes::decode(&out[..]).expect("well formed").changes;
            if before.is_some() && views[0] == views[1] {
                assert!(sent.is_empty(), "that something unseen changed is nobody's: {sent:?}");
            }
            for change in &sent {
                emitted += 1;
                scopes.insert(change.op);
                updated_is_seen(change, &described, &views);
                apply(&mut reader, &described, change);
            }
            let expected: BTreeMap<i64, Row> =
                world.rows.iter().filter_map(|(id, row)| Some((*id, world.seen(row)?))).collect();
            assert_eq!(reader, expected);
        }
    }
    assert!(emitted > WORLDS * TRANSITIONS / 10, "{emitted} were sent");
    assert_eq!(scopes.len(), 6, "inserts, updates, deletes, reads, rows that came in and rows that left");
}

/// Values of the rows that are in none of the views.
fn hidden(rows: &[&Option<Row>], views: &[Option<Row>]) -> BTreeSet<String> {
    let marks = |row: &Row| -> Vec<String> {
        row.values().filter_map(|cell| if let Cell::Text(text) = cell { Some(text.clone()) } else { None }).collect()
    };
    let seen: BTreeSet<String> = views.iter().flatten().flat_map(marks).collect();
    let all = rows.iter().filter_map(|row| row.as_ref()).flat_map(marks);
    all.filter(|mark| mark.starts_with("<mark") && !seen.contains(mark)).collect()
}

fn holds(out: &[u8], mark: &str) -> bool {
    out.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// Only fields are named that differ between what was seen and what is.
fn updated_is_seen(change: &Change, described: &TableSchema, views: &[Option<Row>]) {
    for number in change.updated.iter().flat_map(|updated| &updated.fields) {
        let column = described.columns.iter().find(|column| column.number == *number).expect("described");
        let cell = |view: &Option<Row>| view.as_ref().and_then(|row| row.get(&*column.shape.name).cloned());
        assert_ne!(cell(&views[0]), cell(&views[1]), "{} is named and did not change", column.shape.name);
    }
}

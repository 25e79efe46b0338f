//! What a plan makes of the journal's transactions, without a target.

use super::fold::Effect;
use super::names::Seen;
use super::plan::{Plan, Single, Step, TableBatch};
use super::table::{Alteration, Source, State, Table};
use crate::deliver::view::View;
use crate::journal::Header;
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::{SystemName, TableName};
use crate::model::position::{History, Lsn, Position, Sequence};
use crate::model::schema::{Column, ColumnShape, Identity, SchemaId, TableSchema};
use crate::model::time::UnixMicros;
use crate::model::value_type::{Scalar, ValueType};
use crate::wire::api::v1::{Change, Op};
use crate::wire::varint::{put_bytes, put_tag, put_varint, zigzag};
use bytes::Bytes;
use std::sync::Arc;

fn system() -> SystemName {
    SystemName::new("erp").expect("a name")
}

/// `id` is the key of a keyed table; both columns are text but `id`.
fn schema(id: u32, names: &[&str], identity: Identity) -> Arc<TableSchema> {
    let columns = (1..).zip(names).map(|(number, name)| Column {
        shape: ColumnShape {
            name: (*name).into(),
            value_type: ValueType::Scalar(if *name == "id" { Scalar::Int32 } else { Scalar::String }),
            declared_type: if *name == "id" { "integer" } else { "text" }.into(),
            key: *name == "id" && identity == Identity::Key,
        },
        number,
        field: (*name).into(),
    });
    Arc::new(TableSchema {
        id: SchemaId(id),
        system: system(),
        name: TableName::new("public", "t"),
        identity,
        columns: columns.collect(),
        type_name: "".into(),
        reserved: vec![],
        origin: "".into(),
    })
}

fn row(id: i64, text: Option<&str>) -> Bytes {
    let mut row = Vec::new();
    put_tag(&mut row, 1, 0);
    put_varint(&mut row, zigzag(id));
    text.into_iter().for_each(|text| put_bytes(&mut row, 2, text.as_bytes()));
    row.into()
}

struct Scene {
    plan: Plan,
    schemas: Vec<Arc<TableSchema>>,
    sequence: u64,
}

impl Scene {
    /// A table that a copy made ready.
    fn ready(schema: Arc<TableSchema>) -> Self {
        let source = Source { system: system(), name: TableName::new("public", "t") };
        let table = Table::waiting(source, TableName::new("erp", "t"), Sequence(0));
        let mut scene = Self { plan: Plan::new([table]), schemas: vec![schema], sequence: 0 };
        scene.copy(1, CopyPhase::Begin, &[]);
        scene.copy(1, CopyPhase::End, &[]);
        scene.plan.take_batch();
        assert_eq!(scene.state(), State::Ready);
        scene
    }

    fn state(&self) -> State {
        self.plan.tables().next().expect("one").state.clone()
    }

    fn copy(&mut self, schema: u32, phase: CopyPhase, changes: &[Change]) {
        let step = CopyStep { table: TableName::new("public", "t"), copy: 1, phase, anew: false };
        self.transaction(schema, Some(step), changes);
    }

    fn change(&mut self, schema: u32, op: Op, before: Option<Bytes>, after: Option<Bytes>) {
        self.transaction(schema, None, &[change(schema, op, before, after)]);
    }

    fn transaction(&mut self, schema: u32, copy: Option<CopyStep>, changes: &[Change]) {
        self.sequence += 1;
        let header = Header {
            sequence: Sequence(self.sequence),
            history: History::default(),
            system: system(),
            position: Position::Postgres { commit_lsn: Lsn(self.sequence) },
            commit_time: UnixMicros(0),
            transaction: String::new(),
            changes: changes.len() as u64,
            schemas: vec![SchemaId(schema)],
            bytes: 0,
            chunks: 0,
            bytes_total: 0,
            copied_rows: 0,
            cause: None,
            copy,
        };
        let schemas = &self.schemas;
        let known = |id: SchemaId| {
            let schema = schemas.iter().find(|schema| schema.id == id)?;
            let (schema, policy) = ((**schema).clone(), String::new());
            Some(Seen { schema, view: View::Whole, policy, is_outdated: false })
        };
        if self.plan.begin(&header, known) {
            for change in changes {
                self.plan.change(&header, change.clone()).expect("well formed");
            }
        }
    }

    fn only(&mut self) -> TableBatch {
        let (mut batches, _) = self.plan.take_batch();
        assert_eq!(batches.len(), 1);
        batches.remove(0)
    }
}

fn change(schema_id: u32, op: Op, before: Option<Bytes>, after: Option<Bytes>) -> Change {
    Change { schema_id, op: op.into(), before, after, ..Change::default() }
}

#[test]
fn many_changes_of_a_key_are_one_write_and_a_moved_key_keeps_its_place() {
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Key));
    scene.change(1, Op::Insert, None, Some(row(1, Some("a"))));
    scene.change(1, Op::Update, None, Some(row(1, Some("b"))));
    scene.change(1, Op::Insert, None, Some(row(2, None)));
    scene.change(1, Op::Update, Some(row(1, None)), Some(row(3, Some("b"))));
    scene.change(1, Op::Delete, Some(row(3, None)), None);
    let TableBatch { steps, changed, .. } = scene.only();
    assert!(!changed);
    let [(Step::Net(first), _), (Step::Single(moves), _), (Step::Net(last), _)] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert!(matches!(&moves[..], [Single::Move { before, .. }] if *before == row(1, None)));
    assert!(first.bytes() > 0 && last.bytes() > 0);
    let mut steps = steps.into_iter();
    let Some((Step::Net(first), _)) = steps.next() else { panic!("a fold") };
    assert_eq!(first.into_effects().count(), 2, "two keys");
    let Some((Step::Net(last), _)) = steps.last() else { panic!("a fold") };
    assert!(last.into_effects().all(|effect| matches!(effect, Effect::Delete { .. })));
}

#[test]
fn a_truncate_forgets_what_was_folded_before_it() {
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Key));
    scene.change(1, Op::Insert, None, Some(row(1, None)));
    scene.change(1, Op::Truncate, None, None);
    scene.change(1, Op::Insert, None, Some(row(2, None)));
    let steps = scene.only().steps;
    assert!(matches!(&steps[..], [(Step::Alter(Alteration::Clear), _), (Step::Net(_), _)]), "{steps:?}");
}

#[test]
fn rows_that_a_copy_read_are_for_those_who_follow_it() {
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Key));
    scene.copy(1, CopyPhase::Begin, &[]);
    scene.copy(1, CopyPhase::Rows, &[change(1, Op::Read, None, Some(row(1, None)))]);
    assert!(scene.plan.take_batch().0.is_empty(), "the table is whole");
    let mut table = scene.plan.tables().next().expect("one").clone();
    table.resync(Sequence(scene.sequence));
    scene.plan.put(table);
    scene.change(1, Op::Insert, None, Some(row(5, None)));
    scene.copy(1, CopyPhase::Begin, &[]);
    scene.copy(1, CopyPhase::Rows, &[change(1, Op::Read, None, Some(row(1, None)))]);
    scene.copy(1, CopyPhase::End, &[]);
    let TableBatch { steps, table, changed } = scene.only();
    let alters_and_rows = matches!(
        &steps[..],
        [(Step::Alter(Alteration::Disown(_)), _), (Step::Net(_), _), (Step::Alter(Alteration::Sweep(_)), _)]
    );
    assert!(alters_and_rows, "{steps:?}");
    assert!(changed && table.state == State::Ready);
}

#[test]
fn a_column_is_added_between_the_rows_before_and_after_it_and_a_rename_halts() {
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Key));
    scene.schemas.push(schema(2, &["id", "a", "b"], Identity::Key));
    scene.schemas.push(schema(3, &["id", "x", "b"], Identity::Key));
    scene.change(1, Op::Insert, None, Some(row(1, None)));
    scene.change(2, Op::Insert, None, Some(row(2, None)));
    let TableBatch { steps, table, .. } = scene.only();
    let columns: Vec<_> = steps.iter().map(|(_, shape)| shape.columns.len()).collect();
    assert_eq!(columns, [2, 3, 3], "{steps:?}");
    assert!(matches!(&steps[1].0, Step::Alter(Alteration::AddColumns(_))));
    assert_eq!(table.state, State::Refilling);
    scene.change(3, Op::Insert, None, Some(row(3, None)));
    scene.change(2, Op::Insert, None, Some(row(4, None)));
    let TableBatch { steps, table, changed } = scene.only();
    assert!(steps.is_empty() && changed && matches!(table.state, State::Halted(_)), "{table:?}");
}

#[test]
fn a_table_without_key_is_only_added_to_unless_whole_rows_say_which() {
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Nothing));
    scene.change(1, Op::Insert, None, Some(row(1, None)));
    scene.change(1, Op::Insert, None, Some(row(1, None)));
    let steps = scene.only().steps;
    assert!(matches!(&steps[..], [(Step::Single(rows), _)] if rows.len() == 2), "{steps:?}");
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Full));
    scene.change(1, Op::Update, Some(row(1, None)), Some(row(1, Some("b"))));
    scene.change(1, Op::Delete, Some(row(1, Some("b"))), None);
    let steps = scene.only().steps;
    let [(Step::Single(singles), _)] = &steps[..] else { panic!("{steps:?}") };
    assert!(matches!(&singles[..], [Single::Replace { .. }, Single::Delete { .. }]), "{singles:?}");
}

#[test]
fn a_column_with_a_name_of_ours_halts_the_table() {
    let mut scene = Scene::ready(schema(1, &["id", "a"], Identity::Key));
    scene.schemas.push(schema(2, &["id", "a", "_tailwater_sequence"], Identity::Key));
    scene.change(2, Op::Insert, None, Some(row(1, None)));
    assert!(matches!(scene.state(), State::Halted(problem) if problem.code.as_str() == "TW-TGT-014"));
}

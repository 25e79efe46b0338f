//! Schema history and the lock file, through the journal.

use super::fixture::{Place, commit, durable, system};
use crate::journal::Error;
use crate::model::code::{LOCK_FILE_DISAGREES, LOCK_FILE_UNWRITABLE};
use crate::model::name::TableName;
use crate::model::position::Sequence;
use crate::model::schema::{ColumnShape, Identity, SchemaId, TableShape};
use crate::model::value_type::{Scalar, ValueType};
use std::sync::Arc;

fn shape(columns: &[(&str, Scalar)]) -> TableShape {
    let column = |(name, scalar): &(&str, Scalar)| ColumnShape {
        name: (*name).into(),
        value_type: ValueType::Scalar(*scalar),
        declared_type: "t".into(),
        key: false,
    };
    let columns = columns.iter().map(column).collect();
    TableShape { name: TableName::new("public", "orders"), identity: Identity::Key, columns, origin: "".into() }
}

const FIRST: [(&str, Scalar); 2] = [("id", Scalar::Int64), ("note", Scalar::String)];
const RETYPED: [(&str, Scalar); 2] = [("id", Scalar::Int64), ("note", Scalar::Json)];

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_gets_a_new_version_and_history_stays() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    let first = intake.describe(&shape(&FIRST)).await.expect("described");
    assert!(Arc::ptr_eq(&first, &intake.describe(&shape(&FIRST)).await.expect("described")));
    let second = intake.describe(&shape(&RETYPED)).await.expect("described");
    assert_eq!((first.id, second.id), (SchemaId(1), SchemaId(2)));
    assert_eq!(second.columns.iter().map(|column| column.number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(second.reserved, [2]);
    intake.commit(commit(1)).await.expect("queued");
    durable(&journal, Sequence(1)).await;
    drop(intake);
    journal.close().await;
    let journal = place.open();
    assert_eq!(journal.schema(SchemaId(1)).as_ref(), Some(&first));
    assert_eq!(journal.current_schemas(), [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_journal_goes_on_with_the_lock_files_numbers() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    intake.describe(&shape(&FIRST)).await.expect("described");
    let before = intake.describe(&shape(&RETYPED)).await.expect("described");
    drop(intake);
    journal.close().await;
    std::fs::remove_dir_all(&place.options.path).expect("the journal is lost");
    let journal = place.open();
    let after = journal.intake(&system("crm")).describe(&shape(&RETYPED)).await.expect("described");
    assert_eq!(
        (&after.columns, &after.reserved, &after.type_name),
        (&before.columns, &before.reserved, &before.type_name)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_file_is_written_again_and_a_strange_one_refused() {
    let place = Place::new();
    let journal = place.open();
    journal.intake(&system("crm")).describe(&shape(&FIRST)).await.expect("described");
    journal.close().await;
    let text = std::fs::read_to_string(&place.options.lock_file).expect("a lock file");
    std::fs::remove_file(&place.options.lock_file).expect("lost");
    place.open().close().await;
    assert_eq!(std::fs::read_to_string(&place.options.lock_file).expect("a lock file"), text);
    std::fs::write(&place.options.lock_file, text.replace("\"note\"", "\"memo\"")).expect("edited");
    assert_eq!(place.refusal().code, LOCK_FILE_DISAGREES);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_is_given_out_that_cannot_be_recorded() {
    let mut place = Place::new();
    place.options.lock_file = "/proc/none/tailwater.lock".into();
    let journal = place.open();
    let refused = journal.intake(&system("crm")).describe(&shape(&FIRST)).await;
    assert!(matches!(refused, Err(Error::Refused(problem)) if problem.code == LOCK_FILE_UNWRITABLE));
    assert!(journal.current_schemas().is_empty());
}

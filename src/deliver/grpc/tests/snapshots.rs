//! Copies: what a stream says of them, and how one is asked for.

use super::fixture::*;
use crate::journal::CopyState;
use crate::model::code;
use crate::model::copy::CopyPhase;
use crate::wire::api::v1;
use crate::wire::api::v1::admin_service_client::AdminServiceClient;
use crate::wire::api::v1::frame::Frame;
use tonic::Code;

const ACCOUNTS: (&str, &str) = ("public", "accounts");
const SALARIES: (&str, &str) = ("secret", "salaries");

#[tokio::test]
async fn whoever_sees_a_table_sees_where_its_copies_begin_and_end_and_nobody_else_does() {
    let mut fixture = Fixture::start().await;
    for table in [ACCOUNTS, SALARIES] {
        fixture.copy_step(table, CopyPhase::Begin, 0, 0).await;
        fixture.copy_step(table, CopyPhase::Rows, 2, 2).await;
        fixture.copy_step(table, CopyPhase::End, 0, 2).await;
    }
    let last = fixture.commit(&[("public", "leads", 1)]).await;
    let mut frames = fixture.subscribe(READER, earliest(&["*"])).await.expect("allowed");
    let (system, schema, table) = ("crm".to_owned(), "public".to_owned(), "accounts".to_owned());

    let begin = frames.transaction().await;
    assert_eq!((begin.sequence, begin.schemas.len(), begin.changes.len()), (1, 1, 0));
    let said = v1::SnapshotBegin { system: system.clone(), schema: schema.clone(), table: table.clone(), copy: 1 };
    assert_eq!(begin.snapshot, Some(Frame::SnapshotBegin(said)));

    let rows = frames.transaction().await;
    assert!(rows.changes.len() == 2 && rows.changes.iter().all(|change| change.op() == v1::Op::Read));
    assert_eq!((rows.snapshot, rows.schemas), (None, vec![]));

    let end = frames.transaction().await;
    let said = v1::SnapshotEnd { system, schema, table, copy: 1, rows: 2 };
    assert_eq!((end.snapshot, end.changes.len()), (Some(Frame::SnapshotEnd(said)), 0));
    assert_eq!(frames.transaction().await.sequence, last.0);

    // Resumed between the two, the end still knows what was read.
    let mut resumed = fixture.subscribe(READER, after(&["*"], &rows.cursor)).await.expect("allowed");
    assert!(matches!(resumed.transaction().await.snapshot, Some(Frame::SnapshotEnd(end)) if end.rows == 2));
}

#[tokio::test]
async fn a_new_copy_is_asked_for_of_captured_tables_and_of_nothing_else() {
    let fixture = Fixture::start().await;
    let mut admin = AdminServiceClient::new(fixture.channel().await);
    let request = |tables: &[&str]| {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        with_token(&fixture.operator, v1::RequestSnapshotRequest { tables })
    };
    for (tables, status, code) in [
        (vec![], Code::InvalidArgument, code::REQUEST_INVALID),
        (vec!["crm.public.nothing", "*"], Code::NotFound, code::TABLE_NOT_FOUND),
        (vec!["crm.public.halted"], Code::NotFound, code::TABLE_NOT_FOUND),
        (vec!["erp.*"], Code::NotFound, code::TABLE_NOT_FOUND),
    ] {
        let refused = admin.request_snapshot(request(&tables)).await.expect_err("refused");
        assert_refused(&refused, status, code);
    }
    assert_eq!(fixture.journal.copies(), []);

    let answer = admin.request_snapshot(request(&["crm.public.leads", "*.leads"])).await.expect("taken").into_inner();
    assert_eq!(answer.tables, ["crm.public.leads"]);
    let answer = admin.request_snapshot(request(&["*"])).await.expect("taken").into_inner();
    assert_eq!(answer.tables, ["crm.public.accounts", "crm.public.leads"]);
    let copies = fixture.journal.copies();
    assert!(copies.len() == 2 && copies.iter().all(|copy| copy.state == CopyState::Wanted && copy.copy == 1));
}

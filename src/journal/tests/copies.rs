//! Copies: what is asked for, what comes of it, and that it is still there after an open.

use super::fixture::{checkpoint, commit, durable, options, system};
use crate::journal::{Commit, CopyProgress, CopyRecord, CopyState, Intake, Journal, MovedRow, READ_AGAIN_MAX};
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::name::TableName;
use crate::model::position::Sequence;
use crate::model::schema::SchemaId;

fn progress(copy: u64, phase: CopyPhase, rows: u64) -> CopyProgress {
    let step = CopyStep { table: TableName::new("public", "t"), copy, phase, anew: false };
    CopyProgress {
        step,
        last_key: vec![rows.to_string()],
        read_again: Vec::new(),
        rows,
        bytes: rows * 10,
        rows_estimate: 100,
        schema: SchemaId(1),
        relation: String::new(),
        again: None,
        key_order: String::new(),
    }
}

async fn step(journal: &Journal, intake: &mut Intake, progress: CopyProgress) -> Sequence {
    let next = journal.bounds().durable.next();
    let commit = Commit { copy: Some(progress), checkpoint: checkpoint(1), changes: 0, ..commit(next.0) };
    intake.commit(commit).await.expect("taken");
    durable(journal, next).await;
    next
}

async fn request(journal: &Journal, after: Sequence) -> CopyRecord {
    journal.request_copy(&system("erp"), &TableName::new("public", "t"), after).await.expect("recorded")
}

fn only(journal: &Journal) -> CopyRecord {
    let copies = journal.copies();
    assert_eq!(copies.len(), 1);
    copies[0].clone()
}

#[tokio::test]
async fn a_request_is_served_by_any_copy_that_begins_later_and_by_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    let wanted = request(&journal, Sequence(0)).await;
    assert_eq!((wanted.copy, wanted.state), (1, CopyState::Wanted));
    assert_eq!(request(&journal, Sequence(0)).await, wanted);

    let begin = step(&journal, &mut intake, progress(1, CopyPhase::Begin, 0)).await;
    let running = request(&journal, Sequence(begin.0 - 1)).await;
    assert_eq!((running.copy, running.state, running.again, running.begin), (1, CopyState::Running, false, begin));
    step(&journal, &mut intake, progress(1, CopyPhase::Rows, 7)).await;
    let again = request(&journal, begin).await;
    assert_eq!(
        (again.copy, again.again, again.rows, again.last_key.as_slice()),
        (1, true, 7, ["7".to_owned()].as_slice())
    );

    step(&journal, &mut intake, progress(1, CopyPhase::End, 7)).await;
    assert_eq!((only(&journal).copy, only(&journal).state), (2, CopyState::Wanted));
    let second = step(&journal, &mut intake, progress(2, CopyPhase::Begin, 0)).await;
    step(&journal, &mut intake, progress(2, CopyPhase::End, 9)).await;
    let done = only(&journal);
    assert_eq!((done.copy, done.state, done.begin, done.rows), (2, CopyState::Done, second, 9));
    assert_eq!(request(&journal, begin).await, done);
    assert_eq!(request(&journal, second).await.copy, 3);
}

#[tokio::test]
async fn how_far_a_copy_came_is_there_after_an_open_and_its_steps_read_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    request(&journal, Sequence(0)).await;
    step(&journal, &mut intake, progress(1, CopyPhase::Begin, 0)).await;
    step(&journal, &mut intake, progress(1, CopyPhase::Rows, 5)).await;
    let before = only(&journal);
    drop(intake);
    journal.close().await;

    let journal = Journal::open(options(folder.path())).expect("opens");
    assert_eq!(only(&journal), before);
    let mut reader = journal.reader(Sequence(0));
    for phase in [CopyPhase::Begin, CopyPhase::Rows] {
        let header = reader.next().await.expect("it reads");
        assert_eq!(header.copy.as_ref().map(|step| (step.copy, step.phase)), Some((1, phase)));
    }
}

#[tokio::test]
async fn a_copy_asked_for_anew_is_one_more_and_its_begin_has_to_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    let anew = async || journal.copy_anew(&system("erp"), &TableName::new("public", "t")).await.expect("recorded");
    let seen = |journal: &Journal| {
        let copy = only(journal);
        (copy.copy, copy.state, copy.again, copy.anew)
    };
    anew().await;
    assert!(journal.copies().is_empty(), "nobody has anything of it");
    request(&journal, Sequence(0)).await;
    step(&journal, &mut intake, progress(1, CopyPhase::Begin, 0)).await;
    anew().await;
    assert_eq!(seen(&journal), (1, CopyState::Running, true, true));
    step(&journal, &mut intake, progress(1, CopyPhase::End, 1)).await;
    assert_eq!(seen(&journal), (2, CopyState::Wanted, false, true));
    // This one was under way when it was asked for.
    step(&journal, &mut intake, progress(2, CopyPhase::Begin, 0)).await;
    assert_eq!(seen(&journal), (2, CopyState::Running, true, true));
    step(&journal, &mut intake, progress(2, CopyPhase::End, 1)).await;
    let mut begin = progress(3, CopyPhase::Begin, 0);
    begin.step.anew = true;
    step(&journal, &mut intake, begin).await;
    assert_eq!(seen(&journal), (3, CopyState::Running, false, false));
    step(&journal, &mut intake, progress(3, CopyPhase::End, 1)).await;
    anew().await;
    assert_eq!(seen(&journal), (4, CopyState::Wanted, false, true));
    // It may lack what it was asked for.
    let mut begin = progress(4, CopyPhase::Begin, 0);
    (begin.step.anew, begin.again) = (true, Some("it may lack rows".to_owned()));
    step(&journal, &mut intake, begin).await;
    assert_eq!(seen(&journal), (4, CopyState::Running, true, true));
    step(&journal, &mut intake, progress(4, CopyPhase::End, 1)).await;
    assert_eq!(seen(&journal), (5, CopyState::Wanted, false, true));
    assert_eq!(only(&journal).why, "it may lack rows");
}

async fn moved(journal: &Journal, intake: &mut Intake, table: &str, keys: impl Iterator<Item = usize>) {
    let next = journal.bounds().durable.next();
    let row = |key: usize| MovedRow { table: TableName::new("public", table), key: vec![key.to_string()] };
    let commit = Commit { moved: keys.map(row).collect(), checkpoint: checkpoint(1), changes: 1, ..commit(next.0) };
    intake.commit(commit).await.expect("taken");
    durable(journal, next).await;
}

#[tokio::test]
async fn rows_that_move_while_a_copy_runs_are_noted_until_they_are_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    request(&journal, Sequence(0)).await;
    moved(&journal, &mut intake, "t", 1..2).await;
    assert!(only(&journal).to_read_again.is_empty(), "the copy comes later");
    step(&journal, &mut intake, progress(1, CopyPhase::Begin, 0)).await;
    moved(&journal, &mut intake, "t", 1..4).await;
    moved(&journal, &mut intake, "other", 5..6).await;
    moved(&journal, &mut intake, "t", 3..5).await;
    let key = |key: u64| vec![key.to_string()];
    assert!(only(&journal).to_read_again.iter().eq(&[key(1), key(2), key(3), key(4)]));
    let read = CopyProgress { read_again: vec![key(1), key(4)], ..progress(1, CopyPhase::Rows, 2) };
    step(&journal, &mut intake, read).await;
    let before = only(&journal);
    assert!(before.to_read_again.iter().eq(&[key(2), key(3)]));
    drop(intake);
    journal.close().await;

    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    assert_eq!(only(&journal), before);
    step(&journal, &mut intake, progress(1, CopyPhase::End, 4)).await;
    moved(&journal, &mut intake, "t", 7..8).await;
    let done = only(&journal);
    assert_eq!((done.state, done.again, done.to_read_again.len()), (CopyState::Done, false, 0));
}

#[tokio::test]
async fn more_rows_that_move_than_can_be_noted_have_another_copy_follow() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    step(&journal, &mut intake, progress(1, CopyPhase::Begin, 0)).await;
    moved(&journal, &mut intake, "t", 0..READ_AGAIN_MAX).await;
    assert!(!only(&journal).again);
    moved(&journal, &mut intake, "t", READ_AGAIN_MAX..READ_AGAIN_MAX + 1).await;
    assert!(only(&journal).again);
    step(&journal, &mut intake, progress(1, CopyPhase::End, 4)).await;
    assert_eq!((only(&journal).state, only(&journal).copy), (CopyState::Wanted, 2));
}

#[tokio::test]
async fn the_slowest_follower_sets_the_pace_and_one_that_left_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    assert_eq!(journal.followers_behind(), 0);
    let (quick, slow) = (journal.follow(), journal.follow());
    super::fixture::write(&journal, &mut intake, &[super::fixture::bytes(1, 100), super::fixture::bytes(2, 50)]).await;
    quick.applied(150);
    assert_eq!(journal.followers_behind(), 150);
    slow.applied(100);
    assert_eq!(journal.followers_behind(), 50);
    drop(slow);
    assert_eq!(journal.followers_behind(), 0);
}

#[tokio::test]
async fn a_new_follower_holds_nothing_back_until_it_says_how_far_behind_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(options(folder.path())).expect("opens");
    let mut intake = journal.intake(&system("erp"));
    super::fixture::write(&journal, &mut intake, &[super::fixture::bytes(1, 100), super::fixture::bytes(2, 50)]).await;
    let late = journal.follow();
    assert_eq!(journal.followers_behind(), 0);
    late.applied(100);
    assert_eq!(journal.followers_behind(), 50);
}

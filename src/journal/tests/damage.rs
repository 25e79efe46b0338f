//! What a disk, a crash or a stranger can do to the files, and that each is noticed.

use super::fixture::{Place, bytes, commit, durable, files, read_all, system, write};
use crate::journal::keys::{self, BodyId};
use crate::journal::record::{Identity, write_identity};
use crate::journal::store::{BODIES, Store};
use crate::journal::{Journal, ReadError};
use crate::model::code::{JOURNAL_DAMAGED, JOURNAL_FOREIGN, JOURNAL_LOCKED, JOURNAL_NEWER};
use crate::model::position::{Epoch, Sequence};
use rocksdb::{DB, Options};

async fn written() -> Place {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    write(&journal, &mut intake, &(0..20).map(|n| bytes(n, 5_000)).collect::<Vec<_>>()).await;
    drop(intake);
    journal.close().await;
    place
}

/// Changes records behind the journal's back.
fn tamper(place: &Place, change: impl FnOnce(&DB)) {
    let db = DB::open_cf(&Options::default(), &place.options.path, ["default", BODIES]).expect("a store");
    change(&db);
}

fn flip(db: &DB, family: &str, key: &[u8]) {
    let family = db.cf_handle(family).expect("a family");
    let mut value = db.get_cf(family, key).expect("a read").expect("a record");
    let middle = value.len() / 2;
    value[middle] ^= 1;
    db.put_cf(family, key, value).expect("a write");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_missing_record_is_refused() {
    type Change = Box<dyn Fn(&DB)>;
    let changes: [(&str, Change); 6] = [
        ("a flipped bit in a body", Box::new(|db| flip(db, BODIES, &keys::body(BodyId(7), 0)))),
        ("a flipped bit in a header", Box::new(|db| flip(db, "default", &keys::header(Sequence(7))))),
        ("a missing header", Box::new(|db| db.delete(keys::header(Sequence(7))).expect("a write"))),
        (
            "a missing body",
            Box::new(|db| {
                let bodies = db.cf_handle(BODIES).expect("a family");
                db.delete_cf(bodies, keys::body(BodyId(7), 0)).expect("a write");
            }),
        ),
        ("a missing mark", Box::new(|db| db.delete(keys::MARK).expect("a write"))),
        (
            "two headers in each other's place",
            Box::new(|db| {
                let value = db.get(keys::header(Sequence(8))).expect("a read").expect("a record");
                db.put(keys::header(Sequence(7)), value).expect("a write");
            }),
        ),
    ];
    for (what, change) in changes {
        let place = written().await;
        tamper(&place, change);
        assert_eq!(place.refusal().code, JOURNAL_DAMAGED, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_notices_what_the_open_did_not_look_at() {
    let place = written().await;
    let journal = place.open();
    let store = journal.shared().store.load_full().expect("open");
    let mut batch = store.batch();
    store.put_chunk(&mut batch, BodyId(3), 0, b"other");
    store.write(batch, false).expect("a write");
    let mut reader = journal.reader(Sequence(1));
    assert!(matches!(reader.next().await, Err(ReadError::Damaged(problem)) if problem.code == JOURNAL_DAMAGED));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_missing_files_are_refused() {
    let place = written().await;
    for path in files(&place.options.path, "sst") {
        let copy = place.copy();
        let inside = copy.options.path.join(path.file_name().expect("a name"));
        let mut content = std::fs::read(&inside).expect("a file");
        let middle = content.len() / 3;
        content[middle] ^= 0xFF;
        std::fs::write(&inside, &content).expect("a write");
        assert_eq!(copy.refusal().code, JOURNAL_DAMAGED, "a flipped byte");
        std::fs::write(&inside, &content[..middle]).expect("a write");
        assert_eq!(copy.refusal().code, JOURNAL_DAMAGED, "a cut file");
        std::fs::remove_file(&inside).expect("removed");
        assert_eq!(copy.refusal().code, JOURNAL_DAMAGED, "a missing file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_an_earlier_journal_and_its_checkpoint_is_as_early() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    write(&journal, &mut intake, &(0..20).map(|n| bytes(n, 5_000)).collect::<Vec<_>>()).await;
    let copy = place.copy();
    for path in files(&copy.options.path, "log") {
        let content = std::fs::read(&path).expect("a file");
        std::fs::write(&path, &content[..content.len() / 2]).expect("a write");
    }
    let torn = copy.open();
    let durable = torn.bounds().durable;
    assert!(durable < Sequence(20), "{durable}");
    assert_eq!(torn.checkpoint(&system("crm")), (durable.0 > 0).then(|| commit(durable.0).checkpoint));
    assert_eq!(read_all(&torn, Sequence::ZERO).await.len() as u64, durable.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_staged_when_it_crashed_is_forgotten() {
    let place = Place::new();
    let journal = place.open();
    let mut intake = journal.intake(&system("crm"));
    for n in 0..8 {
        intake.chunk(bytes(n, 256 * 1024)).await.expect("taken");
    }
    let mut other = journal.intake(&system("erp"));
    other.commit(commit(1)).await.expect("taken");
    durable(&journal, Sequence(1)).await;
    let crashed = place.copy();
    assert!(staged_chunks(&crashed) > 0, "something was written ahead");
    let after = crashed.open();
    assert_eq!(after.bounds().durable, Sequence(1));
    after.close().await;
    assert_eq!(staged_chunks(&crashed), 0);
    intake.commit(commit(2)).await.expect("taken");
    durable(&journal, Sequence(2)).await;
    let body = &read_all(&journal, Sequence(1)).await[0].1;
    assert_eq!(body.len(), 8, "and one that commits is whole");
}

fn staged_chunks(place: &Place) -> usize {
    let mut chunks = 0;
    tamper(place, |db| {
        let bodies = db.cf_handle(BODIES).expect("a family");
        chunks = db.iterator_cf(bodies, rocksdb::IteratorMode::Start).count();
    });
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_newer_formats_and_second_processes_are_told_apart() {
    let place = Place::new();
    let journal = place.open();
    assert_eq!(place.refusal().code, JOURNAL_LOCKED);
    journal.close().await;
    tamper(&place, |db| {
        let identity = Identity { format: 2, epoch: Epoch([0; 16]), seal_key: [0; 32] };
        db.put(keys::IDENTITY, write_identity(&identity)).expect("a write");
    });
    assert_eq!(place.refusal().code, JOURNAL_NEWER);
    tamper(&place, |db| db.delete(keys::IDENTITY).expect("a write"));
    assert_eq!(place.refusal().code, JOURNAL_FOREIGN);

    let notes = Place::new();
    std::fs::create_dir(&notes.options.path).expect("a directory");
    std::fs::write(notes.options.path.join("notes.txt"), "mine").expect("a file");
    assert_eq!(notes.refusal().code, JOURNAL_FOREIGN);

    let store = Place::new();
    drop(DB::open_default(&store.options.path).expect("a store"));
    assert_eq!(store.refusal().code, JOURNAL_FOREIGN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_was_cut_short_starts_again() {
    let place = Place::new();
    let beside = place.directory.path().join("journal.creating");
    let write = Box::new(|db: &DB, batch, options: &rocksdb::WriteOptions| db.write_opt(batch, options));
    drop(Store::open(&beside, true, write).expect("a store"));
    let epoch = place.open().epoch();
    assert_ne!(epoch, Epoch([0; 16]));
    assert!(!beside.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_journal_opens_again_as_itself() {
    let place = Place::new();
    let journal = place.open();
    let (epoch, key) = (journal.epoch(), *journal.seal_key());
    journal.close().await;
    let journal = Journal::open(place.options.clone()).expect("it opens");
    assert_eq!((journal.epoch(), *journal.seal_key()), (epoch, key));
}

//! Records: what the values are made of. A version byte, then a private protobuf message.
//!
//! Tags and versions are append-only and golden tests hold the bytes. Body chunks are no records: they are stored exactly
//! as the source gave them, because they go to subscribers as they are.

mod checkpoint;
mod copy;

pub(super) use checkpoint::{read_checkpoint, write_checkpoint};
pub(super) use copy::{read_copy, write_copy};

use super::chain::{HASH_BYTES, Hash, history};
use super::keys::BodyId;
use super::{Cause, SubscriptionRecord};
use crate::model::copy::{CopyPhase, CopyStep};
use crate::model::gtid::{Gtid, MariadbGtid, MysqlGtid, Origin};
use crate::model::name::{SystemName, TableName};
use crate::model::position::{Epoch, History, LogPlace, Lsn, Position, Reached, Sequence};
use crate::model::schema::SchemaId;
use crate::model::time::UnixMicros;
use prost::Message;
use std::sync::Arc;

const VERSION: u8 = 1;

/// A value that this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is empty or cut short")]
    Short,
    #[error("its record version is {0}")]
    Version(u8),
    #[error("its fields do not read")]
    Fields,
}

/// A header as stored, with what only the journal needs of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub header: Arc<super::Header>,
    pub body: BodyId,
    pub body_hash: Hash,
}

/// Everything up to and including `sequence` is trimmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub sequence: Sequence,
    /// The hash of the last trimmed header, or the epoch's anchor.
    pub hash: Hash,
    /// The last trimmed header's `bytes_total`.
    pub bytes_total: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub format: u32,
    pub epoch: Epoch,
    pub seal_key: [u8; 32],
}

#[derive(Clone, PartialEq, Message)]
struct EntryFields {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(string, tag = "2")]
    system: String,
    #[prost(uint64, optional, tag = "3")]
    postgres_commit_lsn: Option<u64>,
    #[prost(sint64, tag = "4")]
    commit_time: i64,
    #[prost(string, tag = "5")]
    transaction: String,
    #[prost(uint64, tag = "6")]
    changes: u64,
    #[prost(uint32, repeated, tag = "7")]
    schemas: Vec<u32>,
    #[prost(uint64, tag = "8")]
    bytes: u64,
    #[prost(uint32, tag = "9")]
    chunks: u32,
    #[prost(uint64, tag = "10")]
    body: u64,
    #[prost(bytes = "vec", tag = "11")]
    body_hash: Vec<u8>,
    #[prost(uint64, tag = "12")]
    bytes_total: u64,
    #[prost(message, optional, tag = "13")]
    copy: Option<CopyStepFields>,
    #[prost(uint64, tag = "14")]
    copied_rows: u64,
    #[prost(message, optional, tag = "15")]
    binlog: Option<BinlogFields>,
    #[prost(message, optional, tag = "16")]
    cause: Option<CauseFields>,
}

#[derive(Clone, PartialEq, Message)]
struct CauseFields {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(string, tag = "2")]
    system: String,
}

#[derive(Clone, PartialEq, Message)]
struct BinlogFields {
    #[prost(message, optional, tag = "1")]
    gtid: Option<GtidFields>,
    #[prost(string, tag = "2")]
    file: String,
    #[prost(uint64, tag = "3")]
    offset: u64,
}

/// MySQL's with a UUID, MariaDB's without.
#[derive(Clone, PartialEq, Message)]
struct GtidFields {
    #[prost(bytes = "vec", tag = "1")]
    uuid: Vec<u8>,
    #[prost(string, tag = "2")]
    tag: String,
    #[prost(uint64, tag = "3")]
    number: u64,
    #[prost(uint32, tag = "4")]
    domain: u32,
    #[prost(uint32, tag = "5")]
    server: u32,
}

#[derive(Clone, PartialEq, Message)]
struct CopyStepFields {
    #[prost(string, tag = "1")]
    schema: String,
    #[prost(string, tag = "2")]
    table: String,
    #[prost(uint64, tag = "3")]
    copy: u64,
    #[prost(uint32, tag = "4")]
    phase: u32,
    #[prost(bool, tag = "5")]
    anew: bool,
}

#[derive(Clone, PartialEq, Message)]
struct MarkFields {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(bytes = "vec", tag = "2")]
    hash: Vec<u8>,
    #[prost(uint64, tag = "3")]
    bytes_total: u64,
}

#[derive(Clone, PartialEq, Message)]
struct IdentityFields {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(bytes = "vec", tag = "2")]
    epoch: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    seal_key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct NumberFields {
    #[prost(uint64, tag = "1")]
    number: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SubscriptionFields {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    subject: String,
    #[prost(uint64, tag = "3")]
    acknowledged: u64,
    /// Empty: an earlier version's.
    #[prost(bytes = "vec", tag = "4")]
    history: Vec<u8>,
}

/// A record's bytes.
pub(super) fn seal(message: &impl Message) -> Vec<u8> {
    let mut value = Vec::with_capacity(message.encoded_len().saturating_add(1));
    value.push(VERSION);
    value.extend(message.encode_to_vec());
    value
}

/// The message in a record.
pub(super) fn unseal<M: Message + Default>(value: &[u8]) -> Result<M, Unreadable> {
    let (version, fields) = value.split_first().ok_or(Unreadable::Short)?;
    if *version != VERSION {
        return Err(Unreadable::Version(*version));
    }
    M::decode(fields).map_err(|_| Unreadable::Fields)
}

impl Entry {
    /// The stored bytes without the hash: what the chain hashes.
    pub(super) fn fields(&self) -> Vec<u8> {
        let header = &*self.header;
        let (commit_lsn, binlog) = match &header.position {
            Position::Postgres { commit_lsn } => (Some(commit_lsn.0), None),
            Position::Mysql { gtid, end } => (None, Some(binlog_fields(gtid.as_ref(), end))),
            Position::Own => (None, None),
        };
        seal(&EntryFields {
            sequence: header.sequence.0,
            system: header.system.as_str().to_owned(),
            postgres_commit_lsn: commit_lsn,
            commit_time: header.commit_time.0,
            transaction: header.transaction.clone(),
            changes: header.changes,
            schemas: header.schemas.iter().map(|id| id.0).collect(),
            bytes: header.bytes,
            chunks: header.chunks,
            body: self.body.0,
            body_hash: self.body_hash.to_vec(),
            bytes_total: header.bytes_total,
            copy: header.copy.as_ref().map(copy_step_fields),
            copied_rows: header.copied_rows,
            binlog,
            cause: header.cause.as_ref().map(cause_fields),
        })
    }

    /// Reads what [`split_entry`] gave.
    pub(super) fn read(hash: &Hash, fields: &[u8]) -> Result<Self, Unreadable> {
        let fields: EntryFields = unseal(fields)?;
        let position = match (fields.postgres_commit_lsn, fields.binlog) {
            (Some(lsn), None) => Position::Postgres { commit_lsn: Lsn(lsn) },
            (None, Some(binlog)) => binlog_position(binlog)?,
            (None, None) => Position::Own,
            _ => return Err(Unreadable::Fields),
        };
        let header = super::Header {
            sequence: Sequence(fields.sequence),
            history: history(hash),
            system: SystemName::recorded(&fields.system).map_err(|_| Unreadable::Fields)?,
            position,
            commit_time: UnixMicros(fields.commit_time),
            transaction: fields.transaction,
            changes: fields.changes,
            schemas: fields.schemas.into_iter().map(SchemaId).collect(),
            bytes: fields.bytes,
            chunks: fields.chunks,
            bytes_total: fields.bytes_total,
            copy: fields.copy.as_ref().map(copy_step).transpose()?,
            copied_rows: fields.copied_rows,
            cause: fields.cause.as_ref().map(cause).transpose()?,
        };
        Ok(Self { header: Arc::new(header), body: BodyId(fields.body), body_hash: whole_hash(&fields.body_hash)? })
    }
}

fn cause_fields(cause: &Cause) -> CauseFields {
    CauseFields { sequence: cause.sequence.0, system: cause.system.to_string() }
}

fn cause(fields: &CauseFields) -> Result<Cause, Unreadable> {
    let system = SystemName::recorded(&fields.system).map_err(|_| Unreadable::Fields)?;
    Ok(Cause { sequence: Sequence(fields.sequence), system })
}

/// A header's value: its hash, then its fields.
pub(super) fn join_entry(hash: &Hash, fields: &[u8]) -> Vec<u8> {
    [hash, fields].concat()
}

/// The hash and the fields of a header's value.
pub(super) fn split_entry(value: &[u8]) -> Result<(Hash, &[u8]), Unreadable> {
    let (stored, fields) = value.split_at_checked(HASH_BYTES).ok_or(Unreadable::Short)?;
    Ok((whole_hash(stored)?, fields))
}

pub(super) fn write_mark(mark: &Mark) -> Vec<u8> {
    seal(&MarkFields { sequence: mark.sequence.0, hash: mark.hash.to_vec(), bytes_total: mark.bytes_total })
}

pub(super) fn read_mark(value: &[u8]) -> Result<Mark, Unreadable> {
    let fields: MarkFields = unseal(value)?;
    Ok(Mark { sequence: Sequence(fields.sequence), hash: whole_hash(&fields.hash)?, bytes_total: fields.bytes_total })
}

pub(super) fn write_identity(identity: &Identity) -> Vec<u8> {
    seal(&IdentityFields {
        format: identity.format,
        epoch: identity.epoch.0.to_vec(),
        seal_key: identity.seal_key.to_vec(),
    })
}

pub(super) fn read_identity(value: &[u8]) -> Result<Identity, Unreadable> {
    let fields: IdentityFields = unseal(value)?;
    let epoch = fields.epoch.try_into().map_err(|_| Unreadable::Fields)?;
    Ok(Identity { format: fields.format, epoch: Epoch(epoch), seal_key: whole_hash(&fields.seal_key)? })
}

pub(super) fn write_number(number: u64) -> Vec<u8> {
    seal(&NumberFields { number })
}

pub(super) fn read_number(value: &[u8]) -> Result<u64, Unreadable> {
    unseal::<NumberFields>(value).map(|fields| fields.number)
}

pub(super) fn write_subscription(record: &SubscriptionRecord) -> Vec<u8> {
    seal(&SubscriptionFields {
        name: record.name.clone(),
        subject: record.subject.clone(),
        acknowledged: record.acknowledged.sequence.0,
        history: record.acknowledged.history.map(|history| history.0.to_vec()).unwrap_or_default(),
    })
}

pub(super) fn read_subscription(value: &[u8]) -> Result<SubscriptionRecord, Unreadable> {
    let fields: SubscriptionFields = unseal(value)?;
    let history = match fields.history.as_slice() {
        [] => None,
        bytes => Some(History(bytes.try_into().map_err(|_| Unreadable::Fields)?)),
    };
    let acknowledged = Reached { sequence: Sequence(fields.acknowledged), history };
    Ok(SubscriptionRecord { name: fields.name, subject: fields.subject, acknowledged })
}

fn binlog_fields(gtid: Option<&Gtid>, end: &LogPlace) -> BinlogFields {
    BinlogFields { gtid: gtid.map(gtid_fields), file: end.file.to_string(), offset: end.offset }
}

fn binlog_position(fields: BinlogFields) -> Result<Position, Unreadable> {
    let end = LogPlace { file: fields.file.into(), offset: fields.offset };
    Ok(Position::Mysql { gtid: fields.gtid.map(gtid).transpose()?, end })
}

fn gtid_fields(gtid: &Gtid) -> GtidFields {
    match gtid {
        Gtid::Mysql(MysqlGtid { origin, number }) => GtidFields {
            uuid: origin.server.to_vec(),
            tag: origin.tag.to_string(),
            number: *number,
            ..GtidFields::default()
        },
        Gtid::Mariadb(gtid) => {
            GtidFields { number: gtid.sequence, domain: gtid.domain, server: gtid.server, ..GtidFields::default() }
        }
    }
}

fn gtid(fields: GtidFields) -> Result<Gtid, Unreadable> {
    let GtidFields { uuid, tag, number, domain, server } = fields;
    if uuid.is_empty() {
        return Ok(Gtid::Mariadb(MariadbGtid { domain, server, sequence: number }));
    }
    let server = uuid.try_into().map_err(|_| Unreadable::Fields)?;
    Ok(Gtid::Mysql(MysqlGtid { origin: Origin { server, tag: tag.into() }, number }))
}

fn copy_step_fields(step: &CopyStep) -> CopyStepFields {
    CopyStepFields {
        schema: step.table.schema.to_string(),
        table: step.table.table.to_string(),
        copy: step.copy,
        phase: step.phase as u32,
        anew: step.anew,
    }
}

fn copy_step(fields: &CopyStepFields) -> Result<CopyStep, Unreadable> {
    Ok(CopyStep {
        table: TableName::new(&fields.schema, &fields.table),
        copy: fields.copy,
        phase: CopyPhase::from_number(fields.phase).ok_or(Unreadable::Fields)?,
        anew: fields.anew,
    })
}

fn whole_hash(bytes: &[u8]) -> Result<Hash, Unreadable> {
    bytes.try_into().map_err(|_| Unreadable::Fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{CopyRecord, CopyState};
    use crate::model::checkpoint::{
        Checkpoint, Landmark, MysqlCheckpoint, MysqlFingerprint, PostgresCheckpoint, PostgresFingerprint,
        PostgresServer,
    };
    use crate::model::gtid::GtidSet;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn records_are_what_they_always_were_and_read_back() {
        let entry = Entry {
            header: Arc::new(super::super::Header {
                sequence: Sequence(3),
                history: History([7; 16]),
                system: SystemName::new("crm").expect("a name"),
                position: Position::Postgres { commit_lsn: Lsn(0x1234) },
                commit_time: UnixMicros(-5),
                transaction: "77".to_owned(),
                changes: 2,
                schemas: vec![SchemaId(1), SchemaId(300)],
                bytes: 10,
                chunks: 1,
                bytes_total: 500,
                copy: None,
                copied_rows: 0,
                cause: None,
            }),
            body: BodyId(9),
            body_hash: [0xAB; 32],
        };
        let fields = entry.fields();
        let expected = "0108031203".to_owned()
            + "63726d18b42420092a02373730023a0301ac02400a4801"
            + "50095a20"
            + &"ab".repeat(32)
            + "60f403";
        assert_eq!(hex(&fields), expected);

        let step = CopyStep { table: TableName::new("s", "t"), copy: 5, phase: CopyPhase::Rows, anew: true };
        let copying = Entry {
            header: Arc::new(super::super::Header { copy: Some(step), copied_rows: 6, ..(*entry.header).clone() }),
            ..entry.clone()
        };
        assert_eq!(hex(&copying.fields()), expected + "6a0c0a01731201741805" + "2002" + "2801" + "7006");
        assert_eq!(Entry::read(&[7; 32], &copying.fields()), Ok(copying));
        assert_eq!(Entry::read(&[7; 32], &fields), Ok(entry));

        let copy = CopyRecord {
            last_key: vec!["a".to_owned()],
            rows: 6,
            bytes: 7,
            rows_estimate: 8,
            started: UnixMicros(1),
            finished: UnixMicros(2),
            begin: Sequence(4),
            again: true,
            state: CopyState::Running,
            schema: Some(SchemaId(3)),
            to_read_again: [vec!["b".to_owned()]].into(),
            anew: true,
            relation: "9".to_owned(),
            why: "c".to_owned(),
            key_order: "d".to_owned(),
            ..CopyRecord::wanted(SystemName::new("crm").expect("a name"), TableName::new("s", "t"), 5)
        };
        let expected = "010a0363726d1201731a017420052802300138044201614806500758086002";
        assert_eq!(
            hex(&write_copy(&copy)),
            expected.to_owned() + "68047003" + "7a030a0162" + "800101" + "8a010139" + "92010163" + "9a010164"
        );
        assert_eq!(read_copy(&write_copy(&copy)), Ok(copy));

        let mark = Mark { sequence: Sequence(1), hash: [1; 32], bytes_total: 2 };
        assert_eq!(hex(&write_mark(&mark)), "0108011220".to_owned() + &"01".repeat(32) + "1802");
        assert_eq!(read_mark(&write_mark(&mark)), Ok(mark));

        let identity = Identity { format: 1, epoch: Epoch([2; 16]), seal_key: [3; 32] };
        let expected = "01080112".to_owned() + "10" + &"02".repeat(16) + "1a20" + &"03".repeat(32);
        assert_eq!(hex(&write_identity(&identity)), expected);
        assert_eq!(read_identity(&write_identity(&identity)), Ok(identity));

        let acknowledged = Reached { sequence: Sequence(4), history: None };
        let record = SubscriptionRecord { name: "n".to_owned(), subject: "s".to_owned(), acknowledged };
        assert_eq!(hex(&write_subscription(&record)), "010a016e1201731804");
        assert_eq!(read_subscription(&write_subscription(&record)), Ok(record.clone()));
        let acknowledged = Reached { history: Some(History([5; 16])), ..acknowledged };
        let record = SubscriptionRecord { acknowledged, ..record };
        assert_eq!(hex(&write_subscription(&record)), "010a016e12017318042210".to_owned() + &"05".repeat(16));
        assert_eq!(read_subscription(&write_subscription(&record)), Ok(record));

        let checkpoint = Checkpoint::Postgres(PostgresCheckpoint {
            flushed: Lsn(1),
            server: PostgresServer { system_identifier: 2, timeline: 3, database: "d".into(), slot: "s".into() },
            last: Some(PostgresFingerprint { xid: 4, commit_lsn: Lsn(5), commit_time: UnixMicros(6) }),
        });
        assert_eq!(
            hex(&write_checkpoint(&checkpoint)),
            "010a1408011002180322016 42a01733206080410051 80c".replace(' ', "")
        );
        assert_eq!(read_checkpoint(&write_checkpoint(&checkpoint)), Ok(checkpoint));
        assert_eq!(hex(&write_number(300)), "0108ac02");
    }

    #[test]
    fn what_mysql_and_mariadb_leave_is_what_it_always_was_and_reads_back() {
        let origin = Origin { server: [0xAB; 16], tag: "blue".into() };
        let mysql = Gtid::Mysql(MysqlGtid { origin, number: 9 });
        let mariadb = Gtid::Mariadb(MariadbGtid { domain: 1, server: 2, sequence: 3 });
        let uuid = "abababab-abab-abab-abab-abababababab";
        let executed = |text: &str| GtidSet::Mysql(text.parse().expect("a set"));
        let end = LogPlace { file: "b.1".into(), offset: 4 };
        let mut checkpoints = vec![];
        for (gtid, executed) in [
            (mysql, executed(&format!("{uuid}:1-8,{uuid}:blue:9"))),
            (mariadb, GtidSet::Mariadb("1-2-3".parse().expect("a position"))),
        ] {
            let position = Position::Mysql { gtid: Some(gtid.clone()), end: end.clone() };
            let Position::Mysql { gtid: some, end: at } = &position else { unreachable!("made above") };
            let fields = binlog_fields(some.as_ref(), at);
            checkpoints.push(hex(&seal(&fields)));
            assert_eq!(binlog_position(fields), Ok(position));
            let last = Some(MysqlFingerprint { gtid, commit_time: UnixMicros(6) });
            let of_an_earlier_version =
                MysqlCheckpoint { server: "s".into(), executed, end: end.clone(), last, landmark: None };
            let checkpoint = Checkpoint::Mysql(of_an_earlier_version.clone());
            checkpoints.push(hex(&write_checkpoint(&checkpoint)));
            assert_eq!(read_checkpoint(&write_checkpoint(&checkpoint)), Ok(checkpoint.clone()));
            let landmark = Some(Landmark { place: end.clone(), events: 3, digest: [5; 16] });
            let marked = Checkpoint::Mysql(MysqlCheckpoint { landmark, ..of_an_earlier_version });
            let landmark = hex(&write_checkpoint(&marked)).replace(&hex(&write_checkpoint(&checkpoint))[6..], "");
            assert!(landmark.ends_with(&("421b0a03622e31100418032210".to_owned() + &"05".repeat(16))), "{landmark}");
            assert_eq!(read_checkpoint(&write_checkpoint(&marked)), Ok(marked));
        }
        let uuid_hex = "ab".repeat(16);
        assert_eq!(
            checkpoints,
            [
                format!("010a1a0a10{uuid_hex}1204626c756518091203622e311804"),
                format!(
                    "011280010a017310011a5461626162616261622d616261622d616261622d616261622d6162616261626162616261623a312d382c61626162616261\
                 622d616261622d616261622d616261622d6162616261626162616261623a626c75653a392203622e312804321a0a10{uuid_hex}\
                 1204626c75651809380c"
                ),
                "010a06180320012802120362".to_owned() + "2e311804",
                "01121d0a017310021a05312d322d332203622e3128043206180320012802380c".to_owned(),
            ]
        );
    }

    #[test]
    fn a_newer_or_cut_record_is_not_guessed_at() {
        assert_eq!(read_number(&[]), Err(Unreadable::Short));
        assert_eq!(read_number(&[2, 8, 1]), Err(Unreadable::Version(2)));
        assert_eq!(read_number(&[1, 8]), Err(Unreadable::Fields));
    }
}

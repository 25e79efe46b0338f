//! How far each source was read, as the journal keeps it.

use super::{GtidFields, Unreadable, gtid, gtid_fields, seal, unseal};
use crate::model::checkpoint::{
    Checkpoint, Landmark, MysqlCheckpoint, MysqlFingerprint, PostgresCheckpoint, PostgresFingerprint, PostgresServer,
};
use crate::model::gtid::GtidSet;
use crate::model::position::{LogPlace, Lsn, Sequence};
use crate::model::time::UnixMicros;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct CheckpointFields {
    #[prost(message, optional, tag = "1")]
    postgres: Option<PostgresFields>,
    #[prost(message, optional, tag = "2")]
    mysql: Option<MysqlFields>,
    #[prost(uint64, optional, tag = "3")]
    governed: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct MysqlFields {
    #[prost(string, tag = "1")]
    server: String,
    /// 1: MySQL, 2: MariaDB.
    #[prost(uint32, tag = "2")]
    kind: u32,
    /// As the server prints it.
    #[prost(string, tag = "3")]
    executed: String,
    #[prost(string, tag = "4")]
    file: String,
    #[prost(uint64, tag = "5")]
    offset: u64,
    #[prost(message, optional, tag = "6")]
    last: Option<GtidFields>,
    #[prost(sint64, tag = "7")]
    last_commit_time: i64,
    #[prost(message, optional, tag = "8")]
    landmark: Option<LandmarkFields>,
}

#[derive(Clone, PartialEq, Message)]
struct LandmarkFields {
    #[prost(string, tag = "1")]
    file: String,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(uint32, tag = "3")]
    events: u32,
    #[prost(bytes = "vec", tag = "4")]
    digest: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PostgresFields {
    #[prost(uint64, tag = "1")]
    flushed: u64,
    #[prost(uint64, tag = "2")]
    system_identifier: u64,
    #[prost(uint32, tag = "3")]
    timeline: u32,
    #[prost(string, tag = "4")]
    database: String,
    #[prost(string, tag = "5")]
    slot: String,
    #[prost(message, optional, tag = "6")]
    last: Option<FingerprintFields>,
}

#[derive(Clone, PartialEq, Message)]
struct FingerprintFields {
    #[prost(uint32, tag = "1")]
    xid: u32,
    #[prost(uint64, tag = "2")]
    commit_lsn: u64,
    #[prost(sint64, tag = "3")]
    commit_time: i64,
}

const KIND_MYSQL: u32 = 1;
const KIND_MARIADB: u32 = 2;

pub fn write_checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    seal(&match checkpoint {
        Checkpoint::Postgres(postgres) => {
            CheckpointFields { postgres: Some(postgres_fields(postgres)), ..Default::default() }
        }
        Checkpoint::Mysql(mysql) => CheckpointFields { mysql: Some(mysql_fields(mysql)), ..Default::default() },
        Checkpoint::Governed(sequence) => CheckpointFields { governed: Some(sequence.0), ..Default::default() },
    })
}

pub fn read_checkpoint(value: &[u8]) -> Result<Checkpoint, Unreadable> {
    let fields: CheckpointFields = unseal(value)?;
    match (fields.postgres, fields.mysql, fields.governed) {
        (Some(fields), None, None) => Ok(Checkpoint::Postgres(postgres(fields))),
        (None, Some(fields), None) => mysql(fields).map(Checkpoint::Mysql),
        (None, None, Some(sequence)) => Ok(Checkpoint::Governed(Sequence(sequence))),
        _ => Err(Unreadable::Fields),
    }
}

fn mysql_fields(checkpoint: &MysqlCheckpoint) -> MysqlFields {
    MysqlFields {
        server: checkpoint.server.clone(),
        kind: match checkpoint.executed {
            GtidSet::Mysql(_) => KIND_MYSQL,
            GtidSet::Mariadb(_) => KIND_MARIADB,
        },
        executed: checkpoint.executed.to_string(),
        file: checkpoint.end.file.to_string(),
        offset: checkpoint.end.offset,
        last: checkpoint.last.as_ref().map(|last| gtid_fields(&last.gtid)),
        last_commit_time: checkpoint.last.as_ref().map_or(0, |last| last.commit_time.0),
        landmark: checkpoint.landmark.as_ref().map(landmark_fields),
    }
}

fn landmark_fields(landmark: &Landmark) -> LandmarkFields {
    LandmarkFields {
        file: landmark.place.file.to_string(),
        offset: landmark.place.offset,
        events: landmark.events,
        digest: landmark.digest.to_vec(),
    }
}

fn landmark(fields: LandmarkFields) -> Result<Landmark, Unreadable> {
    let LandmarkFields { file, offset, events, digest } = fields;
    let place = LogPlace { file: file.into(), offset };
    Ok(Landmark { place, events, digest: digest.try_into().map_err(|_| Unreadable::Fields)? })
}

fn mysql(fields: MysqlFields) -> Result<MysqlCheckpoint, Unreadable> {
    let executed = match fields.kind {
        KIND_MYSQL => GtidSet::Mysql(fields.executed.parse().map_err(|_| Unreadable::Fields)?),
        KIND_MARIADB => GtidSet::Mariadb(fields.executed.parse().map_err(|_| Unreadable::Fields)?),
        _ => return Err(Unreadable::Fields),
    };
    let commit_time = UnixMicros(fields.last_commit_time);
    let fingerprint = |fields| Ok::<_, Unreadable>(MysqlFingerprint { gtid: gtid(fields)?, commit_time });
    Ok(MysqlCheckpoint {
        server: fields.server,
        executed,
        end: LogPlace { file: fields.file.into(), offset: fields.offset },
        last: fields.last.map(fingerprint).transpose()?,
        landmark: fields.landmark.map(landmark).transpose()?,
    })
}

fn postgres_fields(checkpoint: &PostgresCheckpoint) -> PostgresFields {
    PostgresFields {
        flushed: checkpoint.flushed.0,
        system_identifier: checkpoint.server.system_identifier,
        timeline: checkpoint.server.timeline,
        database: checkpoint.server.database.clone(),
        slot: checkpoint.server.slot.clone(),
        last: checkpoint.last.map(|last| FingerprintFields {
            xid: last.xid,
            commit_lsn: last.commit_lsn.0,
            commit_time: last.commit_time.0,
        }),
    }
}

fn postgres(fields: PostgresFields) -> PostgresCheckpoint {
    PostgresCheckpoint {
        flushed: Lsn(fields.flushed),
        server: PostgresServer {
            system_identifier: fields.system_identifier,
            timeline: fields.timeline,
            database: fields.database,
            slot: fields.slot,
        },
        last: fields.last.map(|last| PostgresFingerprint {
            xid: last.xid,
            commit_lsn: Lsn(last.commit_lsn),
            commit_time: UnixMicros(last.commit_time),
        }),
    }
}

//! The RocksDB store: options, column families, and the few operations that the rest of the journal uses.
//!
//! Two column families. Small records live in the default one, body chunks in their own: body ids only grow, so flushed
//! files of bodies do not overlap and compaction moves them down without rewriting them. Together with headers each
//! flush would span the whole key range, and every compaction would rewrite every body.

use super::keys;
use crate::model::position::Sequence;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator,
    DBRecoveryMode, Error, LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};
use std::path::Path;

pub(super) const BODIES: &str = "tailwater_bodies";
const DEFAULT: &str = "default";

const MIB: usize = 1024 * 1024;
/// Three write buffers for each column family: 36 MiB + 12 MiB of memory at most.
const BODIES_BUFFER_BYTES: usize = 12 * MIB;
const SMALL_BUFFER_BYTES: usize = 4 * MIB;
const WRITE_BUFFERS: i32 = 3;
const CACHE_BYTES: usize = 8 * MIB;
const WAL_BYTES_MAX: u64 = 64 << 20;
const FILE_BYTES: u64 = 64 << 20;
const BASE_LEVEL_BYTES: u64 = 256 << 20;
const READAHEAD_BYTES: usize = MIB;
const ENGINE_LOG_BYTES: usize = 4 * MIB;

/// How a batch reaches RocksDB; tests put a failing one in its place.
pub(super) type Write = Box<dyn Fn(&DB, WriteBatch, &WriteOptions) -> Result<(), Error> + Send + Sync>;

pub(super) struct Store {
    db: DB,
    write: Write,
}

impl Store {
    /// Opens an existing store, or creates one. RocksDB's own lock keeps other processes out.
    pub(super) fn open(path: &Path, create: bool, write: Write) -> Result<Self, Error> {
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        let families = [
            ColumnFamilyDescriptor::new(DEFAULT, family_options(&cache, SMALL_BUFFER_BYTES)),
            ColumnFamilyDescriptor::new(BODIES, family_options(&cache, BODIES_BUFFER_BYTES)),
        ];
        let db = DB::open_cf_descriptors(&database_options(create), path, families)?;
        Ok(Self { db, write })
    }

    /// The column families in a directory, without taking its lock.
    pub(super) fn families(path: &Path) -> Result<Vec<String>, Error> {
        DB::list_cf(&Options::default(), path)
    }

    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        self.db.get(key)
    }

    /// Writes one batch atomically. `sync` makes it, and everything written before it, durable: RocksDB syncs all of its WAL.
    pub(super) fn write(&self, batch: Batch, sync: bool) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        (self.write)(&self.db, batch.0, &options)
    }

    /// An iterator over `from..to` of the small records. Never held across an await.
    pub(super) fn records(&self, from: &[u8], to: &[u8]) -> DBRawIterator<'_> {
        let mut iterator = self.db.raw_iterator_opt(bounded(to));
        iterator.seek(from);
        iterator
    }

    /// The newest header's key and value.
    pub(super) fn newest_header(&self) -> Result<Option<(Sequence, Vec<u8>)>, Error> {
        let mut iterator = self.db.raw_iterator();
        iterator.seek_for_prev(keys::header(Sequence(u64::MAX)));
        iterator.status()?;
        let Some(sequence) = iterator.key().and_then(keys::header_sequence) else { return Ok(None) };
        Ok(iterator.value().map(|value| (sequence, value.to_vec())))
    }

    /// An iterator over bodies, positioned nowhere yet.
    pub(super) fn bodies(&self) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        self.db.raw_iterator_cf_opt(self.bodies_family(), options)
    }

    /// The number of the newest body in the store.
    pub(super) fn newest_body(&self) -> Result<Option<keys::BodyId>, Error> {
        let mut iterator = self.bodies();
        iterator.seek_to_last();
        iterator.status()?;
        Ok(iterator.key().and_then(keys::body_id))
    }

    pub(super) fn batch(&self) -> Batch {
        Batch(WriteBatch::default())
    }

    pub(super) fn put_chunk(&self, batch: &mut Batch, body: keys::BodyId, chunk: u32, bytes: &[u8]) {
        batch.0.put_cf(self.bodies_family(), keys::body(body, chunk), bytes);
    }

    /// Deletes all chunks of the bodies `first..=last`.
    pub(super) fn delete_bodies(&self, batch: &mut Batch, first: keys::BodyId, last: keys::BodyId) {
        let end = keys::BodyId(last.0.saturating_add(1));
        batch.0.delete_range_cf(self.bodies_family(), keys::body(first, 0), keys::body(end, 0));
    }

    /// Drops whole files that hold nothing but the bodies `first..=last`: their space comes back at once.
    pub(super) fn drop_body_files(&self, first: keys::BodyId, last: keys::BodyId) -> Result<(), Error> {
        let (from, to) = (keys::body(first, 0), keys::body(last, u32::MAX));
        self.db.delete_file_in_range_cf(self.bodies_family(), from, to)
    }

    /// Puts everything into table files, so that nothing depends on the WAL.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.db.flush_wal(true)?;
        let default = self.db.cf_handle(DEFAULT);
        let families: Vec<&ColumnFamily> = default.into_iter().chain([self.bodies_family()]).collect();
        self.db.flush_cfs_opt(&families, &rocksdb::FlushOptions::default())
    }

    pub(super) fn stop_background_work(&self) {
        self.db.cancel_all_background_work(true);
    }

    fn bodies_family(&self) -> &ColumnFamily {
        self.db.cf_handle(BODIES).expect("the store is only ever opened with this column family")
    }
}

/// A write batch; only the store knows what it is made of.
pub(super) struct Batch(WriteBatch);

impl Batch {
    pub(super) fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.put(key, value);
    }

    pub(super) fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.0.delete(key);
    }

    /// Deletes the small records in `from..to`.
    pub(super) fn delete_range(&mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
        self.0.delete_range(from.as_ref(), to.as_ref());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn bounded(to: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(to);
    options
}

/// Point-in-time recovery replays the WAL up to the first record that is torn. A torn tail is normal after a power loss:
/// chunks are written ahead of their commit without a sync, and a write under way was not acknowledged to anyone.
/// `AbsoluteConsistency` would refuse to open then. What is recovered is always a prefix of what was written, and
/// checkpoints lie in the same batches as transactions: a shorter journal is a true earlier one, and a source whose
/// server was told a later position refuses to go on. WAL files that were complete are recorded in the manifest and
/// checked against it.
fn database_options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_atomic_flush(true);
    options.set_paranoid_checks(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    // Spreads write-back of flushed files, so that a commit's sync does not queue behind tens of megabytes of them.
    options.set_bytes_per_sync(MIB as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(ENGINE_LOG_BYTES);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options
}

fn family_options(cache: &Cache, buffer_bytes: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(buffer_bytes);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_target_file_size_base(FILE_BYTES);
    options.set_max_bytes_for_level_base(BASE_LEVEL_BYTES);
    options
}

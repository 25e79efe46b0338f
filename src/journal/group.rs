//! What one write batch carries, and whom to tell once it is durable.

use super::catalogue::{CatalogueChanges, CatalogueRequest};
use super::copies::{Copies, CopyChanges};
use super::keys;
use super::record::{Entry, write_checkpoint, write_copy};
use super::schemas::NewSchema;
use super::store::Batch;
use super::system::System;
use super::tail::Transaction;
use super::{NoteChange, SubscriptionRecord};
use crate::model::checkpoint::Checkpoint;
use crate::model::position::Sequence;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct Group {
    pub batch: Batch,
    /// Whether anything in it has to be durable before it is told. Chunks alone do not.
    pub sync: bool,
    pub transactions: Vec<(Sequence, Option<Transaction>)>,
    /// The last of each system.
    pub checkpoints: Vec<(Arc<System>, Checkpoint)>,
    pub acknowledged: Vec<(SubscriptionRecord, oneshot::Sender<SubscriptionRecord>)>,
    pub copies: CopyChanges,
    pub catalogues: CatalogueChanges,
    pub abandoned: Vec<oneshot::Sender<()>>,
}

impl Group {
    pub(super) fn new(batch: Batch) -> Self {
        Self {
            batch,
            sync: false,
            transactions: Vec::new(),
            checkpoints: Vec::new(),
            acknowledged: Vec::new(),
            copies: CopyChanges::default(),
            catalogues: CatalogueChanges::default(),
            abandoned: Vec::new(),
        }
    }

    pub(super) fn transaction(&mut self, entry: Entry, recent: Option<Vec<Bytes>>) {
        let sequence = entry.header.sequence;
        self.transactions.push((sequence, recent.map(|chunks| Transaction { entry, chunks })));
        self.sync = true;
    }

    pub(super) fn checkpoint(&mut self, system: Arc<System>, checkpoint: Checkpoint) {
        self.sync = true;
        match self.checkpoints.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &system)) {
            Some((_, last)) => *last = checkpoint,
            None => self.checkpoints.push((system, checkpoint)),
        }
    }

    /// Only the last of each system: the batch is durable as a whole or not at all.
    pub(super) fn put_checkpoints(&mut self) {
        for (system, checkpoint) in &self.checkpoints {
            self.batch.put(keys::checkpoint(&system.name), write_checkpoint(checkpoint));
        }
    }

    pub(super) fn put_copies(&mut self) {
        for record in self.copies.records() {
            self.batch.put(keys::copy(&record.system, &record.table), write_copy(record));
        }
    }

    pub(super) fn catalogue(&mut self, request: CatalogueRequest, known: &Copies) {
        self.sync = true;
        self.catalogues.add(request, &mut self.batch, &mut self.copies, known);
    }

    pub(super) fn notes(&mut self, changes: &[NoteChange]) {
        self.sync |= !changes.is_empty();
        changes.iter().for_each(|change| change.apply(&mut self.batch));
    }

    pub(super) fn schema(&mut self, new: &NewSchema) {
        self.sync = true;
        self.batch.put(keys::schema(new.schema.id), new.schema_record());
        self.batch.put(keys::table(&new.key.0, &new.key.1), new.table_record());
    }

    /// What an acknowledgement earlier in this group left.
    pub(super) fn subscription(&self, name: &str) -> Option<SubscriptionRecord> {
        self.acknowledged.iter().rev().find(|(record, _)| record.name == name).map(|(record, _)| record.clone())
    }
}

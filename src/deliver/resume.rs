//! Where a stream may go on from: what a request asks for, held against what the journal has.
//!
//! A place is known by its sequence and by the history up to it. Surprise: an older copy of the journal gives the same sequences
//! to other transactions, so a sequence that is held proves nothing.

use super::cursor::{Cursor, CursorError, Gone, Sealer};
use super::refusal::{Kind, Refusal};
use super::state::{self, Gates, SeenTable};
use crate::journal::{Journal, ReadError};
use crate::model::code;
use crate::model::position::{Reached, Sequence};

/// Where a request asks to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Earliest,
    Latest,
    /// A cursor as the client kept it.
    Cursor(String),
    /// Copies of these tables.
    State(Vec<SeenTable>),
}

/// Where a stream starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Strictly after this.
    After(Cursor),
    /// The same, where tables are left out until their copies begin.
    State(Cursor, Gates),
    /// It cannot: why.
    Gone(String),
}

impl Start {
    /// After which the stream starts, if it does.
    pub fn cursor(&self) -> Option<Cursor> {
        match self {
            Self::After(cursor) | Self::State(cursor, _) => Some(*cursor),
            Self::Gone(_) => None,
        }
    }
}

/// Of one journal.
pub struct Resume {
    journal: Journal,
    sealer: Sealer,
}

impl Resume {
    pub fn of(journal: &Journal) -> Self {
        Self { journal: journal.clone(), sealer: Sealer::of(journal) }
    }

    /// # Errors
    /// The cursor is not one of ours; the journal does not read.
    pub async fn start(&self, from: &From) -> Result<Start, Refusal> {
        match from {
            From::Latest => Ok(Start::After(Cursor(self.journal.newest().await.map_err(unread)?))),
            From::Earliest => self.earliest().await,
            From::State(tables) => state::start(&self.journal, tables).await,
            From::Cursor(text) => match self.sealer.open(text) {
                Ok(cursor) => self.checked(cursor).await,
                Err(error @ CursorError::OtherJournal { .. }) => Ok(Start::Gone(error.to_string())),
                Err(error @ CursorError::Unreadable) => Err(unreadable(&error)),
            },
        }
    }

    /// Whether the stream can go on from a place of this journal.
    ///
    /// # Errors
    /// The journal does not read.
    pub async fn checked(&self, cursor: Cursor) -> Result<Start, Refusal> {
        let held = self.held(cursor).await?;
        Ok(held.map_or_else(|gone| Start::Gone(gone.to_string()), Start::After))
    }

    /// Why whoever brings this cursor has changes that this journal does not know of; `None` where nothing says so.
    ///
    /// # Errors
    /// The journal does not read.
    pub async fn is_of_elsewhere(&self, from: &From) -> Result<Option<String>, Refusal> {
        let From::Cursor(text) = from else { return Ok(None) };
        match self.sealer.open(text) {
            Ok(cursor) => Ok(self.held(cursor).await?.err().filter(Gone::is_of_elsewhere).map(|gone| gone.to_string())),
            Err(error @ CursorError::OtherJournal { .. }) => Ok(Some(error.to_string())),
            Err(CursorError::Unreadable) => Ok(None),
        }
    }

    /// The place up to which somebody says to have everything.
    ///
    /// # Errors
    /// It is not a cursor of ours, or of what this journal delivered; the journal does not read.
    pub async fn acknowledged(&self, text: &str) -> Result<Cursor, Refusal> {
        let gone = |reason: String| Refusal::new(Kind::Precondition, code::RESUME_POINT_GONE, reason);
        let cursor = self.sealer.open(text).map_err(|error| match error {
            CursorError::Unreadable => unreadable(&error),
            CursorError::OtherJournal { .. } => gone(error.to_string()),
        })?;
        match self.held(cursor).await? {
            Ok(cursor) => Ok(cursor),
            // An earlier acknowledgement changes nothing, held or not.
            Err(Gone::Trimmed(..)) => Ok(cursor),
            Err(other @ Gone::OtherHistory(_)) => Err(gone(other.to_string())),
            Err(Gone::Ahead(sequence, durable)) => {
                let message = format!("sequence {sequence} lies beyond the newest durable one, {durable}");
                Err(Refusal::new(Kind::Precondition, code::CURSOR_AHEAD, message))
            }
        }
    }

    async fn held(&self, cursor: Cursor) -> Result<Result<Cursor, Gone>, Refusal> {
        if let Err(gone) = cursor.check(self.journal.bounds()) {
            return Ok(Err(gone));
        }
        let sequence = cursor.0.sequence;
        match self.journal.history(sequence).await {
            Ok(ours) => Ok(cursor.check_history(ours)),
            // Retention has just passed it.
            Err(ReadError::Trimmed { oldest }) => Ok(Err(Gone::Trimmed(sequence, oldest))),
            Err(error) => Err(unread(error)),
        }
    }

    async fn earliest(&self) -> Result<Start, Refusal> {
        loop {
            let before = Sequence(self.journal.bounds().oldest.0.saturating_sub(1));
            match self.journal.history(before).await {
                Ok(history) => return Ok(Start::After(Cursor(Reached { sequence: before, history: Some(history) }))),
                // Retention has just passed it.
                Err(ReadError::Trimmed { .. }) => {}
                Err(error) => return Err(unread(error)),
            }
        }
    }
}

fn unreadable(error: &CursorError) -> Refusal {
    Refusal::new(Kind::Invalid, code::CURSOR_UNREADABLE, error.to_string())
}

pub(super) fn unread(error: ReadError) -> Refusal {
    match error {
        ReadError::Damaged(problem) => Refusal { kind: Kind::Damaged, problem },
        other => Refusal::new(Kind::Unavailable, code::JOURNAL_UNAVAILABLE, other.to_string()),
    }
}

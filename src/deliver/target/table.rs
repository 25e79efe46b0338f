//! One table of a target: what is kept of it in the target itself, and what the journal's steps make of it. Pure.
//!
//! ```text
//!              Begin of a copy                 End                       columns added
//!  Waiting ────────────────────► Copying ──────────────► Ready ─────────────────────► Refilling
//!    ▲                             ▲  └─ columns were added meanwhile ─────────────────►  │
//!    └── resync ── Halted          └───────────────────── Begin of a copy ───────────────┘
//! ```
//! A `Begin` that says *anew* takes every table back to `Copying`, the one that is `Ready` too.
//! While `Waiting` and `Halted` its changes are passed over: the copy that follows brings them. In the other states they are
//! applied. Surprise: a copy of a table that has rows does not empty it. Every row that is written carries its sequence; what
//! is older than the copy's begin when the copy ends was not in the source any more and goes then.

use super::shape::{Difference, Shape};
use crate::model::name::{SystemName, TableName};
use crate::model::position::Sequence;
use crate::model::problem::Problem;
use crate::model::schema::TableSchema;

/// What identifies a table for a target: the source's own names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Source {
    pub system: SystemName,
    pub name: TableName,
}

impl Source {
    pub fn is(&self, schema: &TableSchema) -> bool {
        self.system == schema.system && self.name == schema.name
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.system, self.name)
    }
}

/// As the target keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub source: Source,
    /// In the target.
    pub name: TableName,
    pub state: State,
    /// A copy that begins after this is wanted, or was.
    pub copy_after: Sequence,
    /// Where the copy under way, or the last one, began.
    pub copy_begin: Sequence,
    /// When that copy ends, rows that are older than its begin go.
    pub sweep: bool,
    /// `None`: not made yet.
    pub shape: Option<Shape>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    Refilling,
    Copying,
    Ready,
    /// Stays so until a resync.
    Halted(Problem),
}

impl State {
    /// The word that the target keeps: append-only.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Refilling => "refilling",
            Self::Copying => "copying",
            Self::Ready => "ready",
            Self::Halted(_) => "halted",
        }
    }
}

/// What is to be done to the table before anything that comes after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// Makes it, or, where it exists with another shape, empties it and gives it this one.
    Make {
        old: Option<Shape>,
        new: Shape,
    },
    AddColumns(Shape),
    /// Its rows go.
    Clear,
    /// Rows that say they are as new as this or newer are another journal's: they are to be swept like older ones.
    Disown(Sequence),
    /// Rows that are older than this go.
    Sweep(Sequence),
}

impl Table {
    pub fn waiting(source: Source, name: TableName, copy_after: Sequence) -> Self {
        Self { source, name, state: State::Waiting, copy_after, copy_begin: Sequence::ZERO, sweep: false, shape: None }
    }

    /// Whether changes from the stream are applied now.
    pub fn takes_changes(&self) -> bool {
        matches!(self.state, State::Refilling | State::Copying | State::Ready)
    }

    /// After which sequence a copy has to begin to be of use; `None`: none is wanted.
    pub fn wants_copy_after(&self) -> Option<Sequence> {
        match self.state {
            State::Waiting | State::Refilling => Some(self.copy_after),
            State::Copying => Some(Sequence(self.copy_begin.0.saturating_sub(1))),
            State::Ready | State::Halted(_) => None,
        }
    }

    /// A copy begins as transaction `sequence`, of a table that looks like `shape` now. `anew`: whoever has the table needs it.
    ///
    /// # Errors
    /// Why the table cannot go on.
    pub fn copy_begins(&mut self, sequence: Sequence, shape: Shape, anew: bool) -> Result<Vec<Alteration>, String> {
        let wanted = match &self.state {
            State::Waiting => sequence > self.copy_after,
            State::Refilling => anew || sequence > self.copy_after,
            State::Copying => true,
            State::Ready if anew => true,
            State::Ready => return self.refill_begins(sequence, &shape),
            State::Halted(_) => false,
        };
        if !wanted {
            return Ok(Vec::new());
        }
        let waiting = self.state == State::Waiting;
        let mut alterations = Vec::new();
        self.sweep = true;
        match self.shape.as_ref().map(|known| known.difference(&shape)) {
            Some(Difference::None) => {}
            Some(Difference::Added(_)) => {
                alterations.push(Alteration::AddColumns(shape.clone()));
            }
            Some(Difference::Other(why)) if !waiting => return Err(why),
            None | Some(Difference::Other(_)) => {
                let old = self.shape.clone();
                self.sweep = false;
                alterations.push(Alteration::Make { old, new: shape.clone() });
            }
        }
        if self.sweep && !shape.is_keyed() {
            // Rows without a key cannot be told to have come again.
            self.sweep = false;
            alterations.push(Alteration::Clear);
        } else if self.sweep && waiting {
            alterations.push(Alteration::Disown(sequence));
        }
        self.shape = Some(shape);
        self.copy_begin = sequence;
        self.state = State::Copying;
        Ok(alterations)
    }

    /// A copy that somebody else asked for, of a table that is whole: of use only where it brings columns that are new here.
    fn refill_begins(&mut self, sequence: Sequence, shape: &Shape) -> Result<Vec<Alteration>, String> {
        let known = self.shape.as_ref().map(|known| known.difference(shape));
        match known {
            Some(Difference::None) | None => Ok(Vec::new()),
            Some(Difference::Added(_)) => {
                self.state = State::Refilling;
                self.copy_after = Sequence(sequence.0.saturating_sub(1));
                self.copy_begins(sequence, shape.clone(), false)
            }
            Some(Difference::Other(why)) => Err(why),
        }
    }

    /// A copy ends. Only the one that this table has followed since its begin.
    fn copy_ends(&mut self) -> Vec<Alteration> {
        if self.state != State::Copying {
            return Vec::new();
        }
        // Columns that came while it ran are not in the rows that were read before.
        self.state = if self.copy_after > self.copy_begin { State::Refilling } else { State::Ready };
        let sweep = std::mem::take(&mut self.sweep);
        if sweep { vec![Alteration::Sweep(self.copy_begin)] } else { Vec::new() }
    }

    /// A copy ends as transaction `sequence`, of a table that looks like `shape` by then: columns added behind the last rows
    /// that it read are told by nothing else.
    ///
    /// # Errors
    /// Why the table cannot go on.
    pub fn copy_ends_as(&mut self, sequence: Sequence, shape: &Shape) -> Result<Vec<Alteration>, String> {
        let mut alterations = Vec::new();
        let known = self.shape.as_ref().map(|known| known.difference(shape));
        if self.state == State::Copying && matches!(known, Some(Difference::Added(_))) {
            alterations.extend(self.change_comes(sequence, shape)?);
        }
        alterations.extend(self.copy_ends());
        Ok(alterations)
    }

    /// A change comes as part of transaction `sequence`, written under `shape`. Only while the table takes changes.
    ///
    /// # Errors
    /// Why the table cannot go on.
    pub fn change_comes(&mut self, sequence: Sequence, shape: &Shape) -> Result<Option<Alteration>, String> {
        let Some(known) = &self.shape else { return Ok(None) };
        match known.difference(shape) {
            Difference::None => Ok(None),
            Difference::Added(_) => {
                self.shape = Some(shape.clone());
                self.copy_after = sequence;
                if self.state == State::Ready {
                    self.state = State::Refilling;
                }
                Ok(Some(Alteration::AddColumns(shape.clone())))
            }
            Difference::Other(why) => Err(why),
        }
    }

    pub fn halt(&mut self, problem: Problem) {
        self.state = State::Halted(problem);
    }

    /// To be made equal again by a copy that begins after `sequence`, whatever it holds now.
    pub fn resync(&mut self, sequence: Sequence) {
        self.state = State::Waiting;
        self.copy_after = sequence;
        self.sweep = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Column;
    use super::*;
    use crate::model::code;

    fn shape(columns: &[&str]) -> Shape {
        let columns = (1..).zip(columns).map(|(number, name)| Column {
            name: (*name).to_owned(),
            number,
            declared: "int".to_owned(),
            sql_type: "int".to_owned(),
            value_type: 2,
            key: number == 1 && *name != "bare",
        });
        Shape { columns: columns.collect(), whole_rows: false, policy: String::new() }
    }

    fn table() -> Table {
        let source = Source { system: SystemName::new("erp").expect("a name"), name: TableName::new("public", "t") };
        Table::waiting(source, TableName::new("erp", "t"), Sequence(10))
    }

    fn copied(columns: &[&str]) -> Table {
        let mut table = table();
        table.copy_begins(Sequence(11), shape(columns), false).expect("it begins");
        table.copy_ends();
        table
    }

    #[test]
    fn a_first_copy_makes_the_table_and_its_end_makes_it_ready() {
        let mut table = table();
        assert!(!table.takes_changes());
        assert_eq!(table.copy_begins(Sequence(10), shape(&["id"]), false), Ok(vec![]), "it began too early");
        assert_eq!(table.wants_copy_after(), Some(Sequence(10)));
        let made = table.copy_begins(Sequence(11), shape(&["id"]), false);
        assert_eq!(made, Ok(vec![Alteration::Make { old: None, new: shape(&["id"]) }]));
        assert!(table.takes_changes() && table.wants_copy_after() == Some(Sequence(10)));
        assert_eq!(table.copy_ends(), [], "there was nothing before it");
        assert_eq!((table.state.clone(), table.wants_copy_after()), (State::Ready, None));
        assert_eq!(table.copy_begins(Sequence(20), shape(&["id"]), false), Ok(vec![]), "somebody else's copy");
        assert_eq!(table.state, State::Ready);
    }

    #[test]
    fn a_copy_given_up_for_another_is_swept_at_the_end_of_that() {
        let mut table = table();
        table.copy_begins(Sequence(11), shape(&["id"]), false).expect("it begins");
        assert_eq!(table.copy_begins(Sequence(15), shape(&["id"]), false), Ok(vec![]));
        assert_eq!(table.copy_ends(), [Alteration::Sweep(Sequence(15))]);
        assert_eq!(table.copy_ends(), [], "once");
    }

    #[test]
    fn what_another_journal_numbered_higher_is_swept_too() {
        let mut table = copied(&["id"]);
        table.resync(Sequence(3));
        assert_eq!(table.copy_begins(Sequence(4), shape(&["id"]), false), Ok(vec![Alteration::Disown(Sequence(4))]));
        assert_eq!(table.copy_ends(), [Alteration::Sweep(Sequence(4))]);
    }

    #[test]
    fn added_columns_are_followed_and_filled_by_another_copy() {
        let mut table = copied(&["id"]);
        let added = table.change_comes(Sequence(20), &shape(&["id", "a"]));
        assert_eq!(added, Ok(Some(Alteration::AddColumns(shape(&["id", "a"])))));
        assert_eq!((table.state.word(), table.wants_copy_after()), ("refilling", Some(Sequence(20))));
        assert_eq!(table.copy_begins(Sequence(20), shape(&["id", "a"]), false), Ok(vec![]), "not after the column");
        table.copy_begins(Sequence(21), shape(&["id", "a"]), false).expect("it begins");
        table.change_comes(Sequence(22), &shape(&["id", "a", "b"])).expect("one more");
        assert_eq!(table.copy_ends(), [Alteration::Sweep(Sequence(21))]);
        assert_eq!(table.state, State::Refilling, "the second column came while the copy ran");
    }

    #[test]
    fn a_column_added_behind_the_last_row_of_a_copy_is_filled_by_another() {
        let mut table = table();
        table.copy_begins(Sequence(11), shape(&["id"]), false).expect("it begins");
        let ended = table.copy_ends_as(Sequence(12), &shape(&["id", "a"]));
        assert_eq!(ended, Ok(vec![Alteration::AddColumns(shape(&["id", "a"]))]));
        assert_eq!((table.state.word(), table.wants_copy_after()), ("refilling", Some(Sequence(12))));
    }

    #[test]
    fn a_copy_that_brings_new_columns_refills_a_ready_table() {
        let mut table = copied(&["id"]);
        let alterations = table.copy_begins(Sequence(30), shape(&["id", "a"]), false);
        assert_eq!(alterations, Ok(vec![Alteration::AddColumns(shape(&["id", "a"]))]));
        assert_eq!(table.copy_ends(), [Alteration::Sweep(Sequence(30))]);
        assert_eq!(table.state, State::Ready);
    }

    #[test]
    fn a_copy_of_another_table_of_that_name_sweeps_what_a_ready_table_holds() {
        let mut table = copied(&["id"]);
        assert_eq!(table.copy_begins(Sequence(30), shape(&["id"]), true), Ok(vec![]));
        assert_eq!(table.state, State::Copying);
        assert_eq!(table.copy_ends(), [Alteration::Sweep(Sequence(30))]);
        let mut halted = copied(&["id"]);
        assert!(halted.copy_begins(Sequence(30), shape(&["other"]), true).is_err());
    }

    #[test]
    fn another_shape_halts_and_a_resync_makes_the_table_anew() {
        let mut table = copied(&["id", "a"]);
        assert!(table.change_comes(Sequence(20), &shape(&["id", "b"])).is_err());
        table.halt(Problem::new(code::TARGET_TABLE_CHANGED, ""));
        assert!(!table.takes_changes());
        assert_eq!(table.copy_begins(Sequence(25), shape(&["id", "b"]), false), Ok(vec![]));
        table.resync(Sequence(30));
        let made = table.copy_begins(Sequence(31), shape(&["id", "b"]), false);
        let (old, new) = (Some(shape(&["id", "a"])), shape(&["id", "b"]));
        assert_eq!(made, Ok(vec![Alteration::Make { old, new }]));
        table.copy_ends();
        assert_eq!(table.state, State::Ready);
    }

    #[test]
    fn a_table_without_a_key_is_emptied_instead_of_swept() {
        let mut table = copied(&["bare"]);
        table.resync(Sequence(30));
        assert_eq!(table.copy_begins(Sequence(31), shape(&["bare"]), false), Ok(vec![Alteration::Clear]));
        assert_eq!(table.copy_ends(), []);
    }
}

//! One source against one target: which tables are to be compared, and the comparison of each.

use super::bag;
use super::layout::{Layout, Walk};
use super::listed::SourceTable;
use super::multiset;
use super::passage::{Held, Passage, Progress};
use super::ranges;
use super::reader::{Reader, Sides};
use super::registered::{Registered, registered};
use super::report::{Outcome, TableReport, Tally};
use super::settle::Suspects;
use super::sorted;
use super::source::Source;
use super::trouble::Trouble;
use crate::config::{System, Target};
use crate::model::code;
use crate::model::name::TableName;
use crate::model::problem::Problem;
use std::collections::BTreeMap;
use std::time::Instant;

pub struct Pair<'a> {
    pub system: &'a System,
    pub target: &'a Target,
}

/// A table that is to be compared.
pub struct Chosen {
    pub name: TableName,
    /// `None`: the target has it, the source has not.
    in_source: Option<SourceTable>,
}

/// How a table's comparison ended when it did not end in an answer.
enum End {
    NotReady(Problem),
    NotCaptured(Problem),
    Trouble(Trouble),
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Pair<'_> {
    pub fn full_name(&self, table: &TableName) -> String {
        format!("{}.{table}", self.system.name())
    }

    /// The tables that source or target has and `selects` takes, by full name, in the order of their names.
    ///
    /// # Errors
    /// [`Trouble`] when one of the two cannot be asked.
    pub async fn choose(&self, selects: impl Fn(&str) -> bool) -> Result<Vec<Chosen>, Trouble> {
        let mut sides = self.open().await?;
        let in_source = sides.source.tables(self.system).await?;
        let in_target = registered(&mut sides.target, &self.target.name, self.system.name()).await?;
        let was = |name: TableName| Chosen { name, in_source: None };
        let mut chosen: BTreeMap<_, _> = in_target
            .into_keys()
            .filter(|name| self.system.captures(name))
            .map(|name| (name.clone(), was(name)))
            .collect();
        for table in in_source {
            chosen.insert(table.name.clone(), Chosen { name: table.name.clone(), in_source: Some(table) });
        }
        chosen.retain(|name, _| selects(&self.full_name(name)));
        Ok(chosen.into_values().collect())
    }

    /// # Errors
    /// [`Problem`] when no other table of this pair can be compared either.
    pub async fn compare<P: Progress>(
        &self,
        chosen: &Chosen,
        passage: &mut Passage<'_, P>,
        shown_max: usize,
    ) -> Result<TableReport, Problem> {
        let began = Instant::now();
        let mut report = TableReport {
            target: self.target.name.to_string(),
            table: self.full_name(&chosen.name),
            target_table: None,
            outcome: Outcome::Equal,
            tally: Tally::showing(shown_max),
            problem: None,
            took: began.elapsed(),
        };
        let ended = match &chosen.in_source {
            Some(SourceTable { left_out: Some(why), .. }) => Err(End::NotCaptured(why.clone())),
            _ => self.look(chosen, passage, &mut report).await,
        };
        (report.outcome, report.problem) = match ended {
            Ok(()) => told(&report),
            Err(End::NotCaptured(problem)) => (Outcome::NotCaptured, Some(problem)),
            Err(End::NotReady(problem)) => (Outcome::NotReady, Some(problem)),
            Err(End::Trouble(Trouble::Table(problem))) => (Outcome::Failed, Some(problem)),
            Err(End::Trouble(Trouble::Pair(problem))) => return Err(problem),
        };
        report.took = began.elapsed();
        Ok(report)
    }

    async fn look<P: Progress>(
        &self,
        chosen: &Chosen,
        passage: &mut Passage<'_, P>,
        report: &mut TableReport,
    ) -> Result<(), End> {
        let (mut sides, mut aside) = (self.open().await?, self.open().await?);
        let target_table = self.ready(&mut aside.target, chosen).await?;
        report.target_table = Some(target_table.to_string());
        let Some(in_source) = &chosen.in_source else {
            let problem = Problem::new(code::VERIFY_SHAPES_DIFFER, "the source has no such table any more");
            return Err(Trouble::Table(problem).into());
        };
        let layout = Layout::look(&mut sides, in_source, &target_table).await?;
        report.tally.only_in_target.clone_from(&layout.only_in_target);
        report.tally.only_in_source.clone_from(&layout.only_in_source);
        let compared = compare(&layout, sides, aside, passage, &mut report.tally).await;
        if compared.is_err() || report.tally.outcome() != Outcome::Equal {
            // It may have been halted, or be made anew, since it was found ready: then that is why.
            let mut target = Reader::open(&self.target.endpoint, &self.target.name).await?;
            self.ready(&mut target, chosen).await?;
        }
        compared?;
        self.held(chosen, passage, report).await
    }

    /// What the running Tailwater says against the table: rows that are equal now do not stay so where their changes do not
    /// come, and rows that are about to be copied again are no difference.
    async fn held<P: Progress>(
        &self,
        chosen: &Chosen,
        passage: &mut Passage<'_, P>,
        report: &TableReport,
    ) -> Result<(), End> {
        let not_ready = |message| Err(End::NotReady(Problem::new(code::VERIFY_NOT_READY, message)));
        let is_equal = report.tally.outcome() == Outcome::Equal;
        match passage.held(&chosen.name).await? {
            Held::Whole => Ok(()),
            Held::ToBeCopied => not_ready("it is to be copied again".to_owned()),
            Held::Halted(why) if is_equal => not_ready(format!("equal, but its changes do not come: {why}")),
            Held::NotAtAll if is_equal => {
                let message = "equal, but the running Tailwater does not bring it to this target".to_owned();
                Err(End::NotCaptured(Problem::new(code::VERIFY_NOT_CAPTURED, message)))
            }
            Held::Halted(_) | Held::NotAtAll => Ok(()),
        }
    }

    /// The table in the target, if it holds it as a whole.
    async fn ready(&self, target: &mut Reader, chosen: &Chosen) -> Result<TableName, End> {
        let mut known = registered(target, &self.target.name, self.system.name()).await?;
        let not_ready = |message: String| End::NotReady(Problem::new(code::VERIFY_NOT_READY, message));
        match known.remove(&chosen.name) {
            Some(Registered { table, state, .. }) if state == "ready" => Ok(table),
            Some(Registered { state, halt_code, .. }) => {
                let halt = halt_code.map(|code| format!(": {code}")).unwrap_or_default();
                Err(not_ready(format!("it is {state} in the target{halt}")))
            }
            None => Err(not_ready("the target does not have it yet".to_owned())),
        }
    }

    async fn open(&self) -> Result<Sides, Trouble> {
        Ok(Sides {
            source: Source::open(self.system).await?,
            target: Reader::open(&self.target.endpoint, &self.target.name).await?,
        })
    }
}

async fn compare<P: Progress>(
    layout: &Layout,
    mut sides: Sides,
    mut aside: Sides,
    passage: &mut Passage<'_, P>,
    tally: &mut Tally,
) -> Result<(), Trouble> {
    match layout.walk {
        Walk::Ranges => {
            ranges::walk(layout, &mut sides, &mut Suspects::gather(layout, passage, aside, tally).await?).await
        }
        Walk::Sorted => {
            sorted::walk(layout, &mut sides, &mut Suspects::gather(layout, passage, aside, tally).await?).await
        }
        Walk::Bag => bag::compare(layout, &mut sides, &mut aside, passage, tally).await,
        Walk::Multiset => multiset::compare(layout, &mut sides, &mut aside, passage, tally).await,
    }
}

/// An answer in words.
fn told(report: &TableReport) -> (Outcome, Option<Problem>) {
    let (tally, outcome) = (&report.tally, report.tally.outcome());
    let problem = match outcome {
        Outcome::Different => {
            let Tally { changed, missing, extra, unsettled, .. } = tally;
            let unsettled = if *unsettled > 0 { format!(", {unsettled} unsettled") } else { String::new() };
            let message = format!("{changed} changed, {missing} missing in the target, {extra} only there{unsettled}");
            Some(Problem::new(code::VERIFY_DIFFERENCES, message))
        }
        Outcome::Unsettled => {
            Some(Problem::new(code::VERIFY_UNSETTLED, format!("{} rows kept changing", tally.unsettled)))
        }
        Outcome::Equal | Outcome::NotReady | Outcome::NotCaptured | Outcome::Failed => None,
    };
    (outcome, problem)
}

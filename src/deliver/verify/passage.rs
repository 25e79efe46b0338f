//! Knowing that the target has everything that the source had committed by now.
//!
//! ```text
//!  source: end of its log L ─► checkpoint ≥ L ─► the journal's newest sequence N ─► the target's sequence ≥ N
//! ```
//! Surprise: N is taken from an answer after the one that showed the checkpoint. Within one answer the journal may have
//! been looked at first.

use super::source::{Mark, Source};
use super::trouble::Trouble;
use crate::model::code;
use crate::model::name::{SystemName, TableName};
use crate::model::position::{LogPlace, Lsn};
use crate::model::problem::Problem;
use crate::wire::api::v1::{self, SourceState, TargetState, TargetTableState};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LATER: Duration = Duration::from_millis(100);

/// What the running Tailwater says of itself.
pub trait Progress {
    /// # Errors
    /// It does not answer, or refuses to.
    fn read(&mut self) -> impl Future<Output = Result<v1::GetStatusResponse, Problem>>;
}

/// Between one source and one target.
pub struct Passage<'a, P> {
    progress: &'a mut P,
    system: SystemName,
    target: SystemName,
    /// Without anything moving.
    wait: Duration,
    has_passed: bool,
}

/// What the running Tailwater says of a table in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Whole,
    ToBeCopied,
    /// With code and message.
    Halted(String),
    NotAtAll,
}

/// How far things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The target has everything up to this sequence.
    pub applied: u64,
    /// Newest in the journal.
    pub journaled: u64,
}

impl<'a, P: Progress> Passage<'a, P> {
    pub fn new(progress: &'a mut P, system: &SystemName, target: &SystemName, wait: Duration) -> Self {
        Self { progress, system: system.clone(), target: target.clone(), wait, has_passed: false }
    }

    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Waits until the target has all that is committed in the source now.
    ///
    /// # Errors
    /// [`Trouble::Pair`] when it does not come so far, with what was waited for.
    pub async fn passed(&mut self, source: &mut Source) -> Result<Passed, Trouble> {
        let mark = source.mark().await?;
        self.passes(&mark).await.map_err(Trouble::Pair)
    }

    /// The same once for all tables: so what was on its way for long is there. What is committed later is looked at again anyway.
    ///
    /// # Errors
    /// As [`Self::passed`].
    pub async fn passed_once(&mut self, source: &mut Source) -> Result<(), Trouble> {
        if !self.has_passed {
            self.passed(source).await?;
            self.has_passed = true;
        }
        Ok(())
    }

    /// What the running Tailwater says of a table in the target.
    ///
    /// # Errors
    /// [`Trouble::Pair`] when it does not answer.
    pub async fn held(&mut self, table: &TableName) -> Result<Held, Trouble> {
        let status = self.progress.read().await.map_err(Trouble::Pair)?;
        let tables = status.targets.iter().filter(|target| target.target == self.target.as_str());
        let mut tables = tables.flat_map(|target| &target.tables).filter(|held| held.system == self.system.as_str());
        let held = tables.find(|held| *held.schema == *table.schema && *held.table == *table.table);
        let Some(held) = held else { return Ok(Held::NotAtAll) };
        let why = held.halt.as_ref().map(|halt| format!("{}: {}", halt.code, halt.message));
        Ok(match held.state() {
            TargetTableState::Ready => Held::Whole,
            TargetTableState::Halted => Held::Halted(why.unwrap_or_default()),
            _ => Held::ToBeCopied,
        })
    }

    async fn passes(&mut self, mark: &Mark) -> Result<Passed, Problem> {
        self.until(|passage, status| passage.source_passes(status, mark)).await?;
        let journaled = newest(&self.progress.read().await?);
        self.until(|passage, status| passage.target_passes(status, journaled)).await
    }

    /// Looks until `step` is done. Gives up when what it looks at has not moved for too long.
    async fn until<T>(
        &mut self,
        step: impl Fn(&Self, &v1::GetStatusResponse) -> Result<Step<T>, Problem>,
    ) -> Result<T, Problem> {
        let (mut at, mut moved, mut pause) = (None, Instant::now(), LOOK_FIRST);
        loop {
            let status = self.progress.read().await?;
            let (now, waits_for) = match step(self, &status)? {
                Step::Done(value) => return Ok(value),
                Step::At { place, waits_for } => (place, waits_for),
            };
            if at.replace(now) != Some(now) {
                moved = Instant::now();
            }
            if moved.elapsed() >= self.wait {
                let message = format!("{waits_for}; it has not moved for {} s", self.wait.as_secs_f64());
                return Err(Problem::new(code::VERIFY_NOT_PASSED, message));
            }
            sleep(pause.min(self.wait)).await;
            pause = (pause * 2).min(LOOK_LATER);
        }
    }

    fn source_passes(&self, status: &v1::GetStatusResponse, mark: &Mark) -> Result<Step<()>, Problem> {
        let system = &self.system;
        let source = status.sources.iter().find(|source| source.system == system.as_str());
        let source = source.ok_or_else(|| absent("system", system))?;
        if source.state() == SourceState::Halted {
            return Err(halted("source", system, source.halt.as_ref()));
        }
        // Empty before the first set-up is done.
        let (passed, place, at, upto) = match mark {
            Mark::Lsn(mark) => {
                let at = source.checkpoint.parse().unwrap_or(Lsn(0));
                (at >= *mark, (0, at.0), at.to_string(), mark.to_string())
            }
            Mark::Place(mark) => {
                let at = source.checkpoint_place.parse().unwrap_or_else(|_| LogPlace::default());
                (at.order() >= mark.order(), at.order(), at.to_string(), mark.to_string())
            }
        };
        let waits_for = || format!("the source {system} is at {at}, waited for {upto}");
        Ok(if passed { Step::Done(()) } else { Step::At { place, waits_for: waits_for() } })
    }

    fn target_passes(&self, status: &v1::GetStatusResponse, journaled: u64) -> Result<Step<Passed>, Problem> {
        let name = &self.target;
        let target = status.targets.iter().find(|target| target.target == name.as_str());
        let target = target.ok_or_else(|| absent("target", name))?;
        if target.state() == TargetState::Halted {
            return Err(halted("target", name, target.halt.as_ref()));
        }
        let applied = target.sequence;
        if applied >= journaled {
            return Ok(Step::Done(Passed { applied, journaled: newest(status).max(journaled) }));
        }
        let waits_for = format!("the target {name} is at sequence {applied}, waited for {journaled}");
        Ok(Step::At { place: (0, applied), waits_for })
    }
}

enum Step<T> {
    Done(T),
    At { place: (u64, u64), waits_for: String },
}

fn newest(status: &v1::GetStatusResponse) -> u64 {
    status.journal.as_ref().map(|journal| journal.sequence).unwrap_or_default()
}

fn absent(what: &str, name: &SystemName) -> Problem {
    let message = format!("the running Tailwater has no {what} {name}: it was started with another configuration");
    Problem::new(code::VERIFY_NOT_PASSED, message)
}

fn halted(what: &str, name: &SystemName, why: Option<&v1::Problem>) -> Problem {
    let why = why.map(|problem| format!(": {}: {}", problem.code, problem.message)).unwrap_or_default();
    Problem::new(code::VERIFY_NOT_PASSED, format!("the {what} {name} is halted{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Longer than the longest pause between two looks.
    const WAIT: Duration = Duration::from_millis(300);

    /// Answers one after the other; the last one for ever.
    struct Answers(VecDeque<v1::GetStatusResponse>);

    impl Progress for Answers {
        async fn read(&mut self) -> Result<v1::GetStatusResponse, Problem> {
            let next = if self.0.len() > 1 { self.0.pop_front() } else { self.0.front().cloned() };
            Ok(next.expect("there is an answer"))
        }
    }

    fn answer(checkpoint: &str, journaled: u64, applied: u64) -> v1::GetStatusResponse {
        v1::GetStatusResponse {
            journal: Some(v1::JournalStatus { sequence: journaled, ..Default::default() }),
            sources: vec![v1::SourceStatus {
                system: "erp".into(),
                checkpoint: checkpoint.into(),
                ..Default::default()
            }],
            targets: vec![v1::TargetStatus { target: "lake".into(), sequence: applied, ..Default::default() }],
            ..Default::default()
        }
    }

    async fn passes(answers: impl IntoIterator<Item = v1::GetStatusResponse>) -> Result<Passed, String> {
        let mut answers = Answers(answers.into_iter().collect());
        let name = |name| SystemName::new(name).expect("a name");
        let mut passage = Passage::new(&mut answers, &name("erp"), &name("lake"), WAIT);
        passage.passes(&Mark::Lsn(Lsn(0x100))).await.map_err(|problem| problem.to_string())
    }

    #[tokio::test]
    async fn the_sequence_that_is_waited_for_is_newer_than_the_answer_that_shows_the_checkpoint() {
        let answers = [
            answer("", 7, 7),
            answer("0/FF", 7, 7),
            // Journaled up to the mark, and the journal was looked at a moment before.
            answer("0/100", 7, 7),
            answer("0/100", 8, 7),
            answer("0/100", 8, 7),
            answer("0/120", 9, 8),
        ];
        assert_eq!(passes(answers).await, Ok(Passed { applied: 8, journaled: 9 }));
    }

    #[tokio::test]
    async fn it_waits_while_something_moves_and_gives_up_with_what_it_waits_for() {
        let began = Instant::now();
        let slow = (0..12).map(|step| answer("0/100", 12, step));
        assert!(passes(slow.chain([answer("0/100", 12, 12)])).await.is_ok());
        assert!(began.elapsed() > WAIT, "it took longer in all, each step less");
        let stuck = passes([answer("0/100", 8, 7)]).await.expect_err("it stands");
        assert!(stuck.contains("TW-CLI-014") && stuck.contains("lake is at sequence 7, waited for 8"), "{stuck}");
        let stuck = passes([answer("0/FF", 8, 8)]).await.expect_err("it stands");
        assert!(stuck.contains("erp is at 0/FF, waited for 0/100"), "{stuck}");
    }

    #[tokio::test]
    async fn what_is_halted_or_unknown_is_not_waited_for() {
        let mut halted = answer("0/100", 8, 7);
        halted.targets[0].state = TargetState::Halted.into();
        halted.targets[0].halt =
            Some(v1::Problem { code: "TW-TGT-001".into(), message: "no room".into(), ..Default::default() });
        let began = Instant::now();
        let said = passes([halted]).await.expect_err("halted");
        assert!(said.contains("lake is halted: TW-TGT-001: no room"), "{said}");
        let unknown = v1::GetStatusResponse { targets: Vec::new(), ..answer("0/100", 8, 8) };
        let said = passes([unknown]).await.expect_err("unknown");
        assert!(said.contains("has no target lake"), "{said}");
        assert!(began.elapsed() < WAIT);
    }
}

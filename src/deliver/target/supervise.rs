//! Session after session, for ever, until asked to stop or until a person has to act.

use super::failure::{self, Failure, Verdict};
use super::session::{self, Ended};
use super::status::State;
use super::{Command, Context};
use crate::model::code::{self, Code};
use crate::model::problem::Problem;
use crate::source::Backoff;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// A session that lived this long was well.
const WELL_AFTER: Duration = Duration::from_secs(30);

pub(super) async fn run(context: Context, mut commands: mpsc::Receiver<Command>) {
    let mut backoff = Backoff::default();
    let mut told = None;
    while !context.stop.is_cancelled() {
        let started = Instant::now();
        let failure = match session::run(&context, &mut commands).await {
            Ok(Ended::Stopped) => break,
            Ok(Ended::Restart) => continue,
            Err(failure) => failure,
        };
        if started.elapsed() >= WELL_AFTER {
            backoff.reset();
            told = None;
        }
        let wait = match verdict(failure) {
            Verdict::Halt(problem) => {
                if halted(&context, problem, &mut commands).await {
                    continue;
                }
                break;
            }
            Verdict::Retry(problem) => retry(&context, problem, &mut told, backoff.wait()),
            Verdict::RetrySeldom(problem) => retry(&context, problem, &mut told, backoff.wait_long()),
        };
        tokio::select! {
            () = sleep(wait) => context.reporter.reconnect(),
            () = context.stop.cancelled() => break,
        }
    }
    context.reporter.state(State::Stopped);
    tracing::info!(target = %context.target.name, "target stopped");
}

fn verdict(failure: Failure) -> Verdict {
    match failure {
        // A table's trouble that could not be told to the target comes again.
        Failure::Table(_, problem) => Verdict::Retry(problem),
        Failure::Halt(problem) => Verdict::Halt(problem),
        Failure::Fault(fault) => failure::judge(&fault),
    }
}

/// Loud once for each code, quiet for its repetitions.
fn retry(context: &Context, problem: Problem, told: &mut Option<Code>, wait: Duration) -> Duration {
    let target = &context.target.name;
    if told.replace(problem.code) == Some(problem.code) {
        tracing::debug!(%target, %problem, "still trying");
    } else {
        tracing::warn!(%target, %problem, "the target is lost; trying again");
    }
    context.reporter.state(State::Retrying(problem));
    wait
}

/// Stays halted, and visible. True when a resync made it fit to go on, false when the process stops.
async fn halted(context: &Context, problem: Problem, commands: &mut mpsc::Receiver<Command>) -> bool {
    tracing::error!(target = %context.target.name, %problem, next = problem.code.entry().next, "target halted");
    context.reporter.state(State::Halted(problem.clone()));
    loop {
        let command = tokio::select! {
            () = context.stop.cancelled() => return false,
            command = commands.recv() => command,
        };
        let Some(Command::Resync { tables, done }) = command else { return false };
        if done.is_closed() {
            continue;
        }
        let answer = if !is_mended_by_resync(problem.code) {
            Err(problem.clone())
        } else if !tables.is_empty() {
            Err(Problem::new(code::TARGET_RESYNC_WHOLE, problem.message.clone()))
        } else {
            session::take_over(context).await.map_err(|failure| match verdict(failure) {
                Verdict::Halt(problem) | Verdict::Retry(problem) | Verdict::RetrySeldom(problem) => problem,
            })
        };
        let mended = answer.is_ok();
        // Whoever asked may have gone; it is done all the same.
        let _ = done.send(answer);
        if mended {
            tracing::info!(target = %context.target.name, "taken over: every table is made equal again");
            return true;
        }
    }
}

fn is_mended_by_resync(code: Code) -> bool {
    [
        code::TARGET_OF_ANOTHER_JOURNAL,
        code::TARGET_AHEAD,
        code::TARGET_RESUME_POINT_GONE,
        code::TARGET_JOURNAL_UNREADABLE,
    ]
    .contains(&code)
}

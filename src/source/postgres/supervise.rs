//! Session after session, for ever, until asked to stop or until a person has to act.
//!
//! Decides nothing itself: `policy` does. Surprise: a new session starts only when all that the last one
//! handed over is durable or forgotten; else the server would send it again and it would be journaled twice.

use super::policy::{self, Verdict};
use super::session::{self, Context};
use crate::journal::{self, Intake};
use crate::model::code::{self, Code};
use crate::model::problem::Problem;
use crate::source::backoff::Backoff;
use crate::source::repeated::Repeated;
use crate::source::status::State;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A session that lived this long was well.
const WELL_AFTER: Duration = Duration::from_secs(30);

pub async fn run(context: Context) {
    let mut intake = context.journal.intake(&context.system.name);
    let (mut backoff, mut repeated) = (Backoff::default(), Repeated::default());
    let mut told = None;
    while !context.stop.is_cancelled() {
        let started = Instant::now();
        let Err(fault) = session::run(&context, &mut intake).await else { break };
        if started.elapsed() >= WELL_AFTER {
            backoff.reset();
            told = None;
        }
        let verdict = policy::judge(&fault);
        if let Verdict::Retry(problem) | Verdict::RetrySeldom(problem) = &verdict {
            let reached = context.journal.checkpoint(&context.system.name);
            if let Some(problem) = repeated.ended(problem, context.reporter.streams(), reached) {
                return halt(&context, problem).await;
            }
        }
        let wait = match verdict {
            Verdict::Halt(problem) => return halt(&context, problem).await,
            Verdict::Retry(problem) => retry(&context, problem, &mut told, backoff.wait()),
            Verdict::RetrySeldom(problem) => retry(&context, problem, &mut told, backoff.wait_long()),
        };
        let ready = tokio::select! {
            ready = ready_again(&mut intake, wait) => ready,
            () = context.stop.cancelled() => break,
        };
        if let Err(error) = ready {
            return halt(&context, Problem::new(code::JOURNAL_STOPPED, error.to_string())).await;
        }
        context.reporter.reconnect();
    }
    context.reporter.state(&State::Stopped);
    tracing::info!(system = %context.system.name, "source stopped");
}

/// Waits, and then until what the last session handed over is durable or forgotten.
async fn ready_again(intake: &mut Intake, wait: Duration) -> Result<(), journal::Error> {
    sleep(wait).await;
    intake.abandon().await
}

/// Loud once for each code, quiet for its repetitions.
fn retry(context: &Context, problem: Problem, told: &mut Option<Code>, wait: Duration) -> Duration {
    let system = &context.system.name;
    let wait_ms = wait.as_millis();
    if told.replace(problem.code) == Some(problem.code) {
        tracing::debug!(%system, %problem, wait_ms, "still trying");
    } else if problem.code == code::INTAKE_WAITS {
        tracing::warn!(%system, %problem, "the source gave its connection back");
    } else if policy::needs_a_person(problem.code) {
        tracing::error!(%system, %problem, "the source needs a person; trying on");
    } else {
        tracing::warn!(%system, %problem, wait_ms, "the source lost its server; trying again");
    }
    context.reporter.state(&State::Retrying(problem));
    wait
}

/// Stays halted, and visible, until the process is asked to stop.
async fn halt(context: &Context, problem: Problem) {
    tracing::error!(system = %context.system.name, %problem, next = problem.code.entry().next, "source halted");
    context.reporter.state(&State::Halted(problem));
    context.stop.cancelled().await;
}

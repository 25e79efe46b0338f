//! Compares a source's tables with their copies in a target: every column of every row, database against database.
//!
//! ```text
//!  pair (source, target) ─► layout of a table ─┬► ranges (key order by index) ─┬► settle ─┬► report
//!                                              ├► sorted (key sorted by text) ─┘          │
//!                                              ├► bag    (no key, sorted by text) ────────┤
//!                                              └► multiset (no key, no order) ────────────┘
//! ```
//! Owns no way into the journal and writes nothing anywhere. The journal is asked for nothing but how far it is
//! (`passage`), so whatever is wrong between the two databases shows, whoever did it. Surprise: both sides go on
//! changing meanwhile. What looks different is looked at again until it is known to be no matter of timing, so a report
//! of differences can be believed.

mod bag;
mod layout;
mod merge;
mod multiset;
mod mysql;
mod pair;
mod passage;
mod place;
mod ranges;
mod reader;
mod registered;
mod report;
mod row;
mod settle;
mod sorted;
mod source;
mod trouble;

pub use passage::Progress;
pub use report::{Difference, Kind, Outcome, Report, Stopped, TableReport, Tally};

use super::class::{Asked, Class};
use super::subject::Subject;
use crate::config::{Config, Target};
use crate::model::code;
use crate::model::pattern::Pattern;
use crate::model::problem::Problem;
use pair::{Chosen, Pair};
use passage::Passage;
use std::time::Duration;
use trouble::Trouble;

#[derive(Debug)]
pub struct Options {
    /// By name. None: all.
    pub targets: Vec<String>,
    /// Over `system.schema.table`. None: all that the targets get.
    pub tables: Vec<Pattern>,
    /// How long to wait for something that does not move.
    pub wait: Duration,
    /// Differences of a table that are listed; all are counted.
    pub shown_max: usize,
}

/// # Errors
/// [`code::VERIFY_NOTHING`] when the options mean no target or table.
pub async fn verify(config: &Config, options: &Options, mut progress: impl Progress) -> Result<Report, Problem> {
    let mut report = Report { tables: Vec::new(), stopped: Vec::new() };
    let mut work = Vec::new();
    for pair in pairs(config, options)? {
        match pair.choose(|name| selects(config, pair.target, options, name)).await {
            Ok(tables) => work.push((pair, tables)),
            Err(Trouble::Table(problem) | Trouble::Pair(problem)) => report.stopped.push(stopped(&pair, problem)),
        }
    }
    if report.stopped.is_empty() {
        means_something(&work, &options.tables)?;
    }
    for (pair, tables) in &work {
        let mut passage = Passage::new(&mut progress, pair.system.name(), &pair.target.name, options.wait);
        for table in tables {
            match pair.compare(table, &mut passage, options.shown_max).await {
                Ok(found) => report.tables.push(found),
                Err(problem) => {
                    report.stopped.push(stopped(pair, problem));
                    break;
                }
            }
        }
    }
    Ok(report)
}

fn pairs<'a>(config: &'a Config, options: &Options) -> Result<Vec<Pair<'a>>, Problem> {
    let unknown = options.targets.iter().find(|name| !config.targets.keys().any(|known| known.as_str() == *name));
    if let Some(name) = unknown {
        return Err(Problem::new(code::VERIFY_NOTHING, format!("the configuration has no target `{name}`")));
    }
    if config.targets.is_empty() {
        return Err(Problem::new(code::VERIFY_NOTHING, "the configuration has no `targets`"));
    }
    let asked =
        |target: &&Target| options.targets.is_empty() || options.targets.iter().any(|n| n == target.name.as_str());
    let with_each = |target| config.systems.values().map(move |system| Pair { system, target });
    Ok(config.targets.values().filter(asked).flat_map(with_each).collect())
}

/// Whether the target gets the table as it is, and it is asked for. One that it gets in part has nothing to be compared with.
fn selects(config: &Config, target: &Target, options: &Options, full_name: &str) -> bool {
    let asked = options.tables.is_empty() || options.tables.iter().any(|pattern| pattern.matches(full_name));
    asked && target.tables.matches(full_name) && may_see(config, target, full_name)
}

fn may_see(config: &Config, target: &Target, full_name: &str) -> bool {
    let subject = Subject::target(target.name.as_str(), &target.roles);
    Class::new(&config.access, &subject, &Asked::default()).is_ok_and(|class| class.means_raw(full_name))
}

/// Each pattern has to mean a table, and there has to be one at all.
fn means_something(work: &[(Pair<'_>, Vec<Chosen>)], patterns: &[Pattern]) -> Result<(), Problem> {
    let names: Vec<_> =
        work.iter().flat_map(|(pair, tables)| tables.iter().map(|table| pair.full_name(&table.name))).collect();
    let nothing = |message| Err(Problem::new(code::VERIFY_NOTHING, message));
    match patterns.iter().find(|pattern| !names.iter().any(|name| pattern.matches(name))) {
        Some(pattern) => nothing(format!("no table of a target matches `{pattern}`")),
        None if names.is_empty() => nothing("no table of the sources is selected by a target".to_owned()),
        None => Ok(()),
    }
}

fn stopped(pair: &Pair<'_>, problem: Problem) -> Stopped {
    Stopped { target: pair.target.name.to_string(), system: pair.system.name().to_string(), problem }
}

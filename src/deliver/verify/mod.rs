//! Compares a source's tables with their copies in a target: every column of every row, database against database.
//!
//! ```text
//!  pair (source, target) ─► layout of a table ─┬► ranges (key order by index) ─┬► settle ─┬► report
//!                                              ├► sorted (key sorted by text) ─┘          │
//!                                              ├► bag    (no key, sorted by text) ────────┤
//!                                              └► multiset (no key, no order) ────────────┘
//! ```
//! Owns no way into the journal and writes nothing anywhere. The running Tailwater is asked for nothing but how far it is
//! and what it holds against a table (`passage`), so whatever is wrong between the two databases shows, whoever did it. For
//! the same reason the sessions' `settings`, the tables (`listed`) and their keys (`layout`) are the verifier's own, and shared
//! with no stream or copy; what it does not compare it names. Surprise: both sides go on
//! changing meanwhile. What looks different is looked at again until it is known to be no matter of timing, so a report
//! of differences can be believed.

mod bag;
mod layout;
mod listed;
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
mod settings;
mod settle;
mod sorted;
mod source;
mod trouble;

pub use passage::Progress;
pub use report::{Difference, Kind, NotCompared, Outcome, Report, Stopped, TableReport, Tally};

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
    let mut report = Report { tables: Vec::new(), stopped: Vec::new(), not_compared: Vec::new() };
    let mut work = Vec::new();
    for pair in pairs(config, options)? {
        match pair.choose(|name| is_asked(pair.target, options, name)).await {
            Ok(mut tables) => {
                tables.retain(|table| compares(config, &pair, table, &mut report.not_compared));
                work.push((pair, tables));
            }
            Err(Trouble::Table(problem) | Trouble::Pair(problem)) => report.stopped.push(stopped(&pair, problem)),
        }
    }
    report.not_compared.extend(entities(config, options));
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
    let asked = |target: &&Target| is_target(target, options);
    let with_each = |target| config.systems.values().map(move |system| Pair { system, target });
    Ok(config.targets.values().filter(asked).flat_map(with_each).collect())
}

/// Whether the target selects the table, and it is asked for.
fn is_asked(target: &Target, options: &Options, full_name: &str) -> bool {
    let asked = options.tables.is_empty() || options.tables.iter().any(|pattern| pattern.matches(full_name));
    asked && target.tables.matches(full_name)
}

/// Whether the target gets the table as it is. One that it gets in part has nothing to be compared with.
fn compares(config: &Config, pair: &Pair<'_>, table: &Chosen, not_compared: &mut Vec<NotCompared>) -> bool {
    let (target, name) = (pair.target.name.as_str(), pair.full_name(&table.name));
    let subject = Subject::target(target, &pair.target.roles);
    let why = match Class::new(&config.access, &subject, &Asked::default()) {
        Ok(class) if class.means_raw(&name) => return true,
        Ok(class) if class.means_table(&name) => "the target's roles see it in part, or masked",
        _ => "the target's roles do not see it",
    };
    not_compared.push(NotCompared { target: target.to_owned(), name, why });
    false
}

/// What Tailwater makes itself has no source to be compared with.
fn entities(config: &Config, options: &Options) -> Vec<NotCompared> {
    let of_target = |target: &Target| {
        let names = config.access.entities.keys();
        let written = names.filter(|name| target.entities.iter().any(|pattern| pattern.matches(name)));
        let not_compared = |name: &String| NotCompared {
            target: target.name.to_string(),
            name: format!("entity {name}"),
            why: "Tailwater makes it of several tables",
        };
        written.map(not_compared).collect::<Vec<_>>()
    };
    let targets = config.targets.values().filter(|target| is_target(target, options));
    if options.tables.is_empty() { targets.flat_map(of_target).collect() } else { Vec::new() }
}

fn is_target(target: &Target, options: &Options) -> bool {
    options.targets.is_empty() || options.targets.iter().any(|name| name == target.name.as_str())
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

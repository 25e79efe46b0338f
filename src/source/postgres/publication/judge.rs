//! What the publications lack, table by table. Pure.
//!
//! A table's home is the publication of its kind: with updates and deletes where its rows are told apart, else without. In a
//! list of ours it is in its home alone, because a publication that publishes updates breaks the application's UPDATE of a
//! table without identity. What a DBA made and covers a table is enough, whatever else is in it.

use super::super::catalogue::publications::{self, Publication};
use super::super::catalogue::{Seen, ServerTable};
use super::super::simple_query::{identifier, qualified};
use super::History;
use super::changes::{Change, Changes, Wanted};
use crate::model::code::{self, Code};
use crate::model::name::TableName;
use crate::model::problem::Problem;
use crate::model::schema::Identity;
use std::collections::BTreeSet;

/// What is to be done, by whom, and what nobody may do silently.
#[derive(Debug, Default)]
pub struct Judgement {
    /// To stream from, once `ours` is done.
    pub names: Vec<String>,
    pub ours: Changes,
    /// For the owners of publications that are not ours.
    pub others: Changes,
    /// Tables that are not carried whole, and by what they would be.
    pub broken: Vec<Broken>,
}

#[derive(Debug)]
pub struct Broken {
    pub table: TableName,
    pub problem: Problem,
    pub sql: String,
}

enum Verdict {
    Fine,
    /// It is to be put into its home.
    Home,
    /// Its home is to be given its options.
    Options,
    Broken {
        code: Code,
        message: String,
        sql: String,
    },
}

struct Judge<'a> {
    seen: &'a Seen,
    captured: BTreeSet<TableName>,
    /// Nothing was journaled yet.
    is_set_up: bool,
    may_create: bool,
    wanted: [Wanted; 2],
}

/// `may_create`: whether a publication that is missing can be made at a set-up.
///
/// # Errors
/// The problem of a captured table whose publication is gone: no stream can go on without it.
pub fn judge(publication: &str, seen: &Seen, history: History<'_>, may_create: bool) -> Result<Judgement, Problem> {
    let (captured, is_set_up) = match history {
        History::Empty => (BTreeSet::new(), true),
        History::Captured(captured) => (captured.clone(), false),
    };
    let [all, inserts_only] = publications::names(publication);
    let wanted =
        [Wanted { name: all, updates_and_deletes: true }, Wanted { name: inserts_only, updates_and_deletes: false }];
    let judge = Judge { seen, captured, is_set_up, may_create, wanted };
    let mut judgement = Judgement::default();
    judge.publications(&mut judgement)?;
    for table in &seen.tables {
        judge.table(table, &mut judgement);
    }
    judge.take_out_unconfigured(&mut judgement.ours);
    Ok(judgement)
}

impl Judge<'_> {
    fn home(&self, table: &ServerTable) -> &Wanted {
        &self.wanted[usize::from(table.identity() == Identity::Nothing)]
    }

    fn find(&self, wanted: &Wanted) -> Option<&Publication> {
        self.seen.publications.find(&wanted.name)
    }

    fn carriers(&self, table: &ServerTable) -> Vec<&Publication> {
        let is_its = |one: &&Publication| table.entry.carriers.iter().any(|carrier| carrier.is_of(one));
        self.wanted.iter().filter_map(|wanted| self.find(wanted)).filter(is_its).collect()
    }

    /// Those that are to be made, and those whose options are to be set.
    fn publications(&self, judgement: &mut Judgement) -> Result<(), Problem> {
        for wanted in &self.wanted {
            let needed = || self.seen.tables.iter().filter(|table| self.home(table) == wanted);
            let Some(is) = self.find(wanted) else {
                let captured = |table: &ServerTable| {
                    self.captured.contains(&table.name) && !matches!(self.verdict(table), Verdict::Fine)
                };
                if !self.is_set_up && (wanted.updates_and_deletes || needed().any(captured)) {
                    let message = format!("publication {:?} does not exist; {}", wanted.name, self.would_be(wanted));
                    return Err(Problem::new(code::PUBLICATION_MISSING, message));
                }
                // Without the right to create, an empty one is dispensable.
                let is_dispensable = needed().next().is_none() && !wanted.updates_and_deletes && !self.may_create;
                if self.is_set_up && !is_dispensable {
                    judgement.ours.publications.push(Change::Create(wanted.clone()));
                    judgement.names.push(wanted.name.clone());
                }
                continue;
            };
            judgement.names.push(wanted.name.clone());
            let exact = is.inserts_and_truncates
                && is.updates_and_deletes == wanted.updates_and_deletes
                && is.updates_or_deletes == wanted.updates_and_deletes;
            let asks = needed().any(|table| matches!(self.verdict(table), Verdict::Options));
            let is_broken = |table: &ServerTable| {
                let is_in = self.carriers(table).iter().any(|carrier| carrier.name == wanted.name);
                is_in && self.captured.contains(&table.name) && !self.does(is, table)
            };
            let may_set = is.ours && !exact && !needed().any(is_broken);
            if asks || may_set {
                let changes = if is.ours { &mut judgement.ours } else { &mut judgement.others };
                changes.publications.push(Change::SetOptions(wanted.clone()));
            }
        }
        Ok(())
    }

    fn would_be(&self, wanted: &Wanted) -> String {
        let mut changes = Changes { publications: vec![Change::Create(wanted.clone())], ..Changes::default() };
        let its = self.seen.tables.iter().filter(|table| self.home(table) == wanted);
        its.for_each(|table| changes.put_in(&table.name, &wanted.name));
        format!("it would be: {}", changes.statements().join(" "))
    }

    fn table(&self, table: &ServerTable, judgement: &mut Judgement) {
        let (home, name) = (self.home(table), &table.name);
        match self.verdict(table) {
            Verdict::Fine => {
                if self.carriers(table).iter().any(|carrier| carrier.name == home.name) {
                    self.take_out_of_other_list(name, home, &mut judgement.ours);
                }
            }
            Verdict::Options => {
                if self.find(home).is_some_and(|is| !is.ours) {
                    judgement.others.tables.entry(name.clone()).or_default();
                }
            }
            Verdict::Home if self.find(home).is_none_or(|is| is.ours) => {
                self.take_out_of_other_list(name, home, &mut judgement.ours);
                judgement.ours.put_in(name, &home.name);
            }
            Verdict::Home => judgement.others.put_in(name, &home.name),
            Verdict::Broken { code, message, sql } => {
                let problem = Problem::new(code, format!("{message}; fix with: {sql}"));
                judgement.broken.push(Broken { table: name.clone(), problem, sql });
            }
        }
    }

    fn verdict(&self, table: &ServerTable) -> Verdict {
        let (home, name) = (self.home(table), &table.name);
        let carriers = self.carriers(table);
        let stays = |one: &Publication| one.name == home.name || !is_our_list(one);
        if carriers.iter().any(|one| stays(one) && self.does(one, table)) {
            return Verdict::Fine;
        }
        let is_captured = self.captured.contains(name);
        let broken = |code, message, sql| Verdict::Broken { code, message, sql };
        let put = |publication: &str, again: bool| {
            let mut changes = Changes::default();
            changes.put_in(name, publication);
            if again {
                changes.take_out(name, publication);
            }
            changes.of_table(name)
        };
        if self.find(home).is_none() && !self.is_set_up {
            // One that is made now does not exist for the log that is still to be read.
            let message = format!(
                "publication {:?}, for tables without replica identity, was not there at the first start",
                home.name
            );
            let sql = format!("ALTER TABLE {} REPLICA IDENTITY FULL;", qualified(name));
            return broken(code::PUBLICATION_MISSING, message, sql);
        }
        if carriers.is_empty() && is_captured {
            let message = format!("publication {:?} no longer has {name}", home.name);
            return broken(code::PUBLICATION_ALTERED, message, put(&home.name, false));
        }
        if let Some(one) = carriers.iter().find(|one| one.narrows(name)) {
            let message = format!("publication {:?} carries only some rows or columns of {name}", one.name);
            return broken(code::PUBLICATION_ALTERED, message, put(&one.name, true));
        }
        if let Some(one) = carriers.iter().find(|one| one.generated && table.has_generated) {
            let message = format!("publication {:?} carries generated columns", one.name);
            let sql = format!("ALTER PUBLICATION {} SET (publish_generated_columns = none);", identifier(&one.name));
            return broken(code::PUBLICATION_ALTERED, message, sql);
        }
        if !carriers.iter().any(|one| one.name == home.name) {
            return Verdict::Home;
        }
        if !is_captured {
            return Verdict::Options;
        }
        let message =
            format!("publication {:?} lacks operations, or publishes partitions under their own names", home.name);
        broken(code::PUBLICATION_ALTERED, message, home.set_options())
    }

    /// Whether all that a table needs comes through a publication that carries it.
    fn does(&self, one: &Publication, table: &ServerTable) -> bool {
        one.inserts_and_truncates
            && (one.updates_and_deletes || !self.home(table).updates_and_deletes)
            && (one.via_root || !table.partitioned)
            && !(one.generated && table.has_generated)
            && !one.narrows(&table.name)
    }

    /// Out of our other list.
    fn take_out_of_other_list(&self, table: &TableName, home: &Wanted, changes: &mut Changes) {
        let lists = self.wanted.iter().filter(|wanted| *wanted != home).filter_map(|wanted| self.find(wanted));
        let has = |list: &&Publication| list.members.names.contains(table);
        lists.filter(|list| is_our_list(list)).filter(has).for_each(|list| changes.take_out(table, &list.name));
    }

    /// What is not configured is in no list of ours.
    fn take_out_unconfigured(&self, changes: &mut Changes) {
        let configured: BTreeSet<_> = self.seen.tables.iter().map(|table| &table.name).collect();
        for list in self.wanted.iter().filter_map(|wanted| self.find(wanted)).filter(|list| is_our_list(list)) {
            for member in list.members.names.iter().filter(|member| !configured.contains(member)) {
                changes.take_out(member, &list.name);
            }
        }
    }
}

/// What else somebody has put into a publication of whole schemas or of another owner is theirs to take out.
fn is_our_list(publication: &Publication) -> bool {
    publication.ours && !publication.is_wide()
}

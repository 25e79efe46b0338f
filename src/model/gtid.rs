//! Global transaction ids of MySQL and MariaDB, and sets of them: what a server has, and what we have of it.
//!
//! MySQL numbers the transactions of each server (and tag) and a set may have holes; it is what the server calls
//! `gtid_executed`. MariaDB numbers the transactions of a domain whoever wrote them, and a position is the last one of each
//! domain: `gtid_binlog_pos`. Surprise: in MariaDB numbers need not grow without `gtid_strict_mode`, so a transaction is never
//! judged by its number being small.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Gtid {
    Mysql(MysqlGtid),
    Mariadb(MariadbGtid),
}

/// `3e11fa47-71ca-11e1-9e33-c80aa9429562:23`, since 8.3 also `3e11…:tag:23`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MysqlGtid {
    pub origin: Origin,
    /// From 1.
    pub number: u64,
}

/// Who numbers: a server, perhaps under a tag.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    pub server: [u8; 16],
    /// Lower case; empty: none.
    pub tag: Arc<str>,
}

/// `0-1-100`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MariadbGtid {
    pub domain: u32,
    pub server: u32,
    pub sequence: u64,
}

/// What a server, or the journal, has of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GtidSet {
    Mysql(MysqlGtidSet),
    Mariadb(MariadbGtidPosition),
}

/// For each origin, runs of numbers: first and last, growing, with a hole between any two.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MysqlGtidSet {
    runs: BTreeMap<Origin, Vec<(u64, u64)>>,
}

/// The last transaction of each domain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MariadbGtidPosition {
    last: BTreeMap<u32, MariadbGtid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GTID set")]
pub struct NotGtids;

impl GtidSet {
    pub fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (Self::Mysql(set), Gtid::Mysql(gtid)) => set.add(gtid),
            (Self::Mariadb(position), Gtid::Mariadb(gtid)) => position.add(*gtid),
            // A server is one or the other for its whole life.
            _ => debug_assert!(false, "a GTID of another kind of server"),
        }
    }

    /// Adds everything of `other`, of a server of the same kind.
    pub fn add_all(&mut self, other: &Self) {
        match (self, other) {
            (Self::Mysql(set), Self::Mysql(other)) => set.add_all(other),
            (Self::Mariadb(position), Self::Mariadb(other)) => position.last.extend(&other.last),
            _ => debug_assert!(false, "GTIDs of another kind of server"),
        }
    }

    /// Whether the transaction is in it for certain; MariaDB's position says nothing of single transactions but the last.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::Mysql(set), Gtid::Mysql(gtid)) => set.contains(gtid),
            (Self::Mariadb(position), Gtid::Mariadb(gtid)) => position.last.get(&gtid.domain) == Some(gtid),
            _ => false,
        }
    }

    /// Whether everything of `other` is in it, as far as numbers tell.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mysql(set), Self::Mysql(other)) => set.covers(other),
            (Self::Mariadb(position), Self::Mariadb(other)) => position.covers(other),
            _ => false,
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::Mysql(set) => set.runs.is_empty(),
            Self::Mariadb(position) => position.last.is_empty(),
        }
    }
}

impl MysqlGtidSet {
    pub fn add(&mut self, gtid: &MysqlGtid) {
        if let Some(runs) = self.runs.get_mut(&gtid.origin) {
            add_number(runs, gtid.number);
        } else {
            self.runs.insert(gtid.origin.clone(), vec![(gtid.number, gtid.number)]);
        }
    }

    fn add_all(&mut self, other: &Self) {
        for (origin, more) in &other.runs {
            let runs = self.runs.entry(origin.clone()).or_default();
            let mut all = [&runs[..], &more[..]].concat();
            all.sort_unstable();
            runs.clear();
            for (first, last) in all {
                match runs.last_mut() {
                    Some((_, end)) if end.saturating_add(1) >= first => *end = last.max(*end),
                    _ => runs.push((first, last)),
                }
            }
        }
    }

    pub fn contains(&self, gtid: &MysqlGtid) -> bool {
        let runs = self.runs.get(&gtid.origin);
        runs.is_some_and(|runs| covers_run(runs, (gtid.number, gtid.number)))
    }

    pub fn covers(&self, other: &Self) -> bool {
        other.runs.iter().all(|(origin, wanted)| {
            let runs = self.runs.get(origin).map_or(&[][..], Vec::as_slice);
            wanted.iter().all(|run| covers_run(runs, *run))
        })
    }
}

/// Mostly the number behind the last one, or one in a hole near the end.
fn add_number(runs: &mut Vec<(u64, u64)>, number: u64) {
    let at = runs.iter().rposition(|(first, _)| *first <= number).map_or(0, |index| index + 1);
    let joins_before = at > 0 && runs[at - 1].1.saturating_add(1) >= number;
    let joins_after = runs.get(at).is_some_and(|(first, _)| *first == number.saturating_add(1));
    match (joins_before, joins_after) {
        (true, true) => {
            runs[at - 1].1 = runs[at].1;
            runs.remove(at);
        }
        (true, false) => runs[at - 1].1 = runs[at - 1].1.max(number),
        (false, true) => runs[at].0 = number,
        (false, false) => runs.insert(at, (number, number)),
    }
}

fn covers_run(runs: &[(u64, u64)], (first, last): (u64, u64)) -> bool {
    let before = runs.iter().rev().find(|(start, _)| *start <= first);
    before.is_some_and(|(_, end)| *end >= last)
}

impl MariadbGtidPosition {
    pub fn add(&mut self, gtid: MariadbGtid) {
        self.last.insert(gtid.domain, gtid);
    }

    fn covers(&self, other: &Self) -> bool {
        let reaches =
            |wanted: &MariadbGtid| self.last.get(&wanted.domain).is_some_and(|last| last.sequence >= wanted.sequence);
        other.last.values().all(reaches)
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mysql(gtid) => write!(f, "{}:{}", gtid.origin, gtid.number),
            Self::Mariadb(gtid) => gtid.fmt(f),
        }
    }
}

impl fmt::Display for MariadbGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.server.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        if self.tag.is_empty() { Ok(()) } else { write!(f, ":{}", self.tag) }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mysql(set) => set.fmt(f),
            Self::Mariadb(position) => position.fmt(f),
        }
    }
}

impl fmt::Display for MysqlGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (origin, runs)) in self.runs.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{origin}")?;
            for (first, last) in runs {
                if first == last { write!(f, ":{first}") } else { write!(f, ":{first}-{last}") }?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for MariadbGtidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gtid) in self.last.values().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{gtid}")?;
        }
        Ok(())
    }
}

impl FromStr for MysqlGtidSet {
    type Err = NotGtids;

    /// As `@@gtid_executed` prints it: also `uuid:1-3:tag:1-2`, with white space between.
    fn from_str(text: &str) -> Result<Self, NotGtids> {
        let mut set = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut pieces = part.split(':').map(str::trim);
            let server = pieces.next().and_then(uuid).ok_or(NotGtids)?;
            let mut origin = Origin { server, tag: "".into() };
            for piece in pieces {
                if piece.starts_with(|c: char| c.is_ascii_digit()) {
                    set.add_run(&origin, run(piece)?)?;
                } else if piece.is_empty() {
                    return Err(NotGtids);
                } else {
                    origin.tag = piece.to_ascii_lowercase().into();
                }
            }
        }
        Ok(set)
    }
}

impl MysqlGtidSet {
    /// Runs of one origin come in order, as the server prints them.
    fn add_run(&mut self, origin: &Origin, run: (u64, u64)) -> Result<(), NotGtids> {
        let runs = self.runs.entry(origin.clone()).or_default();
        if runs.last().is_some_and(|(_, last)| last.saturating_add(1) >= run.0) {
            return Err(NotGtids);
        }
        runs.push(run);
        Ok(())
    }
}

fn run(text: &str) -> Result<(u64, u64), NotGtids> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| NotGtids);
    let (first, last) = (number(first)?, number(last)?);
    if first == 0 || last < first { Err(NotGtids) } else { Ok((first, last)) }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(*pair.get(1)?)?)).collect();
    bytes?.try_into().ok()
}

impl FromStr for MariadbGtidPosition {
    type Err = NotGtids;

    fn from_str(text: &str) -> Result<Self, NotGtids> {
        let mut position = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            position.add(part.parse()?);
        }
        Ok(position)
    }
}

impl FromStr for MariadbGtid {
    type Err = NotGtids;

    fn from_str(text: &str) -> Result<Self, NotGtids> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(NotGtids);
        let (domain, server, sequence) = (part()?, part()?, part()?);
        let whole = parts.next().is_none();
        let gtid = Self {
            domain: domain.parse().map_err(|_| NotGtids)?,
            server: server.parse().map_err(|_| NotGtids)?,
            sequence: sequence.parse().map_err(|_| NotGtids)?,
        };
        whole.then_some(gtid).ok_or(NotGtids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> MysqlGtidSet {
        text.parse().expect("a set")
    }

    fn gtid(tag: &str, number: u64) -> MysqlGtid {
        MysqlGtid { origin: Origin { server: uuid(A).expect("a UUID"), tag: tag.into() }, number }
    }

    #[test]
    fn sets_read_back_what_they_print() {
        for text in ["", &format!("{A}:1-5"), &format!("{A}:1-5:7:9-10,{A}:blue:1-2,{}", A.replace('3', "4") + ":8")] {
            assert_eq!(set(text).to_string(), text);
        }
        assert_eq!(set(&format!("{A}:1-2:Blue:3,\n{A}:green:1")), set(&format!("{A}:1-2,{A}:blue:3,{A}:green:1")));
        for bad in ["x:1", &format!("{A}:0"), &format!("{A}:3-1"), &format!("{A}:5:1"), &format!("{A}::1"), "3e11:1"] {
            assert_eq!(bad.parse::<MysqlGtidSet>(), Err(NotGtids), "{bad}");
        }
        let position: MariadbGtidPosition = "1-7-3,0-1-100".parse().expect("a position");
        assert_eq!(position.to_string(), "0-1-100,1-7-3");
        for bad in ["0-1", "0-1-x", "0-1-2-3"] {
            assert_eq!(bad.parse::<MariadbGtidPosition>(), Err(NotGtids), "{bad}");
        }
    }

    #[test]
    fn sets_join() {
        let mut joined = GtidSet::Mysql(set(&format!("{A}:2-3:9,{A}:blue:1")));
        joined.add_all(&GtidSet::Mysql(set(&format!("{A}:1:4-5:8,{A}:green:7"))));
        assert_eq!(joined.to_string(), format!("{A}:1-5:8-9,{A}:blue:1,{A}:green:7"));
    }

    #[test]
    fn numbers_join_their_runs_in_whatever_order_they_come() {
        let mut collected = MysqlGtidSet::default();
        for number in [5, 1, 3, 2, 9, 4, 4] {
            collected.add(&gtid("", number));
        }
        assert_eq!(collected.to_string(), format!("{A}:1-5:9"));
        assert!(collected.contains(&gtid("", 4)) && !collected.contains(&gtid("", 6)));
        assert!(!collected.contains(&gtid("blue", 4)));
    }

    #[test]
    fn a_set_covers_what_is_in_it_and_a_hole_is_not() {
        let all = set(&format!("{A}:1-5:7-9"));
        assert!(all.covers(&set(&format!("{A}:2-3:8"))) && all.covers(&set("")));
        assert!(!all.covers(&set(&format!("{A}:5-7"))) && !all.covers(&set(&format!("{A}:blue:1"))));
        let position = |text: &str| GtidSet::Mariadb(text.parse().expect("a position"));
        assert!(position("0-2-9,1-1-1").covers(&position("0-1-8")));
        assert!(!position("0-2-9").covers(&position("0-1-10")) && !position("0-2-9").covers(&position("1-1-1")));
    }
}

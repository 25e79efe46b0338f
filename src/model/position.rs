//! Places: in a source's log, and in our journal.

use super::gtid::Gtid;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A PostgreSQL log sequence number: a byte offset into the WAL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes from `earlier` to here; 0 when `earlier` is not earlier.
    pub fn bytes_since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        let (high, low) = text.split_once('/').ok_or(NotAnLsn)?;
        let high = u32::from_str_radix(high, 16).map_err(|_| NotAnLsn)?;
        let low = u32::from_str_radix(low, 16).map_err(|_| NotAnLsn)?;
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an LSN, which reads like 16/B374D848")]
pub struct NotAnLsn;

/// Where in its source's log a transaction committed. Positions of two systems never compare, so there is no order here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Position {
    Postgres {
        commit_lsn: Lsn,
    },
    /// MySQL or MariaDB, as the id says. `gtid`: `None` for a step of a copy before the first transaction.
    Mysql {
        gtid: Option<Gtid>,
        end: LogPlace,
    },
    /// Of no source: a transaction of Tailwater's own, whose place is its sequence.
    Own,
}

/// A place in a binary log. Files of one server are numbered in order; those of two servers never compare.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogPlace {
    /// Empty: nowhere yet.
    pub file: Arc<str>,
    /// Bytes from the file's begin.
    pub offset: u64,
}

impl LogPlace {
    /// What of one server's places is the same and grows: the file's number, then the offset.
    pub fn order(&self) -> (u64, u64) {
        let number = self.file.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
        (number.unwrap_or(0), self.offset)
    }
}

impl FromStr for LogPlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (file, offset) = text.rsplit_once(':').ok_or(NotAPlace)?;
        Ok(Self { file: file.into(), offset: offset.parse().map_err(|_| NotAPlace)? })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a binary log, which reads like binlog.000004:157")]
pub struct NotAPlace;

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { commit_lsn } => commit_lsn.fmt(f),
            Self::Mysql { gtid: Some(gtid), .. } => gtid.fmt(f),
            Self::Mysql { gtid: None, end } => end.fmt(f),
            Self::Own => f.write_str("-"),
        }
    }
}

/// The number of a transaction in the journal: dense, never reused, from 1, shared by all sources. 0 is "before the first".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Sequence(pub u64);

impl Sequence {
    pub const ZERO: Self = Self(0);

    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which transactions a journal holds up to a sequence: the first bits of its chained hash there. Two copies of one journal that
/// went different ways have the same epoch and the same sequences, and from where they part another history.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct History(pub [u8; 16]);

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for History {
    type Err = NotAHistory;

    fn from_str(text: &str) -> Result<Self, NotAHistory> {
        let digits = (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text);
        let number = digits.and_then(|text| u128::from_str_radix(text, 16).ok()).ok_or(NotAHistory)?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a history, which has 32 hexadecimal digits")]
pub struct NotAHistory;

/// How far a reader has come in a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reached {
    pub sequence: Sequence,
    /// `None`: an earlier version, which kept none, noted the place.
    pub history: Option<History>,
}

/// 128 random bits made when a journal is created: tells one journal from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub [u8; 16]);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_prints_and_files_come_before_offsets() {
        let place = |text: &str| text.parse::<LogPlace>().expect("a place");
        assert_eq!(place("my:log.000009:157").to_string(), "my:log.000009:157");
        assert!(place("b.000010:4").order() > place("b.000009:100").order());
        assert_eq!("b.000009".parse::<LogPlace>(), Err(NotAPlace));
    }

    #[test]
    fn a_history_reads_back_what_it_prints() {
        let history = History([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(history.to_string().parse(), Ok(history));
        for bad in ["", "+0000000000000000000000000000001", "000102"] {
            assert_eq!(bad.parse::<History>(), Err(NotAHistory), "{bad:?}");
        }
    }

    #[test]
    fn an_lsn_reads_back_what_it_prints() {
        for lsn in [0, 1, 0x16_B374_D848, u64::MAX] {
            assert_eq!(Lsn(lsn).to_string().parse(), Ok(Lsn(lsn)));
        }
        for bad in ["", "16", "16/", "/1", "G/1", "1/1/1", "100000000/0"] {
            assert_eq!(bad.parse::<Lsn>(), Err(NotAnLsn), "{bad:?}");
        }
    }
}

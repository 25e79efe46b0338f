//! Dates, times and intervals from PostgreSQL's ISO text (`DateStyle` ISO, `IntervalStyle` iso_8601, `TimeZone` UTC).
//!
//! Surprise: PostgreSQL reaches from 4713 BC to the year 294276 (timestamps) or 5874897 (dates), writes years before 1
//! as `0044-03-15 BC`, and has no year 0. Nothing here goes through a calendar library: they end too early.

// Every number here comes from at most nine digits, so no sum or product leaves an i64.
#![allow(clippy::arithmetic_side_effects)]

/// A value, or one of the two infinities that PostgreSQL's date types have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounded<T> {
    NegativeInfinity,
    Value(T),
    Infinity,
}

impl<T> Bounded<T> {
    fn parse(text: &[u8], finite: impl FnOnce(&[u8]) -> Option<T>) -> Option<Self> {
        match text {
            b"infinity" => Some(Self::Infinity),
            b"-infinity" => Some(Self::NegativeInfinity),
            _ => finite(text).map(Self::Value),
        }
    }
}

/// Seconds since 1970-01-01T00:00:00, rounded down, and nanoseconds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanos: u32,
}

/// The three parts of an interval, which do not convert into one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Days since 1970-01-01.
pub fn date(text: &[u8]) -> Option<Bounded<i32>> {
    Bounded::parse(text, |text| {
        let mut cursor = Cursor(text);
        let date = cursor.date()?;
        let before_christ = cursor.take_all(b" BC");
        cursor.end()?;
        i32::try_from(date.days(before_christ)?).ok()
    })
}

/// `timestamp` and, with its offset from UTC, `timestamptz`.
pub fn timestamp(text: &[u8]) -> Option<Bounded<Timestamp>> {
    Bounded::parse(text, |text| {
        let mut cursor = Cursor(text);
        let date = cursor.date()?;
        cursor.take(b' ')?;
        let time = cursor.time()?;
        let offset = if matches!(cursor.0.first(), Some(b'+' | b'-')) { cursor.offset()? } else { 0 };
        let before_christ = cursor.take_all(b" BC");
        cursor.end()?;
        let seconds = date.days(before_christ)? * SECONDS_PER_DAY + time.div_euclid(MICROS_PER_SECOND) - offset;
        let nanos = u32::try_from(time.rem_euclid(MICROS_PER_SECOND) * 1_000).ok()?;
        Some(Timestamp { seconds, nanos })
    })
}

/// Microseconds since midnight; 24:00:00 is a time of its own.
pub fn time(text: &[u8]) -> Option<i64> {
    let mut cursor = Cursor(text);
    let time = cursor.time()?;
    cursor.end()?;
    Some(time)
}

/// Microseconds since midnight on the local clock, and seconds east of UTC.
pub fn time_with_offset(text: &[u8]) -> Option<(i64, i32)> {
    let mut cursor = Cursor(text);
    let time = cursor.time()?;
    let offset = cursor.offset()?;
    cursor.end()?;
    Some((time, i32::try_from(offset).ok()?))
}

/// `P1Y2M3DT4H5M6.789S`, each number with a sign of its own. Infinities since PostgreSQL 17.
pub fn interval(text: &[u8]) -> Option<Bounded<Interval>> {
    Bounded::parse(text, |text| {
        let mut cursor = Cursor(text);
        cursor.take(b'P')?;
        let mut interval = Interval::default();
        let mut after_t = false;
        while !cursor.0.is_empty() {
            if !after_t && cursor.take(b'T').is_some() {
                after_t = true;
            }
            cursor.interval_part(after_t, &mut interval)?;
        }
        Some(interval)
    })
}

#[derive(Debug, Clone, Copy)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Howard Hinnant's days_from_civil: years start in March, so that the leap day is the last of the year.
    fn days(self, before_christ: bool) -> Option<i64> {
        if !(1..=12).contains(&self.month) || !(1..=31).contains(&self.day) {
            return None;
        }
        let year = if before_christ { 1 - self.year } else { self.year };
        let year = if self.month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(era * 146_097 + day_of_era - 719_468)
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.0.split_first()?;
        (first == byte).then(|| self.0 = rest)
    }

    fn take_all(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// One to twelve digits.
    fn number(&mut self) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 12 {
            return None;
        }
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        Some(number.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// What follows the point, in microseconds; PostgreSQL writes up to six digits and cuts trailing zeros.
    fn micros(&mut self) -> Option<i64> {
        if self.take(b'.').is_none() {
            return Some(0);
        }
        let before = self.0.len();
        let number = self.number()?;
        let digits = u32::try_from(before - self.0.len()).ok()?;
        Some(number * 10_i64.pow(6_u32.checked_sub(digits)?))
    }

    fn date(&mut self) -> Option<Date> {
        let year = self.number()?;
        self.take(b'-')?;
        let month = self.number()?;
        self.take(b'-')?;
        Some(Date { year, month, day: self.number()? })
    }

    /// Microseconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hours = self.number()?;
        self.take(b':')?;
        let minutes = self.number()?;
        self.take(b':')?;
        let seconds = self.number()?;
        if hours > 24 || minutes > 59 || seconds > 60 {
            return None;
        }
        Some(((hours * 60 + minutes) * 60 + seconds) * MICROS_PER_SECOND + self.micros()?)
    }

    fn sign(&mut self) -> i64 {
        if self.take_all(b"-") {
            return -1;
        }
        self.take_all(b"+");
        1
    }

    /// Seconds east of UTC: `+05`, `-03:30`, `+01:02:03`.
    fn offset(&mut self) -> Option<i64> {
        if !matches!(self.0.first(), Some(b'+' | b'-')) {
            return None;
        }
        let sign = self.sign();
        let mut seconds = self.number()? * 3_600;
        for unit in [60, 1] {
            if self.take(b':').is_none() {
                break;
            }
            seconds += self.number()? * unit;
        }
        Some(sign * seconds)
    }

    fn interval_part(&mut self, after_t: bool, interval: &mut Interval) -> Option<()> {
        let sign = self.sign();
        let number = self.number()?;
        let micros = self.micros()?;
        let (&unit, rest) = self.0.split_first()?;
        self.0 = rest;
        if micros != 0 && (unit, after_t) != (b'S', true) {
            return None;
        }
        let add = |part: i32, factor: i64| i32::try_from(i64::from(part) + sign * number * factor).ok();
        match (unit, after_t) {
            (b'Y', false) => interval.months = add(interval.months, 12)?,
            (b'M', false) => interval.months = add(interval.months, 1)?,
            (b'D', false) => interval.days = add(interval.days, 1)?,
            (b'H', true) => interval.add_micros(sign, number.checked_mul(3_600 * MICROS_PER_SECOND)?)?,
            (b'M', true) => interval.add_micros(sign, number.checked_mul(60 * MICROS_PER_SECOND)?)?,
            (b'S', true) => interval.add_micros(sign, number.checked_mul(MICROS_PER_SECOND)? + micros)?,
            _ => return None,
        }
        Some(())
    }
}

impl Interval {
    fn add_micros(&mut self, sign: i64, micros: i64) -> Option<()> {
        self.microseconds = self.microseconds.checked_add(sign * micros)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_from_the_whole_range_of_the_server_are_days() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("0001-01-01", -719_162),
            ("0001-12-31 BC", -719_163),
            ("4714-11-24 BC", -2_440_588),
            ("5874897-12-31", 2_145_042_905),
        ] {
            assert_eq!(date(text.as_bytes()), Some(Bounded::Value(days)), "{text}");
        }
        assert_eq!(date(b"-infinity"), Some(Bounded::NegativeInfinity));
    }

    #[test]
    fn timestamps_keep_microseconds_offsets_and_eras() {
        let value = |seconds, nanos| Some(Bounded::Value(Timestamp { seconds, nanos }));
        assert_eq!(timestamp(b"1970-01-01 00:00:00"), value(0, 0));
        assert_eq!(timestamp(b"1969-12-31 23:59:59.5"), value(-1, 500_000_000));
        assert_eq!(timestamp(b"2024-06-01 12:00:00.000001+00"), value(1_717_243_200, 1_000));
        assert_eq!(timestamp(b"2024-06-01 12:00:00+05:30"), value(1_717_243_200 - 19_800, 0));
        assert_eq!(timestamp(b"0001-12-31 23:59:59+00 BC"), value(-719_163 * 86_400 + 86_399, 0));
        assert_eq!(timestamp(b"294276-12-31 23:59:59.999999"), value(9_224_318_015_999, 999_999_000));
        assert_eq!(timestamp(b"infinity"), Some(Bounded::Infinity));
    }

    #[test]
    fn times_reach_to_the_end_of_the_day_and_carry_their_offset() {
        assert_eq!(time(b"24:00:00"), Some(86_400_000_000));
        assert_eq!(time(b"00:00:00.000001"), Some(1));
        assert_eq!(time_with_offset(b"01:02:03-03:30:10"), Some((3_723_000_000, -12_610)));
    }

    #[test]
    fn intervals_keep_their_three_parts_and_signs() {
        let value = |months, days, microseconds| Some(Bounded::Value(Interval { months, days, microseconds }));
        assert_eq!(interval(b"P1Y2M3DT4H5M6.789S"), value(14, 3, 14_706_789_000));
        assert_eq!(interval(b"P-1Y-2M3DT-4H-5M-6.7S"), value(-14, 3, -14_706_700_000));
        assert_eq!(interval(b"PT0S"), value(0, 0, 0));
        assert_eq!(interval(b"PT-0.5S"), value(0, 0, -500_000));
        assert_eq!(interval(b"PT2562047788H54.775807S"), value(0, 0, 9_223_372_036_854_775_807));
        assert_eq!(interval(b"P1H"), None);
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in "[-+0-9PTYMDHS:. BCinfty]{0,40}") {
            let text = text.as_bytes();
            let _ = (date(text), timestamp(text), time(text), time_with_offset(text), interval(text));
        }
    }
}

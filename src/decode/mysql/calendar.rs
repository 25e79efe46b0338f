//! Dates and times in their packed forms.
//!
//! Surprises: MySQL stores dates that are none, with a day, month or year of zero, and a TIMESTAMP of zero is one of them.
//! A TIME reaches 838:59:59 to either side; a negative one is stored as an offset, whole and fraction together, so that
//! −0.5 s has the whole seconds of −1.
//!
//! Source: MySQL 9 mysys/my_time.cc (`my_time_packed_from_binary`, `my_datetime_packed_from_binary`).

use super::column::fraction_bytes;
use super::reader::Reader;
use std::fmt::Write as _;

/// A calendar day, or what MySQL has in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

/// Of a local clock without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    pub date: Date,
    /// Microseconds since midnight.
    pub micros: u64,
}

/// A point in time; `None` stands for `0000-00-00 00:00:00`.
pub type Timestamp = Option<(u32, u32)>;

const MICROS_PER_SECOND: u64 = 1_000_000;

impl Date {
    /// Days since 1970-01-01; `None` for a date that is none. MySQL allows 2026-02-31 where ALLOW_INVALID_DATES is set.
    pub fn days(self) -> Option<i32> {
        let Self { year, month, day } = self;
        let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
        if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        i32::try_from(days_from_civil(year, month, day)).ok()
    }

    pub fn write(self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day);
    }
}

/// Howard Hinnant's days_from_civil: years start in March, so that the leap day is the last of the year.
#[allow(clippy::arithmetic_side_effects)] // Years have at most five digits.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

impl DateTime {
    /// Seconds since 1970-01-01T00:00:00 and nanoseconds on; `None` when its date is none.
    pub fn seconds_and_nanos(self) -> Option<(i64, u32)> {
        let seconds = i64::from(self.date.days()?).checked_mul(86_400)?;
        let of_day = i64::try_from(self.micros / MICROS_PER_SECOND).ok()?;
        let nanos = u32::try_from((self.micros % MICROS_PER_SECOND).checked_mul(1_000)?).ok()?;
        Some((seconds.checked_add(of_day)?, nanos))
    }

    /// With so many digits of the second, as the server prints it.
    pub fn write(self, digits: u8, out: &mut String) {
        self.date.write(out);
        out.push(' ');
        write_clock(self.micros, digits, out);
    }
}

/// `00:00:00.000`.
pub fn write_clock(micros: u64, digits: u8, out: &mut String) {
    let seconds = micros / MICROS_PER_SECOND;
    // Writing to a string cannot fail.
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if digits > 0 {
        let fraction = format!("{:06}", micros % MICROS_PER_SECOND);
        out.push('.');
        out.push_str(fraction.get(..usize::from(digits)).unwrap_or(&fraction));
    }
}

/// DATE: five bits of day, four of month, the rest year.
pub fn date(stored: &[u8]) -> Option<Date> {
    let packed = Reader::new(0, stored).uint(3).ok()?;
    date_from(packed & 31, packed >> 5 & 15, packed >> 9)
}

fn date_from(day: u64, month: u64, year: u64) -> Option<Date> {
    Some(Date { year: u16::try_from(year).ok()?, month: u8::try_from(month).ok()?, day: u8::try_from(day).ok()? })
}

/// Digits of a second, in whole bytes, as microseconds.
fn fraction(packed: u64, digits: u8) -> Option<u64> {
    let scale = match fraction_bytes(digits) {
        0 => 0,
        1 => 10_000,
        2 => 100,
        _ => 1,
    };
    packed.checked_mul(scale).filter(|micros| *micros < MICROS_PER_SECOND)
}

/// DATETIME: a sign that is always set, 17 bits of year × 13 + month, 5 of day, 5, 6 and 6 of the time.
pub fn date_time(stored: &[u8], digits: u8) -> Option<DateTime> {
    let mut reader = Reader::new(0, stored);
    let whole = reader.uint_be(5).ok()?.checked_sub(0x80_0000_0000)?;
    let micros = fraction(reader.uint_be(fraction_bytes(digits)).ok()?, digits)?;
    packed_date_time(whole, micros)
}

/// The same 40 bits as JSON has them, above 24 of microseconds.
pub fn packed_date_time(whole: u64, micros: u64) -> Option<DateTime> {
    let year_month = whole >> 22;
    let date = date_from(whole >> 17 & 31, year_month % 13, year_month / 13)?;
    let seconds = clock_seconds(whole >> 12 & 31, whole >> 6 & 63, whole & 63)?;
    Some(DateTime { date, micros: seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(micros)? })
}

fn clock_seconds(hours: u64, minutes: u64, seconds: u64) -> Option<u64> {
    hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)
}

/// TIMESTAMP: seconds since 1970 in UTC, big endian, and a fraction.
pub fn timestamp(stored: &[u8], digits: u8) -> Option<Timestamp> {
    let mut reader = Reader::new(0, stored);
    let seconds = u32::try_from(reader.uint_be(4).ok()?).ok()?;
    let micros = fraction(reader.uint_be(fraction_bytes(digits)).ok()?, digits)?;
    let nanos = u32::try_from(micros.checked_mul(1_000)?).ok()?;
    Some(((seconds, nanos) != (0, 0)).then_some((seconds, nanos)))
}

/// TIME in microseconds. Stored with an offset of half the range of whole and fraction together.
pub fn time(stored: &[u8], digits: u8) -> Option<i64> {
    let fraction_length = fraction_bytes(digits);
    let mut reader = Reader::new(0, stored);
    let packed = i64::try_from(reader.uint_be(fraction_length.checked_add(3)?).ok()?).ok()?;
    let bits = u32::try_from(fraction_length.checked_mul(8)?).ok()?;
    let offset = packed.checked_sub(0x80_0000_i64.checked_shl(bits)?)?;
    let magnitude = offset.unsigned_abs();
    let (whole, part) = (magnitude.checked_shr(bits)?, magnitude & !u64::MAX.checked_shl(bits)?);
    signed_time(offset < 0, whole, fraction(part, digits)?)
}

/// `whole`: 10 bits of hours, 6 of minutes, 6 of seconds.
pub fn signed_time(negative: bool, whole: u64, micros: u64) -> Option<i64> {
    let seconds = clock_seconds(whole >> 12 & 0x3FF, whole >> 6 & 63, whole & 63)?;
    let time = i64::try_from(seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(micros)?).ok()?;
    if negative { time.checked_neg() } else { Some(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_times_keep_their_fraction() {
        // −10:20:30.5, which some decoders read as 614:43:33.
        let whole = 10_i64 << 12 | 20 << 6 | 30;
        let packed = (0x80_0000_i64 << 8) - (whole << 8 | 50);
        let stored = &packed.to_be_bytes()[4..];
        assert_eq!(time(stored, 1), Some(-37_230_500_000));
        assert_eq!(time(&[0x7F, 0xFF, 0xFF, 0xCE], 2), Some(-500_000));
        assert_eq!(time(&[0x80, 0, 0], 0), Some(0));
        let packed = (0x80_0000_i64 << 24) - ((838 << 12 | 59 << 6 | 59) << 24 | 1);
        assert_eq!(time(&packed.to_be_bytes()[2..], 6), Some(-(838 * 3_600 + 59 * 60 + 59) * 1_000_000 - 1));
    }

    #[test]
    fn dates_that_are_none_have_no_day_number_and_read_as_stored() {
        for (date, days) in [
            (Date { year: 1970, month: 1, day: 1 }, Some(0)),
            (Date { year: 2024, month: 2, day: 29 }, Some(19_782)),
            (Date { year: 9999, month: 12, day: 31 }, Some(2_932_896)),
            (Date { year: 0, month: 0, day: 0 }, None),
            (Date { year: 2026, month: 5, day: 0 }, None),
            (Date { year: 2026, month: 2, day: 30 }, None),
            (Date { year: 0, month: 1, day: 1 }, None),
        ] {
            assert_eq!(date.days(), days, "{date:?}");
        }
        let mut text = String::new();
        DateTime { date: Date { year: 2026, month: 5, day: 0 }, micros: 3_661_250_000 }.write(3, &mut text);
        assert_eq!(text, "2026-05-00 01:01:01.250");
    }

    #[test]
    fn stored_forms_are_taken_apart() {
        let packed: u32 = 2026 << 9 | 6 << 5 | 17;
        assert_eq!(date(&packed.to_le_bytes()[..3]), Some(Date { year: 2026, month: 6, day: 17 }));
        let whole = 0x80_0000_0000_u64 | (2026 * 13 + 6) << 22 | 17 << 17 | 14 << 12 | 22 << 6 | 33;
        let mut stored = whole.to_be_bytes()[3..].to_vec();
        stored.extend([0x04, 0xD2]);
        let seen = date_time(&stored, 4).expect("a date and time");
        assert_eq!((seen.date, seen.micros), (Date { year: 2026, month: 6, day: 17 }, 51_753_123_400));
        assert_eq!(timestamp(&[0, 0, 0, 0], 0), Some(None));
        assert_eq!(timestamp(&[0, 0, 0, 1, 5], 2), Some(Some((1, 50_000_000))));
        assert_eq!(timestamp(&[0, 0, 0, 1, 200], 2), None);
        assert_eq!(date(&[1]), None);
    }
}

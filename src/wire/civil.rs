//! Dates, times and intervals as ISO 8601 text, for the JSON form.
//!
//! Years outside 0000–9999 carry a sign, as ISO 8601 wants it; year 0 is 1 BC.

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// `2024-02-29`, from days since 1970-01-01.
pub fn date(days: i64) -> String {
    let (year, month, day) = year_month_day(days);
    let year = if (0..=9_999).contains(&year) { format!("{year:04}") } else { format!("{year:+05}") };
    format!("{year}-{month:02}-{day:02}")
}

/// `2024-02-29T12:00:00.5`, from seconds since 1970-01-01T00:00:00.
pub fn date_time(seconds: i64, nanos: u32) -> String {
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let date = date(seconds.div_euclid(SECONDS_PER_DAY));
    format!("{date}T{}{}", clock(of_day), fraction(nanos.into(), 9))
}

/// `-10:20:30.5`, from microseconds; hours may go beyond 24.
pub fn time(microseconds: i64) -> String {
    let sign = if microseconds < 0 { "-" } else { "" };
    let micros = microseconds.unsigned_abs();
    let seconds = i64::try_from(micros / MICROS_PER_SECOND.unsigned_abs()).unwrap_or(i64::MAX);
    format!("{sign}{}{}", clock(seconds), fraction(micros % MICROS_PER_SECOND.unsigned_abs(), 6))
}

/// `+05:30`, from seconds east of UTC.
pub fn offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let clock = clock(seconds.unsigned_abs().into());
    format!("{sign}{}", clock.strip_suffix(":00").unwrap_or(&clock))
}

/// `P14M3DT14706.789S`: three parts, each with its own sign, none turned into another.
pub fn interval(months: i32, days: i32, microseconds: i64) -> String {
    let mut text = String::from("P");
    if months != 0 {
        text += &format!("{months}M");
    }
    if days != 0 {
        text += &format!("{days}D");
    }
    if microseconds != 0 || text == "P" {
        let sign = if microseconds < 0 { "-" } else { "" };
        let micros = microseconds.unsigned_abs();
        let (seconds, rest) = (micros / MICROS_PER_SECOND.unsigned_abs(), micros % MICROS_PER_SECOND.unsigned_abs());
        text += &format!("T{sign}{seconds}{}S", fraction(rest, 6));
    }
    text
}

fn clock(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `.5`, without trailing zeros; nothing for 0.
fn fraction(value: u64, digits: usize) -> String {
    if value == 0 {
        return String::new();
    }
    let text = format!(".{value:0digits$}");
    text.trim_end_matches('0').to_owned()
}

/// Year (0 is 1 BC), month and day, from days since 1970-01-01. Howard Hinnant's civil_from_days: years start in March.
pub fn year_month_day(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_every_era_are_iso_8601() {
        for (days, text) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_145_042_905, "+5874897-12-31"),
        ] {
            assert_eq!(date(days), text);
        }
        assert_eq!(date_time(-1, 500_000_000), "1969-12-31T23:59:59.5");
    }

    #[test]
    fn times_offsets_and_intervals_keep_signs_and_fractions() {
        assert_eq!(time(-37_230_500_000), "-10:20:30.5");
        assert_eq!(time(86_400_000_000), "24:00:00");
        assert_eq!((offset(19_800), offset(-12_610)), ("+05:30".into(), "-03:30:10".into()));
        assert_eq!(interval(14, 3, -500_000), "P14M3DT-0.5S");
        assert_eq!(interval(0, 0, 0), "PT0S");
    }
}

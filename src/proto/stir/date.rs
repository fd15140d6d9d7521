//! The moment of a statement as a `Date` header (RFC 3261 §20.17), which goes with every one that we make.

/// Days of 400 years, after which the calendar begins anew.
const ERA_DAYS: i64 = 146_097;
/// From the first of March of the year 0 to the first of January 1970.
const TO_1970_DAYS: i64 = 719_468;
const DAY_SECONDS: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
/// The year begins in March here, so that the day of a leap year is its last.
const MONTHS: [&str; 12] =
    ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];

/// Writes seconds since 1970 as `Sat, 13 Nov 2010 23:29:00 GMT`.
#[must_use]
pub fn written(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let weekday = index(&WEEKDAYS, days.rem_euclid(7));
    let days = days + TO_1970_DAYS;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + i64::from(month >= 10);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let month = index(&MONTHS, month);
    format!("{weekday}, {of_month:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn index<'w>(words: &[&'w str], at: i64) -> &'w str {
    usize::try_from(at).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_289_690_940, "Sat, 13 Nov 2010 23:29:00 GMT"),
            (1_471_375_418, "Tue, 16 Aug 2016 19:23:38 GMT"),
            (1_795_246_942, "Sat, 21 Nov 2026 07:42:22 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        ] {
            assert_eq!(written(seconds), text);
        }
    }
}

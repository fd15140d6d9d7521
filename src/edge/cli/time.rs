//! Times and spans as people say them.

use jiff::tz::TimeZone;

use super::CliError;
use crate::edge::command::reply::{parse_rfc3339, rfc3339};
use crate::proto::time::Wall;

/// `4 s ago`, `3 min ago`, `2 h ago`; the local date and time after a day.
pub(super) fn ago(text: &str, now: Wall) -> String {
    let Some(at) = parse_rfc3339(text) else { return text.to_owned() };
    let seconds = (now.0.saturating_sub(at.0)) / 1_000_000;
    match seconds {
        ..0 => local(text),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => local(text),
    }
}

/// `2026-01-31 16:00:00` in the zone of this machine.
pub(super) fn local(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| text.to_owned(),
        |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// `16:00:00.123` in the zone of this machine.
pub(super) fn local_clock(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| text.to_owned(),
        |at| at.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
    )
}

/// `0:07`, `12:34`, `1:02:03`, `3 d 4:00:00`.
pub(super) fn span(seconds: f64) -> String {
    // A span that no clock measured is not worth an error.
    let whole = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (days, hours, minutes, rest) =
        (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{rest:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{rest:02}"),
        _ => format!("{days} d {hours}:{minutes:02}:{rest:02}"),
    }
}

/// `2h`, `2026-01-31` or a full time, as the control protocol wants it.
pub(super) fn parse(text: &str, now: Wall) -> Result<String, CliError> {
    if let Some((at, unit)) = text.char_indices().last()
        && let Ok(count) = text[..at].parse::<i64>()
        && let Some(seconds) = unit_seconds(unit)
    {
        let span = count.saturating_mul(seconds).saturating_mul(1_000_000);
        return Ok(rfc3339(Wall(now.0.saturating_sub(span))));
    }
    if parse_rfc3339(text).is_some() {
        return Ok(text.to_owned());
    }
    let zoned = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)))
        .and_then(|civil| civil.to_zoned(TimeZone::system()));
    match zoned {
        Ok(zoned) => Ok(zoned.timestamp().to_string()),
        Err(_) => Err(CliError::Usage(format!(
            "`{text}` is no time; write 30m, 2h, 1d, 2026-01-31 or 2026-01-31T08:00:00Z"
        ))),
    }
}

const fn unit_seconds(unit: char) -> Option<i64> {
    match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    }
}

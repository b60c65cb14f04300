//! Times as people write them.

use jiff::{
    Span, Timestamp, Zoned,
    civil::{Date, DateTime, Time, Weekday},
};

/// The time that a person means, in the time zone of `now`.
pub(crate) fn parse_time(text: &str, now: &Zoned) -> Result<spice_sessions::Timestamp, String> {
    let time = understand(&text.trim().to_lowercase(), now).ok_or_else(|| {
        format!(
            "expected a time like 2026-11-24, \"2026-11-24 09:12\", 09:12, yesterday, \"last tuesday 14:00\", -2h or \"3 days ago\", found `{text}`"
        )
    })?;
    let micros = time.as_microsecond();
    Ok(spice_sessions::Timestamp { seconds: micros.div_euclid(1_000_000), microseconds: micros.rem_euclid(1_000_000) })
}

fn understand(text: &str, now: &Zoned) -> Option<Timestamp> {
    let in_zone = |at: DateTime| at.to_zoned(now.time_zone().clone()).ok().map(|at| at.timestamp());
    // jiff wants the letters of RFC 3339 as they are.
    let upper = text.to_uppercase();
    if let Ok(at) = upper.parse::<Timestamp>() {
        return Some(at);
    }
    if text == "now" {
        return Some(now.timestamp());
    }
    // `-2h`, `2h ago`, `3 days ago`: back from now. A distance into the future is a slip.
    if (text.starts_with('-') || text.ends_with(" ago"))
        && let Ok(span) = text.parse::<Span>()
    {
        return now.checked_add(span).ok().map(|at| at.timestamp());
    }
    // jiff reads the time of a whole date, too.
    if !text.contains(['-', ' '])
        && let Ok(time) = text.parse::<Time>()
    {
        return in_zone(now.date().to_datetime(time));
    }
    let (day, time) = match text.rsplit_once(' ') {
        Some((day, time)) if time.contains(':') => (day.trim_end_matches(" at"), time.parse().ok()?),
        _ => (text, Time::midnight()),
    };
    if let Some(date) = date(day, now.date()) {
        return in_zone(date.to_datetime(time));
    }
    upper.parse::<DateTime>().ok().and_then(in_zone)
}

/// `2026-11-24`, `today`, `yesterday`, `tuesday` or `last tuesday`: the newest one before today.
fn date(text: &str, today: Date) -> Option<Date> {
    match text {
        "today" => return Some(today),
        "yesterday" => return today.yesterday().ok(),
        _ => {}
    }
    let name = text.strip_prefix("last ").unwrap_or(text).trim();
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    if let Some(index) = days.iter().position(|day| *day == name || (name.len() == 3 && day.starts_with(name))) {
        let weekday = Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()?;
        return today.nth_weekday(-1, weekday).ok();
    }
    if text.len() == "2026-11-24".len() { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{super::time::moment, *};

    /// 2026-11-28 is a Saturday.
    #[test]
    fn times_are_understood_as_people_write_them() {
        let now: Zoned = "2026-11-28T15:30:00+01:00[Europe/Berlin]".parse().unwrap();
        for (text, expected) in [
            ("now", "2026-11-28T14:30:00Z"),
            ("2026-11-24T09:12:00Z", "2026-11-24T09:12:00Z"),
            ("2026-11-24t09:12:00+05:30", "2026-11-24T03:42:00Z"),
            ("2026-11-24", "2026-11-23T23:00:00Z"),
            ("2026-11-24 09:12", "2026-11-24T08:12:00Z"),
            ("2026-11-24T09:12:05", "2026-11-24T08:12:05Z"),
            ("2026-07-01 12:00", "2026-07-01T10:00:00Z"),
            ("09:12", "2026-11-28T08:12:00Z"),
            ("today", "2026-11-27T23:00:00Z"),
            ("Yesterday 14:00", "2026-11-27T13:00:00Z"),
            ("last tuesday", "2026-11-23T23:00:00Z"),
            ("Tuesday at 14:00", "2026-11-24T13:00:00Z"),
            ("tue", "2026-11-23T23:00:00Z"),
            ("saturday", "2026-11-20T23:00:00Z"),
            ("-2h", "2026-11-28T12:30:00Z"),
            ("-90m", "2026-11-28T13:00:00Z"),
            ("3 days ago", "2026-11-25T14:30:00Z"),
            ("1h 30m ago", "2026-11-28T13:00:00Z"),
        ] {
            let seen = parse_time(text, &now).map(|at| moment(at).to_string());
            assert_eq!(seen.as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", "soon", "2h", "in 2h", "2026-13-01", "25:00", "last", "last tuesday 14", "-2 parsecs", "24.11.2026"]
        {
            assert!(parse_time(text, &now).is_err(), "{text}: {:?}", parse_time(text, &now));
        }
    }
}

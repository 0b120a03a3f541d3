//! Parts of the delivery lists: by `limit` and `offset`, or from one to the next by `after`, and of a time.

use platform::{AppError, AppResult};
use proto::webhooks::Stretch;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A time of the query or the body, Unix milliseconds.
pub(super) fn when(name: &str, text: &str) -> AppResult<i64> {
    let wrong = |_| AppError::invalid(format!("{name} must be a time such as 2026-01-31T12:00:00Z"));
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(wrong)?;
    Ok(time.unix_timestamp() * 1_000 + i64::from(time.millisecond()))
}

/// The same where it need not be said.
pub(super) fn when_said(name: &str, text: Option<&str>) -> AppResult<Option<i64>> {
    text.map(|text| when(name, text)).transpose()
}

/// An id of the query, if it has the form of one.
pub(super) fn id_said(name: &str, id: Option<String>, prefix: &str) -> AppResult<Option<String>> {
    match id {
        Some(id) if !platform::ids::is_id(&id, prefix) => {
            Err(AppError::invalid(format!("{name} must have the form {prefix}_…")))
        }
        id => Ok(id),
    }
}

/// How a list goes on, and whether its count is exact.
pub(super) fn told(stretch: Option<Stretch>) -> (Option<String>, bool) {
    let stretch = stretch.unwrap_or_default();
    (stretch.next, stretch.count_is_exact)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_time_is_read_to_the_millisecond_in_any_zone() {
        let cases = [
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T01:00:00.25+01:00", 250),
            ("1969-12-31T23:59:59.999Z", -1),
        ];
        for (text, ms) in cases {
            assert_eq!(when("since", text).unwrap(), ms, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_id_says_what_would_be_and_is_not_echoed() {
        for text in ["yesterday", "2026-01-31", "2026-01-31T12:00:00", ""] {
            let error = when("until", text).unwrap_err();
            assert_eq!(error.message(), "until must be a time such as 2026-01-31T12:00:00Z");
        }
        let error = id_said("endpoint_id", Some("dly_1".to_owned()), "ep").unwrap_err();
        assert_eq!(error.message(), "endpoint_id must have the form ep_…");
    }
}

//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or one of the three forms of an HTTP date.

use std::time::Duration;

use time::{
    OffsetDateTime, PrimitiveDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc2822},
    macros::format_description,
};

/// RFC 850: `Sunday, 06-Nov-94 08:49:37 GMT`, without the name of the day and with the century.
const RFC_850: &[BorrowedFormatItem<'_>] =
    format_description!("[day]-[month repr:short]-[year] [hour]:[minute]:[second] GMT");
/// asctime: `Sun Nov  6 08:49:37 1994`, without the name of the day.
const ASCTIME: &[BorrowedFormatItem<'_>] =
    format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second] [year]");

/// How long the header asks to wait from `now_secs` (Unix). What cannot be read is not there.
#[must_use]
pub fn parse(header: &str, now_secs: i64) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds still mean "very long".
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let wait = http_date(header)? - now_secs;
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

fn http_date(text: &str) -> Option<i64> {
    imf_fixdate(text).or_else(|| rfc_850(text)).or_else(|| asctime(text))
}

fn imf_fixdate(text: &str) -> Option<i64> {
    let text = format!("{}+0000", text.strip_suffix("GMT")?);
    Some(OffsetDateTime::parse(&text, &Rfc2822).ok()?.unix_timestamp())
}

fn rfc_850(text: &str) -> Option<i64> {
    let (_, date) = text.split_once(", ")?;
    let (day_month, rest) = date.rsplit_once('-')?;
    let year: u8 = rest.get(..2)?.parse().ok()?;
    let century = if year < 70 { "20" } else { "19" };
    let date = format!("{day_month}-{century}{rest}");
    Some(PrimitiveDateTime::parse(&date, RFC_850).ok()?.assume_utc().unix_timestamp())
}

fn asctime(text: &str) -> Option<i64> {
    let (_, date) = text.split_once(' ')?;
    Some(PrimitiveDateTime::parse(date, ASCTIME).ok()?.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06 08:49:37, the example of RFC 9110 section 5.6.7.
    const THEN: i64 = 784_111_777;

    #[test]
    fn seconds_and_all_three_dates_are_read() {
        assert_eq!(parse("120", 0), Some(Duration::from_mins(2)));
        assert_eq!(parse(" 0 ", 0), Some(Duration::ZERO));
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse(date, THEN - 60), Some(Duration::from_mins(1)), "{date}");
        }
    }

    #[test]
    fn a_date_that_has_passed_means_now_and_nonsense_means_nothing() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", THEN + 60), Some(Duration::ZERO));
        assert_eq!(parse("99999999999999999999999", 0), Some(Duration::from_secs(u64::MAX)));
        for nonsense in ["", "soon", "-5", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT", "a, b-c-é 1"] {
            assert_eq!(parse(nonsense, 0), None, "{nonsense}");
        }
    }
}

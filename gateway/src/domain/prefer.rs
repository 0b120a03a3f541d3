//! The `Prefer` header (RFC 7240): how long a caller would rather wait than be sent away.

/// Longer than this no answer is held (contracts.md section 2).
pub(crate) const LONGEST_WAIT_SECONDS: u64 = 30;

/// The seconds of the `wait` preference (RFC 7240, section 4.3), no more than are ever waited, from the values of all
/// `Prefer` headers. Of a preference that is named twice the first holds, and what cannot be read is ignored (section 2).
pub(crate) fn wait<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    let mut named = values
        .into_iter()
        .flat_map(|value| split(value, ','))
        .filter_map(|preference| named(preference, "wait"));
    let digits = unquoted(named.next()?);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX).min(LONGEST_WAIT_SECONDS))
}

/// The value of a preference of this name; its parameters say nothing here.
fn named<'a>(preference: &'a str, name: &str) -> Option<&'a str> {
    let (token, value) = split(preference, ';').next()?.split_once('=')?;
    token.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Splits where the separator stands outside a quoted string (RFC 9110, section 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let is_separator = character == separator && !quoted;
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
        is_separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_read_as_rfc_7240_writes_it() {
        let cases: [(&[&str], Option<u64>); 14] = [
            (&[], None),
            (&["wait=10"], Some(10)),
            (&["Wait = 10"], Some(10)),
            (&["wait=\"10\""], Some(10)),
            (&["respond-async, wait=10"], Some(10)),
            (&["respond-async", "wait=10; of=\"a,b\""], Some(10)),
            (&["foo=\"a, wait=1\", wait=2"], Some(2)),
            (&["foo=\"a\\\", wait=1\", wait=2"], Some(2)),
            (&["wait=5, wait=6"], Some(5)),
            (&["wait=0"], Some(0)),
            (&["wait=3600"], Some(30)),
            (&["wait=99999999999999999999999"], Some(30)),
            (&["wait=soon"], None),
            (&["wait", "wait=", "wait=-1"], None),
        ];
        for (values, expected) in cases {
            assert_eq!(wait(values.iter().copied()), expected, "{values:?}");
        }
    }
}

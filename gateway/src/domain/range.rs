//! Byte ranges of a download (RFC 9110, section 14).

/// What a `Range` header asks of `size` bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything: no header, or one that may be ignored.
    Whole,
    /// From `start`, `length` bytes.
    Part { start: u64, length: u64 },
    /// Nothing that is there (416).
    Unsatisfiable,
}

/// Reads one `bytes=` range; several at once are answered whole, as RFC 9110 lets a server do.
pub(crate) fn parse(header: Option<&str>, size: u64) -> Asked {
    let Some(spec) = header.and_then(|header| header.strip_prefix("bytes=")) else { return Asked::Whole };
    let Some((from, to)) = spec.trim().split_once('-') else { return Asked::Whole };
    if spec.contains(',') {
        return Asked::Whole;
    }
    match (number(from), number(to)) {
        (Number::Is(from), Number::None) if from < size => part(from, size - 1),
        (Number::Is(from), Number::Is(to)) if from <= to && from < size => part(from, to.min(size - 1)),
        (Number::Is(from), Number::Is(to)) if from > to => Asked::Whole,
        (Number::Is(_), Number::None | Number::Is(_)) | (Number::None, Number::Is(0)) => Asked::Unsatisfiable,
        (Number::None, Number::Is(_)) if size == 0 => Asked::Unsatisfiable,
        (Number::None, Number::Is(last)) => part(size.saturating_sub(last), size - 1),
        _ => Asked::Whole,
    }
}

fn part(start: u64, last: u64) -> Asked {
    Asked::Part { start, length: last - start + 1 }
}

enum Number {
    None,
    Is(u64),
    Wrong,
}

/// Digits and nothing else: `parse` alone would take `+1`.
fn number(text: &str) -> Number {
    match text.trim() {
        "" => Number::None,
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_or(Number::Wrong, Number::Is)
        }
        _ => Number::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |start, length| Asked::Part { start, length };
        let cases = [
            (None, Asked::Whole),
            (Some("bytes=0-9"), part(0, 10)),
            (Some("bytes=90-"), part(90, 10)),
            (Some("bytes=90-500"), part(90, 10)),
            (Some("bytes=-10"), part(90, 10)),
            (Some("bytes=-500"), part(0, 100)),
            (Some("bytes=100-"), Asked::Unsatisfiable),
            (Some("bytes=-0"), Asked::Unsatisfiable),
            (Some("bytes=9-0"), Asked::Whole),
            (Some("bytes=0-1,5-6"), Asked::Whole),
            (Some("items=0-1"), Asked::Whole),
            (Some("bytes=a-b"), Asked::Whole),
        ];
        for (header, asked) in cases {
            assert_eq!(parse(header, 100), asked, "{header:?}");
        }
    }

    #[test]
    fn a_sign_before_the_number_is_no_range() {
        for header in ["bytes=+1-2", "bytes=1-+2", "bytes=-+1", "bytes=+1-"] {
            assert_eq!(parse(Some(header), 100), Asked::Whole, "{header}");
        }
    }
}

//! What a shop puts into a query or a header of the REST API.

use semver::Version;
use wire::manifest::MarketplaceId;

use crate::{
    bytes::first_line,
    outside::{
        installed::{self, BYTES_AT_MOST, IDS_AT_MOST},
        range::{self, Asked},
    },
};

/// The `versions` of an updates question.
///
/// What is read is within bounds, names apps and versions, and is read the same when it is written again.
pub fn versions(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let installed = match installed::parse(text) {
        Ok(installed) => installed,
        Err(bad) => return assert!(bad.to_string().len() < 200),
    };
    assert!(text.len() <= BYTES_AT_MOST && installed.len() <= IDS_AT_MOST);
    for (id, version) in &installed {
        let parsed: MarketplaceId = id.parse().expect("a marketplace id");
        assert_eq!(format!("@{}/{}", parsed.vendor(), parsed.name()), *id);
        assert_eq!(Version::parse(version).expect("a version").to_string(), *version);
    }
    let written = serde_json::to_string(&installed).expect("texts");
    if written.len() <= BYTES_AT_MOST {
        assert_eq!(installed::parse(&written), Ok(installed));
    }
}

/// A `Range` header, then a line with the size of what it is of.
///
/// A part lies within its whole, and only what RFC 9110 calls a range is one.
pub fn range(input: &[u8]) {
    let Some((header, size)) = first_line(input) else { return };
    let size = std::str::from_utf8(size).ok().and_then(|size| size.trim().parse().ok()).unwrap_or(100_u64);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let bounds = header.strip_prefix("bytes=").and_then(|spec| spec.split_once('-'));
    let is_range = bounds.is_some_and(|(from, to)| {
        digits(from.trim()) && digits(to.trim()) && !(from.trim().is_empty() && to.trim().is_empty())
    });
    match range::parse(Some(header), size) {
        Asked::Whole => {}
        Asked::Unsatisfiable => assert!(is_range, "no range"),
        Asked::Part { start, length } => {
            assert!(is_range, "no range");
            assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size), "beyond its end");
        }
    }
}

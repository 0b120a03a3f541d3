use semver::Version;
use serde::{Deserialize, Serialize};
use wire::manifest::MarketplaceId;

/// What a hosted app's manifest said when this shop took it: no file of it lies here to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostedNote {
    pub(crate) marketplace_id: MarketplaceId,
    pub(crate) version: Version,
    pub(crate) name: String,
    /// Where the app is opened.
    pub(crate) address: String,
}

/// The note for an installed version: a release that arrives silently has the name and the address of the one before it
/// (contracts.md section 4), so the newest that is not newer than it.
pub(crate) fn find_note<'a>(
    notes: &'a [HostedNote],
    app: &MarketplaceId,
    version: &Version,
) -> Option<&'a HostedNote> {
    let of_app = notes.iter().filter(|note| note.marketplace_id == *app && note.version <= *version);
    of_app.max_by(|a, b| a.version.cmp(&b.version))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn note(app: &str, version: &str) -> HostedNote {
        HostedNote {
            marketplace_id: app.parse().unwrap(),
            version: version.parse().unwrap(),
            name: String::new(),
            address: version.to_owned(),
        }
    }

    #[test]
    fn a_silent_version_has_the_address_of_the_one_before_it() {
        let notes = [note("@v/app", "1.0.0"), note("@v/app", "2.0.0"), note("@v/other", "1.5.0")];
        let address = |version: &str| {
            let found = find_note(&notes, &"@v/app".parse().unwrap(), &version.parse().unwrap());
            found.map(|note| note.address.as_str())
        };
        assert_eq!(address("1.0.0"), Some("1.0.0"));
        assert_eq!(address("1.9.0"), Some("1.0.0"));
        assert_eq!(address("2.0.1"), Some("2.0.0"));
        assert_eq!(address("0.9.0"), None);
    }
}

//! Whether text can be an e-mail address: enough to catch a slip, not to judge who can receive mail.

/// At most 254 characters (RFC 5321, section 4.5.3.1.3), one `@` with something on both sides, a dot in the domain.
pub(crate) fn is_plausible(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let printable =
        text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"<>(),;:\\\"[]".contains(c));
    let labels = domain.split('.').collect::<Vec<_>>();
    text.len() <= 254
        && printable
        && !local.is_empty()
        && local.len() <= 64
        && !local.contains('@')
        && labels.len() >= 2
        && labels.iter().all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::is_plausible;

    #[test]
    fn slips_are_caught_and_real_addresses_pass() {
        for good in ["merchant@shop.com", "a.b+c@sub.example.co.uk", "jörg@exämple.de"] {
            assert!(is_plausible(good), "{good}");
        }
        let long = format!("{}@shop.com", "a".repeat(65));
        for bad in [
            "",
            "merchant",
            "@shop.com",
            "a@b",
            "a@b..c",
            "a b@c.de",
            "a@b@c.de",
            "a@-b.de",
            "<a@b.de>",
            &long,
        ] {
            assert!(!is_plausible(bad), "{bad}");
        }
    }
}

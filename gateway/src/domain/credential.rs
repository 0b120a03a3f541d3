//! The kinds of keys that callers carry (contracts.md section 1).

/// A key by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// `pk_…`
    Publishable,
    /// `sk_…`
    Secret,
    /// `vk_…`
    Vendor,
    /// `ak_…`
    Admin,
}

const LONGEST: usize = 128;

/// The kind of a key of plausible form.
pub(crate) fn form_of(key: &str) -> Option<KeyForm> {
    let plain =
        key.len() <= LONGEST && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match key.get(..3)? {
        "pk_" if plain => Some(KeyForm::Publishable),
        "sk_" if plain => Some(KeyForm::Secret),
        "vk_" if plain => Some(KeyForm::Vendor),
        "ak_" if plain => Some(KeyForm::Admin),
        _ => None,
    }
}

/// The key of an `Authorization: Bearer …` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_by_its_prefix_and_must_be_plain() {
        assert_eq!(form_of("pk_abcDEF-123"), Some(KeyForm::Publishable));
        assert_eq!(form_of("sk_1"), Some(KeyForm::Secret));
        assert_eq!(form_of("vk_1"), Some(KeyForm::Vendor));
        assert_eq!(form_of("ak_1"), Some(KeyForm::Admin));
        for bad in ["", "pk", "xx_1", "pk_ü", "pk_a b", &format!("pk_{}", "a".repeat(200))] {
            assert_eq!(form_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn bearer_is_read_in_any_case() {
        assert_eq!(bearer("bearer sk_1"), Some("sk_1"));
        assert_eq!(bearer("Basic sk_1"), None);
    }
}

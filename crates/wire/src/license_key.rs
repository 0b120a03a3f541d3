//! Licence keys: `CC-` + five groups of four Crockford base-32 characters, the last of them a Luhn mod 32 check over
//! the other nineteen (contracts.md section 5).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::mac::hmac_sha256;

/// Crockford's alphabet: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DATA_LEN: usize = 19;
const KEY_LEN: usize = 20;
/// The canonical form has 27 bytes; the rest is room for generous spacing.
const MAX_INPUT_LEN: usize = 128;

/// A licence key in its canonical form. It is a credential: `Debug` hides it, `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct LicenseKey {
    /// `CC-XXXX-XXXX-XXXX-XXXX-XXXX`
    canonical: Zeroizing<String>,
}

/// Why a text is no licence key; neither variant holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LicenseKeyError {
    /// It has not the form of a key.
    #[error("a licence key looks like CC-XXXX-XXXX-XXXX-XXXX-XXXX, with digits and letters other than U")]
    Malformed,
    /// It has the form of a key, but its check character does not fit: a typing error.
    #[error(
        "this licence key has a typing error; compare it character by character with the one you received"
    )]
    Checksum,
}

impl LicenseKey {
    /// A fresh key out of random bytes, of which 95 bits are used (contracts.md section 5).
    #[must_use]
    pub fn from_entropy(mut entropy: [u8; 12]) -> Self {
        let mut bits = entropy.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte)) >> 1;
        let mut values = [0_u8; KEY_LEN];
        for value in values[..DATA_LEN].iter_mut().rev() {
            *value = (bits & 31) as u8;
            bits >>= 5;
        }
        values[DATA_LEN] = check_value(&values[..DATA_LEN]);
        let key = Self::from_values(&values);
        entropy.zeroize();
        values.zeroize();
        key
    }

    /// The keyed hash under which the key is looked up, so that a store of them gives none away
    /// (contracts.md section 5).
    #[must_use]
    pub fn lookup_hash(&self, key: &[u8; 32]) -> [u8; 32] {
        hmac_sha256(key, &[self.canonical.as_bytes()])
    }

    fn from_values(values: &[u8; KEY_LEN]) -> Self {
        let mut canonical = Zeroizing::new(String::with_capacity(27));
        canonical.push_str("CC");
        for (at, value) in values.iter().enumerate() {
            if at % 4 == 0 {
                canonical.push('-');
            }
            canonical.push(char::from(ALPHABET[usize::from(*value)]));
        }
        Self { canonical }
    }
}

impl FromStr for LicenseKey {
    type Err = LicenseKeyError;

    /// Reads a key as people type it: any case, with or without hyphens and spaces, and with the look-alikes of
    /// Crockford's table (`i` and `l` are 1, `o` is 0).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_INPUT_LEN {
            return Err(LicenseKeyError::Malformed);
        }
        let mut symbols = text.chars().filter(|c| !is_separator(*c));
        let prefix = [symbols.next(), symbols.next()];
        if !prefix.iter().all(|c| matches!(c, Some('C' | 'c'))) {
            return Err(LicenseKeyError::Malformed);
        }
        let values: Vec<u8> =
            symbols.map(symbol_value).collect::<Option<_>>().ok_or(LicenseKeyError::Malformed)?;
        let values: [u8; KEY_LEN] = values.try_into().map_err(|_| LicenseKeyError::Malformed)?;
        if values[DATA_LEN] != check_value(&values[..DATA_LEN]) {
            return Err(LicenseKeyError::Checksum);
        }
        Ok(Self::from_values(&values))
    }
}

impl fmt::Display for LicenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl fmt::Debug for LicenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LicenseKey(redacted)")
    }
}

/// Spaces, and the dashes that mail programs make of a hyphen.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn symbol_value(c: char) -> Option<u8> {
    let upper = match c.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    let at = ALPHABET.iter().position(|symbol| char::from(*symbol) == upper)?;
    u8::try_from(at).ok()
}

/// Luhn mod 32: every second value from the right is doubled and its two base-32 digits added.
/// Doubling this way permutes the 32 values, so any single wrong character is noticed.
fn check_value(data: &[u8]) -> u8 {
    let sum: u32 = data
        .iter()
        .rev()
        .enumerate()
        .map(|(at, value)| {
            let product = u32::from(*value) * if at % 2 == 0 { 2 } else { 1 };
            product / 32 + product % 32
        })
        .sum();
    ((32 - sum % 32) % 32) as u8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn key() -> LicenseKey {
        LicenseKey::from_entropy([0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xff])
    }

    #[test]
    fn the_form_is_the_agreed_one() {
        let text = key().to_string();
        let groups: Vec<&str> = text.split('-').collect();
        assert_eq!(groups[0], "CC");
        assert_eq!(groups[1..].iter().map(|group| group.len()).collect::<Vec<_>>(), [4; 5]);
        assert_eq!(LicenseKey::from_entropy([0; 12]).to_string(), "CC-0000-0000-0000-0000-0000");
    }

    #[test]
    fn people_may_type_it_their_way() {
        let zeros = "CC-0000-0000-0000-0000-0000".parse::<LicenseKey>().unwrap();
        assert_eq!("  cc oOo0 – OOOO 0000-0000-0000\n".parse(), Ok(zeros));
        let typed = key().to_string().to_lowercase().replace('-', " ").replace('1', "l");
        assert_eq!(typed.parse(), Ok(key()));
    }

    #[test]
    fn a_wrong_form_is_told_from_a_typing_error() {
        for malformed in ["", "CC", "CC-0000", "DD-0000-0000-0000-0000-0000", "CC-UUUU-0000-0000-0000-0000"] {
            assert_eq!(malformed.parse::<LicenseKey>(), Err(LicenseKeyError::Malformed));
        }
        assert_eq!("CC-0000-0000-0000-0000-00000".parse::<LicenseKey>(), Err(LicenseKeyError::Malformed));
        assert_eq!("CC-0000-0000-0000-0000-0001".parse::<LicenseKey>(), Err(LicenseKeyError::Checksum));
    }

    #[test]
    fn it_is_not_printed_by_accident() {
        assert_eq!(format!("{:?}", key()), "LicenseKey(redacted)");
    }

    proptest! {
        #[test]
        fn every_key_reads_back(entropy: [u8; 12]) {
            let key = LicenseKey::from_entropy(entropy);
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }

        #[test]
        fn any_single_wrong_character_is_a_typing_error(entropy: [u8; 12], at in 0..KEY_LEN, other in 0..32_usize) {
            let text = LicenseKey::from_entropy(entropy).to_string();
            let position = 3 + at + at / 4;
            let mut bytes = text.clone().into_bytes();
            bytes[position] = ALPHABET[other];
            let changed = String::from_utf8(bytes).unwrap();
            prop_assume!(changed != text);
            prop_assert_eq!(changed.parse::<LicenseKey>(), Err(LicenseKeyError::Checksum));
        }

        #[test]
        fn two_neighbours_swapped_are_noticed_save_0_and_z(entropy: [u8; 12], at in 0..KEY_LEN - 1) {
            let text = LicenseKey::from_entropy(entropy).to_string().replace('-', "");
            let mut bytes = text.clone().into_bytes();
            bytes.swap(2 + at, 3 + at);
            let swapped = String::from_utf8(bytes).unwrap();
            let pair = [swapped.as_bytes()[2 + at], swapped.as_bytes()[3 + at]];
            prop_assume!(swapped != text && pair != *b"0Z" && pair != *b"Z0");
            prop_assert_eq!(swapped.parse::<LicenseKey>(), Err(LicenseKeyError::Checksum));
        }

        #[test]
        fn no_text_panics(text in ".{0,150}") {
            prop_assume!(!text.to_ascii_lowercase().starts_with("cc"));
            prop_assert_eq!(text.trim_start().parse::<LicenseKey>().is_ok(), false);
        }

        #[test]
        fn the_lookup_hash_depends_on_key_and_secret(a: [u8; 12], secret: [u8; 32]) {
            let key = LicenseKey::from_entropy(a);
            prop_assert_eq!(key.lookup_hash(&secret), key.to_string().to_lowercase().parse::<LicenseKey>().unwrap().lookup_hash(&secret));
            let mut other = secret;
            other[0] ^= 1;
            prop_assert_ne!(key.lookup_hash(&secret), key.lookup_hash(&other));
        }
    }
}

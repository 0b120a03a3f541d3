//! The API key by which an app calls its shop (contracts.md section 4).

use std::fmt;

use platform::secret::Secret;

const LENGTH: usize = 50;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The greatest multiple of the alphabet's length that fits into a byte: what is above it would make the first
/// characters more likely than the others.
const FAIR: u8 = 248;

/// The key of one installation: what is kept of it lets it be recognized, not told.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// SHA-256 of its text.
    pub(crate) hash: [u8; 32],
    /// The key itself, sealed, as long as the app may still have to be told of it.
    pub(crate) sealed: Option<Vec<u8>>,
}

impl ApiKey {
    /// The app has it; nobody needs to be told of it again.
    pub(super) fn told(self) -> Self {
        Self { sealed: None, ..self }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[api key]")
    }
}

/// A new key of 50 letters and digits, each as likely as any other.
pub(crate) fn mint(mut random: impl FnMut() -> [u8; 64]) -> Secret {
    let mut key = String::with_capacity(LENGTH);
    while key.len() < LENGTH {
        let fair = random().into_iter().filter_map(character);
        key.extend(fair.take(LENGTH - key.len()));
    }
    Secret::new(key)
}

fn character(byte: u8) -> Option<char> {
    (byte < FAIR).then(|| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::Random;

    use super::*;

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let mut counts = BTreeMap::new();
        for character in (0..=u8::MAX).filter_map(character) {
            *counts.entry(character).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.iter().all(|(character, count)| character.is_ascii_alphanumeric() && *count == 4));
    }

    #[test]
    fn a_key_has_fifty_letters_and_digits_and_no_two_are_alike() {
        let random = Random::seeded(1);
        let (one, two) = (mint(|| random.bytes()), mint(|| random.bytes()));
        assert!(one != two);
        for key in [one, two] {
            assert_eq!(key.len(), 50);
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn unfair_bytes_are_passed_over_however_many_there_are() {
        let mut calls = 0;
        let key = mint(|| {
            calls += 1;
            if calls % 2 == 1 { [u8::MAX; 64] } else { [1; 64] }
        });
        assert_eq!((key.expose(), calls), ("1".repeat(50).as_str(), 2));
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = ApiKey { hash: [7; 32], sealed: Some(vec![8]) };
        assert_eq!(format!("{key:?}"), "[api key]");
    }
}

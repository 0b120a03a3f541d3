//! Ids in Stripe's form, made from random bytes that the caller supplies.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 24;

/// Makes ids from a source of random bytes.
pub struct Mint<'a> {
    random: &'a mut dyn FnMut(&mut [u8]),
}

impl<'a> Mint<'a> {
    /// A mint over this source.
    pub fn new(random: &'a mut dyn FnMut(&mut [u8])) -> Self {
        Self { random }
    }

    /// A new id: the prefix and 24 letters and digits.
    pub fn id(&mut self, prefix: &str) -> String {
        let mut bytes = [0_u8; LENGTH];
        (self.random)(&mut bytes);
        let tail = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        prefix.chars().chain(tail).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    /// A source that never repeats itself.
    pub(crate) fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0_u64;
        move |bytes: &mut [u8]| {
            next += 1;
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from((next >> (at * 4 % 64)) % 16).unwrap_or(0);
            }
        }
    }

    #[test]
    fn ids_carry_their_prefix_and_differ() {
        let mut random = counting();
        let mut mint = super::Mint::new(&mut random);
        let (one, two) = (mint.id("evt_"), mint.id("evt_"));
        assert!(one.starts_with("evt_") && one.len() == 28, "{one}");
        assert_ne!(one, two);
    }
}

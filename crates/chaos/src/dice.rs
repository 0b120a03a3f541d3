//! Chance that a seed decides, the same on every machine and in every year: SplitMix64 (Steele, Lea, Flood 2014), which
//! no update of a library changes.

use std::time::Duration;

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// A duration between two, in whole milliseconds.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_millis();
        let part = u128::from(self.next()) % (span + 1);
        least + Duration::from_millis(u64::try_from(part).unwrap_or(0))
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, among: &[T], or: T) -> T {
        among.get(self.below(among.len())).copied().unwrap_or(or)
    }

    /// Shuffles in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut dice = Dice::new(1_234_567);
        let numbers = [dice.next(), dice.next(), dice.next()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn what_is_shuffled_is_all_there() {
        let mut cards: Vec<_> = (0..100).collect();
        Dice::new(7).shuffle(&mut cards);
        assert_ne!(cards[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        cards.sort_unstable();
        assert_eq!(cards, (0..100).collect::<Vec<_>>());
    }
}

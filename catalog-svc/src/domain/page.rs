use thiserror::Error;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// Which part of a list is asked for (contracts.md section 2: 20 at a time, at most 100).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    offset: u32,
}

/// A page that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("at most 100 are given at once; ask for the rest by `offset`")]
pub struct PageError;

impl Page {
    /// `limit` 0 asks for the usual number.
    pub fn new(limit: u32, offset: u32) -> Result<Self, PageError> {
        match limit {
            0 => Ok(Self { limit: DEFAULT_LIMIT, offset }),
            1..=MAX_LIMIT => Ok(Self { limit, offset }),
            _ => Err(PageError),
        }
    }

    /// How many at most; never 0.
    #[must_use]
    pub fn limit(self) -> usize {
        self.limit as usize
    }

    /// How many come before.
    #[must_use]
    pub fn offset(self) -> usize {
        self.offset as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_page_has_twenty_unless_told_and_never_more_than_a_hundred() {
        assert_eq!(Page::new(0, 7).unwrap().limit(), 20);
        assert_eq!(Page::new(100, 7).unwrap().offset(), 7);
        assert_eq!(Page::new(101, 0), Err(PageError));
    }
}

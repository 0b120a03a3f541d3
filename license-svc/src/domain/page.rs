use super::Invalid;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// A part of a collection (contracts.md section 2: 20, at most 100).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) limit: u64,
    pub(crate) offset: u64,
}

impl Page {
    /// A limit of 0 is one that was not given.
    pub(crate) fn new(limit: u32, offset: u32) -> Result<Self, Invalid> {
        match limit {
            0 => Ok(Self { limit: DEFAULT_LIMIT.into(), offset: offset.into() }),
            1..=MAX_LIMIT => Ok(Self { limit: limit.into(), offset: offset.into() }),
            _ => Err(Invalid("limit must be from 1 to 100")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_twenty_entries_unless_told_and_never_more_than_a_hundred() {
        assert_eq!(Page::new(0, 40), Ok(Page { limit: 20, offset: 40 }));
        assert_eq!(Page::new(100, 0), Ok(Page { limit: 100, offset: 0 }));
        assert!(Page::new(101, 0).is_err());
    }
}

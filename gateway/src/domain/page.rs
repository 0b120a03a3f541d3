//! Paging: `page` and `per_page`, or `limit` and `offset` (contracts.md section 2).

use platform::{AppError, AppResult};

/// Items of a page when nothing is said.
pub(crate) const DEFAULT_SIZE: u32 = 20;
/// Items of a page at most.
pub(crate) const MAX_SIZE: u32 = 100;

/// A stretch of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Page {
    /// At most so many items.
    pub(crate) limit: u32,
    /// After so many items.
    pub(crate) offset: u32,
}

/// Paging as it stands in a query.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paging {
    pub(crate) page: Option<u32>,
    pub(crate) per_page: Option<u32>,
    pub(crate) limit: Option<u32>,
    pub(crate) offset: Option<u32>,
}

impl Page {
    /// Reads either form; both at once contradict each other.
    pub(crate) fn parse(asked: Paging) -> AppResult<Self> {
        let by_page = asked.page.is_some() || asked.per_page.is_some();
        let by_offset = asked.limit.is_some() || asked.offset.is_some();
        if by_page && by_offset {
            return Err(AppError::invalid("use either page and per_page or limit and offset, not both"));
        }
        let limit = size(asked.per_page.or(asked.limit))?;
        let offset = match (asked.page, asked.offset) {
            (Some(0), _) => return Err(AppError::invalid("page counts from 1")),
            (Some(page), _) => (page - 1).checked_mul(limit),
            (None, offset) => Some(offset.unwrap_or(0)),
        };
        let offset =
            offset.ok_or_else(|| AppError::invalid("page is beyond any catalogue; use a smaller number"))?;
        Ok(Self { limit, offset })
    }

    /// The stretch of a whole collection.
    pub(crate) fn of<T>(self, all: Vec<T>) -> impl Iterator<Item = T> {
        let place = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        all.into_iter().skip(place(self.offset)).take(place(self.limit))
    }
}

fn size(asked: Option<u32>) -> AppResult<u32> {
    match asked.unwrap_or(DEFAULT_SIZE) {
        size @ 1..=MAX_SIZE => Ok(size),
        _ => Err(AppError::invalid("per_page (or limit) must be from 1 to 100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        page: Option<u32>,
        per_page: Option<u32>,
        limit: Option<u32>,
        offset: Option<u32>,
    ) -> AppResult<Page> {
        Page::parse(Paging { page, per_page, limit, offset })
    }

    #[test]
    fn both_forms_name_the_same_stretch() {
        assert_eq!(parse(None, None, None, None).unwrap(), Page { limit: 20, offset: 0 });
        assert_eq!(parse(Some(3), Some(10), None, None).unwrap(), Page { limit: 10, offset: 20 });
        assert_eq!(parse(None, None, Some(10), Some(20)).unwrap(), Page { limit: 10, offset: 20 });
    }

    #[test]
    fn a_stretch_is_cut_out_of_a_whole_collection() {
        let of = |limit, offset| Page { limit, offset }.of(vec![1, 2, 3]).collect::<Vec<_>>();
        assert_eq!((of(2, 0), of(2, 2), of(2, 9)), (vec![1, 2], vec![3], vec![]));
    }

    #[test]
    fn page_zero_and_a_thousand_per_page_are_refused() {
        assert!(parse(Some(0), None, None, None).is_err());
        assert!(parse(None, Some(1000), None, None).is_err());
        assert!(parse(None, Some(0), None, None).is_err());
        assert!(parse(Some(1), None, Some(1), None).is_err());
        assert!(parse(Some(u32::MAX), Some(100), None, None).is_err());
    }
}

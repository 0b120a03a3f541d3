//! Stripe's paging: newest first, `limit`, and an id to start after or end before.

use serde_json::{Value, json};

use super::error::ApiError;
use super::params::Params;

const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 100;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
}

/// One part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'a, T> {
    /// Newest first.
    pub items: Vec<&'a T>,
    /// Whether the list goes on in the direction asked for.
    pub has_more: bool,
}

impl Paging {
    /// Takes the paging out of a query.
    pub fn parse(params: &mut Params) -> Result<Self, ApiError> {
        let limit = params.natural("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::invalid("This value must be at least 1 and at most 100.")
                .coded("parameter_invalid_integer")
                .at("limit"));
        }
        let paging = Self {
            limit: usize::try_from(limit).unwrap_or(1),
            starting_after: params.text("starting_after")?,
            ending_before: params.text("ending_before")?,
        };
        if paging.starting_after.is_some() && paging.ending_before.is_some() {
            return Err(ApiError::invalid(
                "You may pass either `starting_after` or `ending_before`, but not both.",
            )
            .at("starting_after"));
        }
        Ok(paging)
    }

    /// Cuts the part out of a list that is kept oldest first. `position` finds an id in it.
    pub fn cut<'a, T>(
        &self,
        oldest_first: &'a [T],
        position: impl Fn(&str) -> Option<usize>,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<'a, T>, ApiError> {
        let find = |id: &str, param: &str| {
            position(id).ok_or_else(|| ApiError::no_such("object", id, param).with_status(400))
        };
        if let Some(id) = &self.ending_before {
            let newer = &oldest_first[find(id, "ending_before")? + 1..];
            let mut page = self.take(newer.iter().filter(|item| wanted(item)));
            page.items.reverse();
            return Ok(page);
        }
        let end = match &self.starting_after {
            Some(id) => find(id, "starting_after")?,
            None => oldest_first.len(),
        };
        Ok(self.take(oldest_first[..end].iter().rev().filter(|item| wanted(item))))
    }

    fn take<'a, T>(&self, mut items: impl Iterator<Item = &'a T>) -> Page<'a, T> {
        let taken = items.by_ref().take(self.limit).collect();
        Page { items: taken, has_more: items.next().is_some() }
    }
}

/// A list in Stripe's form.
#[must_use]
pub fn list(url: &str, data: &[Value], has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIST: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn cut(query: &str) -> Result<(String, bool), ApiError> {
        let paging = Paging::parse(&mut Params::parse(query.as_bytes())?)?;
        let page = paging.cut(&LIST, |id| LIST.iter().position(|item| *item == id), |item| *item != "c")?;
        Ok((page.items.into_iter().copied().collect(), page.has_more))
    }

    #[test]
    fn pages_are_newest_first() {
        assert_eq!(cut("limit=2").unwrap(), ("ed".into(), true));
        assert_eq!(cut("limit=2&starting_after=d").unwrap(), ("ba".into(), false));
        assert_eq!(cut("limit=2&ending_before=a").unwrap(), ("db".into(), true));
        assert_eq!(cut("ending_before=d").unwrap(), ("e".into(), false));
    }

    #[test]
    fn wrong_paging_is_refused() {
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("starting_after=x", "starting_after"),
            ("starting_after=a&ending_before=b", "starting_after"),
        ] {
            assert_eq!(cut(query).unwrap_err().param.as_deref(), Some(param), "{query}");
        }
    }
}

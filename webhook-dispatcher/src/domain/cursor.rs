//! Cursors: where a list goes on. To whoever asks they are one word without a meaning.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The last row of a part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Its id.
    pub id: String,
    /// Of a list of attempts: the attempt of that delivery.
    pub number: Option<i64>,
}

impl Cursor {
    /// After the row of this id.
    #[must_use]
    pub fn after(id: impl Into<String>) -> Self {
        Self { id: id.into(), number: None }
    }

    /// After this attempt of a delivery.
    #[must_use]
    pub fn after_attempt(delivery_id: impl Into<String>, number: i64) -> Self {
        Self { id: delivery_id.into(), number: Some(number) }
    }

    /// As it is told.
    #[must_use]
    pub fn encode(&self) -> String {
        let number = self.number.map(|number| format!(".{number}")).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("{}{number}", self.id))
    }

    /// What was told of a list whose ids begin like this.
    pub fn decode(text: &str, prefix: &str) -> Result<Self, NoCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        let text = String::from_utf8(bytes).map_err(|_| NoCursor)?;
        let (id, number) = match text.split_once('.') {
            Some((id, number)) => (id, Some(number.parse().map_err(|_| NoCursor)?)),
            None => (text.as_str(), None),
        };
        let rest = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(NoCursor)?;
        if rest.is_empty() || rest.len() > 26 || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(NoCursor);
        }
        Ok(Self { id: id.to_owned(), number })
    }
}

/// The text was not told as a cursor of this list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("after must be the next of an earlier answer of the same list, as it was told")]
pub struct NoCursor;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(id in "[0-9A-Z]{26}", number in proptest::option::of(any::<i64>())) {
            let cursor = Cursor { id: format!("dly_{id}"), number };
            prop_assert_eq!(Cursor::decode(&cursor.encode(), "dly"), Ok(cursor));
        }

        #[test]
        fn whatever_else_is_refused_without_harm(text in ".*") {
            if let Ok(cursor) = Cursor::decode(&text, "dly") {
                prop_assert!(cursor.id.starts_with("dly_"));
            }
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = Cursor::after("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV").encode();
        assert_eq!(Cursor::decode(&cursor, "dly"), Err(NoCursor));
        assert_eq!(Cursor::decode("dly_01ARZ3NDEKTSV4RRFFQ69G5FAV", "dly"), Err(NoCursor));
        let quoted = Cursor::after("dly_' OR 1").encode();
        assert_eq!(Cursor::decode(&quoted, "dly"), Err(NoCursor));
    }
}

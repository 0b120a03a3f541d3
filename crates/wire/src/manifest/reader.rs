//! Takes fields out of a JSON object one by one and notes what is wrong with each.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::Problem;
use super::types::{Price, is_slug};

/// The fields not read yet, and the problems found so far. A reader gives `None` for an absent optional field, and for
/// a wrong one after noting the problem.
pub(super) struct Fields {
    map: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self { map, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// What no reader has taken.
    pub(super) fn take_rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.map)
    }

    pub(super) fn text(&mut self, field: &str, max: usize) -> Option<String> {
        let value = self.required(field)?;
        self.as_text(field, value, max)
    }

    pub(super) fn slug(&mut self, field: &str) -> Option<String> {
        let text = self.text(field, usize::MAX)?;
        let what = "must be lower-case letters, digits and hyphens, at most 64, such as `seo-essentials`";
        self.keep_if(is_slug(&text), field, what, text)
    }

    /// A required text of a type that knows its own form.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, field: &str) -> Option<T> {
        let text = self.text(field, usize::MAX)?;
        text.parse().map_err(|e: T::Err| self.note(field, format!("is not valid: {e}"))).ok()
    }

    pub(super) fn version(&mut self, field: &str) -> Option<semver::Version> {
        let text = self.text(field, 64)?;
        let parsed = semver::Version::parse(&text).ok();
        if parsed.is_none() {
            self.note(field, "must be a semantic version with three numbers, such as `1.2.0`");
        }
        parsed
    }

    pub(super) fn price(&mut self, field: &str) -> Option<Price> {
        let price = match self.required(field)? {
            Value::Number(number) => Price::from_json(&number),
            _ => None,
        };
        if price.is_none() {
            self.note(
                field,
                "must be a number from 0 (free) to 999999.99 with at most two decimals, such as `19.99`",
            );
        }
        price
    }

    /// A relative path inside the ZIP; `./` before it is Node's way and means nothing.
    pub(super) fn path(&mut self, field: &str, max: usize) -> Option<String> {
        let text = self.text(field, max)?;
        let relative = text.strip_prefix("./").unwrap_or(&text);
        let good = crate::package::is_clean_path(relative);
        self.keep_if(good, field, "must be the path of a file inside the ZIP, such as `./index.js`", text)
    }

    pub(super) fn flag(&mut self, field: &str) -> Option<bool> {
        let flag = self.optional(field)?.as_bool();
        if flag.is_none() {
            self.note(field, "must be `true` or `false`");
        }
        flag
    }

    pub(super) fn url(&mut self, field: &str, max: usize) -> Option<String> {
        let value = self.optional(field)?;
        self.as_url(field, value, max)
    }

    /// A required URL.
    pub(super) fn address(&mut self, field: &str, max: usize) -> Option<String> {
        let value = self.required(field)?;
        self.as_url(field, value, max)
    }

    /// A required URL that is sent requests as it stands.
    pub(super) fn endpoint(&mut self, field: &str, max: usize) -> Option<String> {
        let text = self.address(field, max)?;
        let plain = url::Url::parse(&text).is_ok_and(|url| {
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
        });
        self.keep_if(plain, field, "must be a URL without user, password and `#`", text)
    }

    /// A version of the shop's API is a plain number.
    pub(super) fn api_version(&mut self, field: &str) -> Option<u32> {
        const MAX: u32 = 1_000_000;
        let number = self.required(field)?.as_u64().and_then(|number| u32::try_from(number).ok());
        let version = number.filter(|version| *version <= MAX);
        if version.is_none() {
            self.note(field, "must be a whole number from 0 to 1000000, such as `1`");
        }
        version
    }

    /// An optional object with fields of its own; their problems are told as `field.name`.
    pub(super) fn nested<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut inner = Self::new(self.object(field)?);
        let value = read(&mut inner);
        for problem in inner.into_problems() {
            self.note(&format!("{field}.{}", problem.field), problem.message);
        }
        value
    }

    /// Whether an optional field is given, be it right or wrong.
    pub(super) fn has(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(|value| !value.is_null())
    }

    pub(super) fn urls(&mut self, field: &str, max_items: usize, max: usize) -> Option<Vec<String>> {
        self.list(field, max_items, |fields, at, value| fields.as_url(at, value, max))
    }

    pub(super) fn texts(&mut self, field: &str, max_items: usize, max: usize) -> Option<Vec<String>> {
        self.list(field, max_items, |fields, at, value| fields.as_text(at, value, max))
    }

    pub(super) fn permissions(&mut self, field: &str, max_items: usize) -> Option<Vec<String>> {
        let what = "must be lower-case words joined by `:`, `.`, `_` or `-`, such as `api:orders.read`";
        let list = self.list(field, max_items, |fields, at, value| {
            let text = fields.as_text(at, value, 100)?;
            fields.keep_if(is_permission(&text), at, what, text)
        })?;
        let mut seen = std::collections::HashSet::new();
        let unique = list.iter().all(|permission| seen.insert(permission));
        self.keep_if(unique, field, "names a permission twice; name each once", list)
    }

    /// Field → `type, label, required, secret, placeholder` (contracts.md section 8); further keys are kept.
    pub(super) fn config_schema(
        &mut self,
        field: &str,
        max_items: usize,
        max: usize,
    ) -> Option<Map<String, Value>> {
        let schema = self.object(field)?;
        if schema.len() > max_items {
            self.note(field, format!("has too many fields; at most {max_items}"));
            return None;
        }
        for (at, (name, setting)) in schema.iter().enumerate() {
            let place =
                if is_identifier(name) { format!("{field}.{name}") } else { format!("{field}[{at}]") };
            self.keep_if(
                is_identifier(name),
                &place,
                "must be named with letters, digits and `_`, at most 64",
                (),
            );
            self.check_setting(&place, setting, max);
        }
        Some(schema)
    }

    fn check_setting(&mut self, place: &str, setting: &Value, max: usize) {
        let Value::Object(setting) = setting else {
            self.note(place, "must be an object such as `{\"type\": \"string\", \"label\": \"API key\"}`");
            return;
        };
        for key in ["type", "label"] {
            self.check_text(&format!("{place}.{key}"), setting.get(key), max);
        }
        if setting.contains_key("placeholder") {
            self.check_text(&format!("{place}.placeholder"), setting.get("placeholder"), max);
        }
        for key in ["required", "secret"] {
            let good = setting.get(key).is_none_or(Value::is_boolean);
            self.keep_if(good, &format!("{place}.{key}"), "must be `true` or `false`", ());
        }
    }

    pub(super) fn menu_items(
        &mut self,
        field: &str,
        max_items: usize,
        max: usize,
    ) -> Option<Vec<Map<String, Value>>> {
        self.list(field, max_items, |fields, at, value| {
            let Value::Object(item) = value else {
                fields.note(at, "must be an object with `label` and `path`");
                return None;
            };
            fields.check_text(&format!("{at}.label"), item.get("label"), max);
            fields.check_text(&format!("{at}.path"), item.get("path"), max);
            Some(item)
        })
    }

    pub(super) fn provider(&mut self, field: &str, max: usize) -> Option<Map<String, Value>> {
        let provider = self.object(field)?;
        for key in ["module", "resolve", "id"] {
            self.check_text(&format!("{field}.{key}"), provider.get(key), max);
        }
        Some(provider)
    }

    fn required(&mut self, field: &str) -> Option<Value> {
        let value = self.map.remove(field);
        if value.is_none() {
            self.note(field, "is missing; it is required");
        }
        value
    }

    /// `null` stands for absence.
    fn optional(&mut self, field: &str) -> Option<Value> {
        self.map.remove(field).filter(|value| !value.is_null())
    }

    fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.optional(field)? {
            Value::Object(object) => Some(object),
            _ => self.keep_if(false, field, "must be an object, {…}", Map::new()),
        }
    }

    fn list<T>(
        &mut self,
        field: &str,
        max_items: usize,
        mut read: impl FnMut(&mut Self, &str, Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::Array(items) = self.optional(field)? else {
            self.note(field, "must be a list, […]");
            return None;
        };
        if items.len() > max_items {
            self.note(field, format!("has too many items; at most {max_items}"));
            return None;
        }
        let items = items.into_iter().enumerate();
        Some(items.filter_map(|(at, value)| read(self, &format!("{field}[{at}]"), value)).collect())
    }

    fn as_text(&mut self, field: &str, value: Value, max: usize) -> Option<String> {
        self.check_text(field, Some(&value), max);
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn check_text(&mut self, field: &str, value: Option<&Value>, max: usize) {
        match value {
            None => self.note(field, "is missing; it is required"),
            Some(Value::String(text)) if text.trim().is_empty() => self.note(field, "must not be empty"),
            Some(Value::String(text)) if text.chars().count() > max => {
                self.note(field, format!("is too long; at most {max} characters"));
            }
            Some(Value::String(text)) if text.chars().any(is_forbidden_control) => {
                self.note(field, "must not hold control characters other than line breaks and tabs");
            }
            Some(Value::String(_)) => {}
            Some(_) => self.note(field, "must be a text, \"…\""),
        }
    }

    fn as_url(&mut self, field: &str, value: Value, max: usize) -> Option<String> {
        let text = self.as_text(field, value, max)?;
        self.keep_if(is_web_url(&text), field, "must be a whole URL that begins with https://", text)
    }

    pub(super) fn keep_if<T>(&mut self, good: bool, field: &str, what: &str, value: T) -> Option<T> {
        if good {
            return Some(value);
        }
        self.note(field, what);
        None
    }

    /// Notes the first problem of a field; a second one would only follow from it.
    fn note(&mut self, field: &str, message: impl Into<String>) {
        if self.problems.iter().all(|problem| problem.field != field) {
            self.problems.push(Problem { field: field.to_owned(), message: message.into() });
        }
    }
}

fn is_web_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

fn is_permission(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    text.split([':', '.']).all(word)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_forbidden_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

//! Stripe's parameters: form pairs whose names nest with brackets, refused with Stripe's own words.

use std::collections::BTreeMap;

use url::form_urlencoded;

use super::error::ApiError;

/// No call of Stripe's nests deeper; a bound keeps a hostile name from growing the stack.
const MAX_DEPTH: usize = 8;
const MAX_METADATA_KEYS: usize = 50;
const MAX_METADATA_KEY: usize = 40;
const MAX_METADATA_VALUE: usize = 500;

/// Free key–value pairs that a caller attaches to an object.
pub type Metadata = BTreeMap<String, String>;

#[derive(Clone, Debug)]
enum Node {
    Value(String),
    Fields(BTreeMap<String, Node>),
}

/// Parameters not read yet. What is left when the call has taken its own is unknown to it.
#[derive(Clone, Debug)]
pub struct Params {
    prefix: String,
    fields: BTreeMap<String, Node>,
}

impl Params {
    /// Reads a form body or a query.
    pub fn parse(form: &[u8]) -> Result<Self, ApiError> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(form) {
            insert(&mut fields, &name, &segments(&name)?, value.into_owned())?;
        }
        Ok(Self { prefix: String::new(), fields })
    }

    /// Takes a text that may be absent, but not empty.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let path = self.path(name);
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Node::Value(text)) if text.is_empty() => Err(ApiError::empty(&path)),
            Some(Node::Value(text)) => Ok(Some(text)),
            Some(Node::Fields(_)) => {
                Err(ApiError::invalid("Invalid string: expected a plain value").at(path))
            }
        }
    }

    /// Takes a text that must be there.
    pub fn required_text(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::missing(&self.path(name)))
    }

    /// Takes a text of at most so many characters.
    pub fn short_text(&mut self, name: &str, max: usize) -> Result<Option<String>, ApiError> {
        match self.text(name)? {
            Some(text) if text.chars().count() > max => {
                Err(ApiError::invalid(format!("Invalid string: must be at most {max} characters"))
                    .at(self.path(name)))
            }
            other => Ok(other),
        }
    }

    /// Takes one of these words.
    pub fn choice(&mut self, name: &str, choices: &[&'static str]) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let known = choices.iter().find(|choice| **choice == text).copied();
        known.map(Some).ok_or_else(|| {
            let path = self.path(name);
            ApiError::invalid(format!("Invalid {path}: must be one of {}", listed(choices))).at(path)
        })
    }

    /// Takes a whole number.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            ApiError::invalid("Invalid integer").coded("parameter_invalid_integer").at(self.path(name))
        })
    }

    /// Takes a whole number that is not negative.
    pub fn natural(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(number) = self.integer(name)? else { return Ok(None) };
        u64::try_from(number).map(Some).map_err(|_| {
            ApiError::invalid("This value must be greater than or equal to 0.")
                .coded("parameter_invalid_integer")
                .at(self.path(name))
        })
    }

    /// Takes `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ApiError::invalid("Invalid boolean").at(self.path(name)))
    }

    /// Takes a nested object.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let path = self.path(name);
        match self.fields.remove(name) {
            None => Ok(None),
            Some(Node::Fields(fields)) => Ok(Some(Self { prefix: path, fields })),
            Some(Node::Value(_)) => Err(ApiError::invalid("Invalid object").at(path)),
        }
    }

    /// Takes a list of objects, in the order of their indices.
    pub fn objects(&mut self, name: &str) -> Result<Vec<Self>, ApiError> {
        let object = |(path, node)| match node {
            Node::Fields(fields) => Ok(Self { prefix: path, fields }),
            Node::Value(_) => Err(ApiError::invalid("Invalid object").at(path)),
        };
        self.elements(name)?.into_iter().map(object).collect()
    }

    /// Takes a list of texts, in the order of their indices.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let text = |(path, node): (String, Node)| match node {
            Node::Value(text) if !text.is_empty() => Ok(text),
            Node::Value(_) => Err(ApiError::empty(&path)),
            Node::Fields(_) => Err(ApiError::invalid("Invalid string: expected a plain value").at(path)),
        };
        self.elements(name)?.into_iter().map(text).collect()
    }

    /// Takes metadata, within Stripe's bounds (docs.stripe.com/metadata).
    pub fn metadata(&mut self, name: &str) -> Result<Metadata, ApiError> {
        let Some(mut nested) = self.object(name)? else { return Ok(Metadata::new()) };
        let keys: Vec<String> = nested.fields.keys().cloned().collect();
        if keys.len() > MAX_METADATA_KEYS {
            return Err(ApiError::invalid("Metadata can have at most 50 keys.").at(nested.prefix));
        }
        keys.into_iter().map(|key| nested.metadata_pair(key)).collect()
    }

    /// Takes a bare value where the call has either that or an object (`created`).
    pub fn bare_integer(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.fields.get(name) {
            Some(Node::Value(_)) => self.integer(name),
            _ => Ok(None),
        }
    }

    /// Refuses whatever was not taken.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::unknown(&self.path(name))),
        }
    }

    /// The full name of one of these parameters.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.prefix) }
    }

    /// The same parameters always give the same text, whatever their order was.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        append(&mut form, "", &self.fields);
        form.finish()
    }

    fn metadata_pair(&mut self, key: String) -> Result<(String, String), ApiError> {
        let path = self.path(&key);
        if key.chars().count() > MAX_METADATA_KEY {
            return Err(ApiError::invalid("Metadata keys can have up to 40 characters.").at(path));
        }
        match self.fields.remove(&key) {
            Some(Node::Value(value)) if value.chars().count() <= MAX_METADATA_VALUE => Ok((key, value)),
            Some(Node::Value(_)) => {
                Err(ApiError::invalid("Metadata values can have up to 500 characters.").at(path))
            }
            _ => Err(ApiError::invalid("Metadata values must be strings.").at(path)),
        }
    }

    /// The elements of a list with their full names, in the order of their indices.
    fn elements(&mut self, name: &str) -> Result<Vec<(String, Node)>, ApiError> {
        let Some(Self { prefix, fields }) = self.object(name)? else { return Ok(Vec::new()) };
        let mut places: BTreeMap<usize, (String, Node)> = BTreeMap::new();
        for (index, node) in fields {
            let place = index.parse().map_err(|_| ApiError::invalid("Invalid array").at(&*prefix))?;
            places.insert(place, (format!("{prefix}[{index}]"), node));
        }
        Ok(places.into_values().collect())
    }
}

fn listed(choices: &[&str]) -> String {
    match choices {
        [rest @ .., last] if !rest.is_empty() => format!("{}, or {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}

/// `a[b][0]` is `a`, `b`, `0`.
fn segments(name: &str) -> Result<Vec<&str>, ApiError> {
    let malformed = || ApiError::invalid("Invalid request: a parameter's brackets do not match.");
    let Some(open) = name.find('[') else { return Ok(vec![name]) };
    let nested = name[open + 1..].strip_suffix(']').ok_or_else(malformed)?;
    let segments: Vec<&str> = std::iter::once(&name[..open]).chain(nested.split("][")).collect();
    let well_formed =
        open > 0 && segments.len() <= MAX_DEPTH && !segments.iter().any(|part| part.contains(['[', ']']));
    if well_formed { Ok(segments) } else { Err(malformed()) }
}

fn insert(
    fields: &mut BTreeMap<String, Node>,
    name: &str,
    path: &[&str],
    value: String,
) -> Result<(), ApiError> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    // `a[]=x` appends.
    let key = if first.is_empty() { fields.len().to_string() } else { (*first).to_owned() };
    if rest.is_empty() {
        fields.insert(key, Node::Value(value));
        return Ok(());
    }
    match fields.entry(key).or_insert_with(|| Node::Fields(BTreeMap::new())) {
        Node::Fields(nested) => insert(nested, name, rest, value),
        Node::Value(_) => Err(ApiError::invalid("Invalid object").at(name)),
    }
}

fn append(form: &mut form_urlencoded::Serializer<'_, String>, prefix: &str, fields: &BTreeMap<String, Node>) {
    for (name, node) in fields {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}[{name}]") };
        match node {
            Node::Value(value) => {
                form.append_pair(&path, value);
            }
            Node::Fields(nested) => append(form, &path, nested),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn brackets_nest() {
        let mut params =
            Params::parse(b"items[1][name]=b&items[0][name]=a&created%5Bgte%5D=5&types[]=x&types[]=y")
                .unwrap();
        let mut items = params.objects("items").unwrap();
        assert_eq!(items[0].text("name").unwrap().as_deref(), Some("a"));
        assert_eq!(items[1].path("name"), "items[1][name]");
        assert_eq!(params.object("created").unwrap().unwrap().integer("gte").unwrap(), Some(5));
        assert_eq!(params.texts("types").unwrap(), ["x", "y"]);
        params.finish().unwrap();
    }

    #[test]
    fn what_nobody_took_is_unknown_by_its_full_name() {
        let mut params = Params::parse(b"a[b]=1&a[c]=2").unwrap();
        let mut nested = params.object("a").unwrap().unwrap();
        nested.text("b").unwrap();
        let error = nested.finish().unwrap_err();
        assert_eq!(error.code, Some("parameter_unknown"));
        assert_eq!(error.param.as_deref(), Some("a[c]"));
    }

    #[test]
    fn wrong_values_name_their_parameter() {
        let cases: [(&[u8], Option<&str>); 3] = [
            (b"n=", Some("parameter_invalid_empty")),
            (b"n=x", Some("parameter_invalid_integer")),
            (b"n[a]=1", None),
        ];
        for (form, code) in cases {
            let error = Params::parse(form).unwrap().integer("n").unwrap_err();
            assert_eq!((error.code, error.param.as_deref()), (code, Some("n")));
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for form in ["a[b=1", "[a]=1", "a[b]c=1", "a[[b]]=1", "a[1][2][3][4][5][6][7][8]=1", "a=1&a[b]=2"] {
            assert!(Params::parse(form.as_bytes()).is_err(), "{form}");
        }
    }

    #[test]
    fn metadata_is_bounded() {
        let long = format!("m[k]={}", "x".repeat(501));
        let error = Params::parse(long.as_bytes()).unwrap().metadata("m").unwrap_err();
        assert_eq!(error.param.as_deref(), Some("m[k]"));
        let many = (0..51).map(|n| format!("m[k{n}]=v")).collect::<Vec<_>>().join("&");
        assert!(Params::parse(many.as_bytes()).unwrap().metadata("m").is_err());
    }

    #[test]
    fn order_does_not_change_the_canonical_form() {
        let one = Params::parse(b"b=2&a[x]=1").unwrap().canonical();
        assert_eq!(one, Params::parse(b"a[x]=1&b=2").unwrap().canonical());
        assert_ne!(one, Params::parse(b"a[x]=1&b=3").unwrap().canonical());
    }
}

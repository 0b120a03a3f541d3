//! Typed configuration: read and checked whole before anything binds.
//!
//! Later wins: defaults, the TOML file that `MERCATO_CONFIG` names, the environment. A key `section.key` is
//! `MERCATO__SECTION__KEY` there; where a standard exists (`DATABASE_URL`, `NATS_URL`, `REDIS_URL`,
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER` and its `_ARG`) that name is taken as well. Any variable may be given as `…_FILE`, which
//! names a file that holds the value. An unknown key is refused.

use std::{collections::BTreeMap, env, fmt, fs};

use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Value},
};
use serde::de::DeserializeOwned;

const PREFIX: &str = "MERCATO__";
const STANDARD: [(&str, &str); 6] = [
    ("DATABASE_URL", "database.url"),
    ("NATS_URL", "bus.url"),
    ("REDIS_URL", "redis.url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("OTEL_TRACES_SAMPLER", "telemetry.traces_sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.traces_sampler_arg"),
];

/// A configuration that can say what is wrong with it.
pub trait Config: DeserializeOwned {
    /// The top-level sections that it has; a standard variable of another section is not for it.
    const SECTIONS: &'static [&'static str];

    /// Reports everything that cannot work, as `section.key: what would be right`.
    fn check(&self, problems: &mut Problems);
}

/// What is wrong with a configuration.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, key: &str, what: impl fmt::Display) {
        self.0.push(format!("{key}: {what}"));
    }

    /// Adds a problem where the result is an error.
    pub fn check<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) {
        if let Err(error) = result {
            self.add(key, error);
        }
    }
}

/// The configuration cannot be used; the message lists every reason.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

/// Reads the configuration from the process's environment.
pub fn load<C: Config>() -> Result<C, ConfigError> {
    load_from(env::vars().collect())
}

/// Reads the configuration from the given variables.
pub fn load_from<C: Config>(vars: BTreeMap<String, String>) -> Result<C, ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = vars.get("MERCATO_CONFIG") {
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Serialized::globals(environment::<C>(vars)?));
    let config: C = figment
        .extract()
        .map_err(|errors| ConfigError(errors.into_iter().map(|error| explain(&error)).collect()))?;
    let mut problems = Problems::default();
    config.check(&mut problems);
    if problems.0.is_empty() { Ok(config) } else { Err(ConfigError(problems.0)) }
}

fn environment<C: Config>(vars: BTreeMap<String, String>) -> Result<Dict, ConfigError> {
    let mut tree = Dict::new();
    for (name, value) in vars {
        let (name, is_file) = match name.strip_suffix("_FILE") {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        };
        let Some(key) = key_of::<C>(&name) else { continue };
        let value = if is_file { read_secret_file(&name, &value)? } else { value };
        insert(&mut tree, &key, parse(&value));
    }
    Ok(tree)
}

fn key_of<C: Config>(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix(PREFIX) {
        return Some(rest.to_lowercase().replace("__", "."));
    }
    let key = STANDARD.iter().find(|(standard, _)| *standard == name)?.1;
    let section = key.split('.').next()?;
    C::SECTIONS.contains(&section).then(|| key.to_owned())
}

fn read_secret_file(name: &str, path: &str) -> Result<String, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) => {
            Err(ConfigError(vec![format!("{name}_FILE: the file it names cannot be read: {error}")]))
        }
    }
}

/// A value of the environment: a number, true, false, a list in brackets, or text.
fn parse(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::from(text))
}

fn insert(tree: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            tree.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let entry = tree.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, section) = entry {
                insert(section, rest, value);
            }
        }
    }
}

/// Says what is wrong and where, without the value: it may be a secret.
fn explain(error: &figment::Error) -> String {
    use figment::error::Kind;
    let key = error.path.join(".");
    let what = match &error.kind {
        Kind::MissingField(field) => {
            let key = if key.is_empty() { field.to_string() } else { format!("{key}.{field}") };
            return format!("{key}: missing; set {PREFIX}{}", key.to_uppercase().replace('.', "__"));
        }
        Kind::UnknownField(field, known) => format!("unknown key `{field}`; known are {}", known.join(", ")),
        Kind::InvalidType(_, wanted) => format!("not of the right type; it must be {wanted}"),
        Kind::InvalidValue(_, wanted) => format!("not a value that is taken; it must be {wanted}"),
        Kind::UnknownVariant(_, known) => format!("not one of {}", known.join(", ")),
        Kind::Message(message) if !key.is_empty() => message.clone(),
        // Of a file that is no TOML the message would quote the line, and the line may hold a secret.
        _ => "the file that MERCATO_CONFIG names cannot be read as TOML".to_owned(),
    };
    if key.is_empty() { what } else { format!("{key}: {what}") }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::secret::Secret;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        database: Section,
        #[serde(default)]
        limit: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        url: Secret,
    }

    impl Config for Example {
        const SECTIONS: &'static [&'static str] = &["database"];

        fn check(&self, problems: &mut Problems) {
            if self.limit > 10 {
                problems.add("limit", "at most 10");
            }
        }
    }

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn standard_and_own_names_are_read_and_those_of_other_sections_left() {
        let vars =
            vars(&[("DATABASE_URL", "postgres://x"), ("MERCATO__LIMIT", "3"), ("NATS_URL", "nats://y")]);
        let config: Example = load_from(vars).unwrap();
        assert_eq!((config.database.url.expose(), config.limit), ("postgres://x", 3));
    }

    #[test]
    fn an_unknown_key_a_missing_one_and_a_bad_value_are_each_named() {
        let error =
            load_from::<Example>(vars(&[("DATABASE_URL", "u"), ("MERCATO__LIMTI", "3")])).unwrap_err();
        assert!(error.to_string().contains("limti"), "{error}");
        let error = load_from::<Example>(vars(&[("MERCATO__LIMIT", "3")])).unwrap_err();
        assert!(error.to_string().contains("database"), "{error}");
        let error =
            load_from::<Example>(vars(&[("DATABASE_URL", "u"), ("MERCATO__LIMIT", "11")])).unwrap_err();
        assert!(error.to_string().contains("limit: at most 10"), "{error}");
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_never_in_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "postgres://u:hunter2@x\n").unwrap();
        let path = file.path().to_str().unwrap();
        let config: Example = load_from(vars(&[("DATABASE_URL_FILE", path)])).unwrap();
        assert_eq!(config.database.url.expose(), "postgres://u:hunter2@x");
        let error =
            load_from::<Example>(vars(&[("DATABASE_URL", "u"), ("MERCATO__LIMIT", "hunter2")])).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_broken_file_is_told_without_its_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[database]\nurl = postgres://u:hunter2@x\n").unwrap();
        let path = file.path().to_str().unwrap();
        let error = load_from::<Example>(vars(&[("MERCATO_CONFIG", path)])).unwrap_err();
        assert!(error.to_string().contains("TOML"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_secret_of_digits_is_text() {
        let config: Example = load_from(vars(&[("DATABASE_URL", "12345")])).unwrap();
        assert_eq!(config.database.url.expose(), "12345");
    }
}

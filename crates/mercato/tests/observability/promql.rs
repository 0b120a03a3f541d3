//! As much of PromQL as tells what a query asks for: which series, by which labels, through which function. Whether it
//! is PromQL at all is Prometheus's to say (`interop/prometheus.rs`).

use std::{iter::Peekable, str::Chars, vec::IntoIter};

/// What is between names that are metrics.
const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];
/// What is followed by labels.
const MATCHING: [&str; 4] = ["on", "ignoring", "group_left", "group_right"];

/// `name{label op "value"}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
    /// The function that is given its range, where it has one.
    pub(crate) ranged_by: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

/// `sum by (labels) (…)`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grouping {
    pub(crate) labels: Vec<String>,
    /// The metrics that are within.
    pub(crate) metrics: Vec<String>,
}

/// What a query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) selectors: Vec<Selector>,
    pub(crate) groupings: Vec<Grouping>,
}

/// Reads a query; what cannot be read, and why.
pub(crate) fn read(query: &str) -> Result<Asked, String> {
    let mut reader =
        Reader { tokens: tokens(query)?.into_iter().peekable(), open: Vec::new(), asked: Asked::default() };
    while let Some(token) = reader.tokens.next() {
        reader.token(token)?;
    }
    if reader.open.is_empty() { Ok(reader.asked) } else { Err("a parenthesis is not closed".to_owned()) }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(String),
}

/// What a parenthesis was opened by.
#[derive(Default)]
struct Open {
    function: Option<String>,
    by: Option<Vec<String>>,
    /// How many selectors were before it.
    before: usize,
}

struct Reader {
    tokens: Peekable<IntoIter<Token>>,
    open: Vec<Open>,
    asked: Asked,
}

impl Reader {
    fn token(&mut self, token: Token) -> Result<(), String> {
        match token {
            Token::Word(word) if OPERATORS.contains(&word.as_str()) => Ok(()),
            Token::Word(word) if MATCHING.contains(&word.as_str()) => self.labels().map(drop),
            Token::Word(word) => self.word(word),
            Token::Sign(sign) if sign == "(" => {
                self.push(None, None);
                Ok(())
            }
            Token::Sign(sign) if sign == ")" => self.close(),
            Token::Sign(sign) if ["{", "}", "[", "]"].contains(&sign.as_str()) => {
                Err(format!("{sign} stands alone"))
            }
            Token::Sign(_) | Token::Text(_) | Token::Number(_) => Ok(()),
        }
    }

    /// A function, an aggregation or a metric.
    fn word(&mut self, word: String) -> Result<(), String> {
        let by = if self.takes_word("by") { Some(self.labels()?) } else { None };
        if self.takes_word("without") {
            return Err("`without` is not read here; say `by` which labels".to_owned());
        }
        if self.takes("(") {
            self.push(Some(word), by);
            return Ok(());
        }
        if by.is_some() {
            return Err(format!("after `{word} by (…)` comes what is aggregated"));
        }
        self.selector(word)
    }

    fn selector(&mut self, name: String) -> Result<(), String> {
        let mut matchers = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                self.takes(",");
            }
        }
        let mut ranged_by = None;
        if self.takes("[") {
            ranged_by = self.open.last().and_then(|open| open.function.clone());
            while !self.takes("]") {
                self.tokens.next().ok_or("a range is not closed")?;
            }
        }
        self.asked.selectors.push(Selector { name, matchers, ranged_by });
        Ok(())
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        match (self.tokens.next(), self.tokens.next(), self.tokens.next()) {
            (Some(Token::Word(label)), Some(Token::Sign(operator)), Some(Token::Text(value)))
                if ["=", "!=", "=~", "!~"].contains(&operator.as_str()) =>
            {
                Ok(Matcher { label, operator, value })
            }
            other => Err(format!("no matcher: {other:?}")),
        }
    }

    /// `(a, b)`.
    fn labels(&mut self) -> Result<Vec<String>, String> {
        if !self.takes("(") {
            return Err("labels stand in parentheses".to_owned());
        }
        let mut labels = Vec::new();
        while !self.takes(")") {
            match self.tokens.next() {
                Some(Token::Word(label)) => labels.push(label),
                other => return Err(format!("no label: {other:?}")),
            }
            self.takes(",");
        }
        Ok(labels)
    }

    fn push(&mut self, function: Option<String>, by: Option<Vec<String>>) {
        self.open.push(Open { function, by, before: self.asked.selectors.len() });
    }

    fn close(&mut self) -> Result<(), String> {
        let open = self.open.pop().ok_or("a parenthesis was not opened")?;
        if let Some(labels) = open.by {
            let within = &self.asked.selectors[open.before..];
            let metrics = within.iter().map(|selector| selector.name.clone()).collect();
            self.asked.groupings.push(Grouping { labels, metrics });
        }
        Ok(())
    }

    fn takes(&mut self, sign: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Sign(next) if next == sign)).is_some()
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(next) if next == word)).is_some()
    }
}

fn tokens(query: &str) -> Result<Vec<Token>, String> {
    let (mut rest, mut tokens) = (query.chars().peekable(), Vec::new());
    while let Some(first) = rest.next() {
        let is_word = |next: &char| next.is_ascii_alphanumeric() || "_:".contains(*next);
        tokens.push(match first {
            _ if first.is_whitespace() => continue,
            'a'..='z' | 'A'..='Z' | '_' | ':' => Token::Word(run(first, &mut rest, is_word)),
            '0'..='9' => {
                Token::Number(run(first, &mut rest, |next| next.is_ascii_alphanumeric() || *next == '.'))
            }
            '"' => Token::Text(quoted(&mut rest)?),
            '=' | '!' | '<' | '>' => Token::Sign(run(first, &mut rest, |next| "=~".contains(*next))),
            _ if "(){}[],+-*/%^".contains(first) => Token::Sign(first.to_string()),
            _ => return Err(format!("{first} is no part of PromQL that is read here")),
        });
    }
    Ok(tokens)
}

fn run(first: char, rest: &mut Peekable<Chars<'_>>, belongs: impl Fn(&char) -> bool) -> String {
    let mut text = String::from(first);
    while let Some(next) = rest.next_if(&belongs) {
        text.push(next);
    }
    text
}

/// Without escapes: no value of ours needs one.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('"') => return Ok(text),
            Some('\\') | None => return Err("a text that is not closed, or has an escape".to_owned()),
            Some(next) => text.push(next),
        }
    }
}

#[test]
fn what_a_query_asks_for_is_read() {
    let asked =
        read(r#"sum by (a, b) (rate(x_total{a="1", c!~"5.."}[5m]) - y) unless on (a) z >= 0.5"#).unwrap();
    let matcher = |label: &str, operator: &str, value: &str| Matcher {
        label: label.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
    };
    let bare = |name: &str| Selector { name: name.to_owned(), matchers: Vec::new(), ranged_by: None };
    let ranged = Selector {
        name: "x_total".to_owned(),
        matchers: vec![matcher("a", "=", "1"), matcher("c", "!~", "5..")],
        ranged_by: Some("rate".to_owned()),
    };
    assert_eq!(asked.selectors, [ranged, bare("y"), bare("z")]);
    let grouping = Grouping {
        labels: vec!["a".to_owned(), "b".to_owned()],
        metrics: vec!["x_total".to_owned(), "y".to_owned()],
    };
    assert_eq!(asked.groupings, [grouping]);
    for wrong in ["sum(x", "sum(x))", "x{a=1}", "x[5m", "sum by a (x)", "sum by (a) x", "x{a=\"1}", "x $ y"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

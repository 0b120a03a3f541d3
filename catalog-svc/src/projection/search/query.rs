//! What is typed, as a query over the index.

use tantivy::{
    Score, Term,
    query::{BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
    tokenizer::TextAnalyzer,
};
use wire::manifest::AppType;

use super::Fields;

/// More words than this find nothing more.
const MOST_WORDS: usize = 12;
/// One slip is forgiven from this length on: in a shorter word it makes another word.
const FUZZY_FROM: usize = 4;
/// From this length on, a slip is forgiven in a word that is still being typed.
const FUZZY_PREFIX_FROM: usize = 6;

/// What a match counts, by how the word is found.
const WHOLE: Score = 4.0;
const BEGINNING: Score = 2.0;
const SLIP: Score = 1.0;

/// Makes queries of texts.
pub(super) struct Asker<'a> {
    pub(super) fields: &'a Fields,
    pub(super) analyzer: Option<TextAnalyzer>,
}

impl Asker<'_> {
    /// None where the text has no word in it, which finds nothing.
    pub(super) fn query(&self, text: &str, app_type: Option<AppType>) -> Option<BooleanQuery> {
        let mut musts: Vec<Box<dyn Query>> = self.words(text).iter().map(|word| self.word(word)).collect();
        if musts.is_empty() {
            return None;
        }
        if let Some(app_type) = app_type {
            let of_type = term(self.fields.app_type, app_type.as_str());
            musts.push(counts(TermQuery::new(of_type, IndexRecordOption::Basic), 0.0));
        }
        Some(BooleanQuery::intersection(musts))
    }

    fn words(&self, text: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let Some(mut analyzer) = self.analyzer.clone() else { return words };
        let mut stream = analyzer.token_stream(text);
        while words.len() < MOST_WORDS && stream.advance() {
            let word = &stream.token().text;
            if !words.contains(word) {
                words.push(word.clone());
            }
        }
        words
    }

    /// Each word counts by its best match alone.
    fn word(&self, word: &str) -> Box<dyn Query> {
        let Fields { name, slug, keywords, vendor, description, .. } = *self.fields;
        let mut ways = Vec::new();
        for (field, weight) in [(name, 8.0), (slug, 6.0), (keywords, 5.0), (vendor, 4.0)] {
            ways.extend(ways_in(field, word, weight));
            ways.extend(with_a_slip(field, word, weight));
        }
        ways.extend(ways_in(description, word, 1.0));
        Box::new(DisjunctionMaxQuery::new(ways))
    }
}

fn ways_in(field: Field, word: &str, weight: Score) -> [Box<dyn Query>; 2] {
    let whole = TermQuery::new(term(field, word), IndexRecordOption::Basic);
    let beginning = FuzzyTermQuery::new_prefix(term(field, word), 0, true);
    [counts(whole, WHOLE * weight), counts(beginning, BEGINNING * weight)]
}

fn with_a_slip(field: Field, word: &str, weight: Score) -> Option<Box<dyn Query>> {
    let query = match word.chars().count() {
        ..FUZZY_FROM => return None,
        FUZZY_FROM..FUZZY_PREFIX_FROM => FuzzyTermQuery::new(term(field, word), 1, true),
        _ => FuzzyTermQuery::new_prefix(term(field, word), 1, true),
    };
    Some(counts(query, SLIP * weight))
}

fn counts(query: impl Query, score: Score) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

fn term(field: Field, word: &str) -> Term {
    Term::from_field_text(field, word)
}

//! Words to apps.
//!
//! What a person types into a shop's search box is taken as words, never as a query language, so nothing typed is an
//! error. Every word must be found. A word counts by where it is found best (the app's name, its id, its keywords,
//! its vendor, its description) and how (whole, as a beginning, with a slip); equal matches stand newest first. No
//! statistics of the index enter, so that all replicas give one order.

mod query;

use std::sync::Arc;

use query::Asker;
use tantivy::{
    Index, IndexReader, IndexWriter, Order, ReloadPolicy, Searcher, TantivyDocument, Term,
    collector::{
        Count, TopDocs,
        sort_key::{SortBySimilarityScore, SortByStaticFastValue, SortByString},
    },
    indexer::IndexWriterOptions,
    schema::{FAST, Field, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer},
};
use wire::manifest::AppType;

use crate::domain::{Page, Product, Release};

const ANALYZER: &str = "words";
const LONGEST_WORD: usize = 64;
const PUBLISHED_AT: &str = "published_at_ms";
const MARKETPLACE_ID: &str = "marketplace_id";

/// The fields of an app's entry.
#[derive(Debug, Clone, Copy)]
struct Fields {
    marketplace_id: Field,
    app_type: Field,
    published_at_ms: Field,
    name: Field,
    slug: Field,
    keywords: Field,
    vendor: Field,
    description: Field,
}

/// An index in memory of what is on offer; cheap to clone.
#[derive(Clone)]
pub(super) struct SearchIndex {
    index: Index,
    reader: IndexReader,
    fields: Fields,
}

impl SearchIndex {
    pub(super) fn new() -> tantivy::Result<Self> {
        let (schema, fields) = schema();
        let index = Index::create_in_ram(schema);
        index.tokenizers().register(ANALYZER, analyzer());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { index, reader, fields })
    }

    /// Takes these products as they are now; one that is no longer on offer is not found any more.
    pub(super) fn apply(&self, changed: &[Arc<Product>]) -> tantivy::Result<Searching> {
        // A writer keeps 15 MB and its threads for as long as it is open: one for each batch.
        let options = IndexWriterOptions::builder().num_merge_threads(1).build();
        let mut writer: IndexWriter = self.index.writer_with_options(options)?;
        for product in changed {
            writer.delete_term(Term::from_field_text(
                self.fields.marketplace_id,
                product.marketplace_id().as_str(),
            ));
            if let Some(latest) = product.find_latest() {
                writer.add_document(self.entry(product, latest))?;
            }
        }
        writer.commit()?;
        writer.wait_merging_threads()?;
        self.reader.reload()?;
        Ok(Searching { index: self.clone(), searcher: self.reader.searcher() })
    }

    fn entry(&self, product: &Product, latest: &Release) -> TantivyDocument {
        let (id, manifest) = (product.marketplace_id(), &latest.manifest);
        let mut entry = TantivyDocument::default();
        entry.add_text(self.fields.marketplace_id, id);
        entry.add_text(self.fields.app_type, product.app_type().as_str());
        entry.add_i64(self.fields.published_at_ms, latest.published_at_ms);
        entry.add_text(self.fields.name, &manifest.name);
        entry.add_text(self.fields.slug, id.name());
        entry.add_text(self.fields.keywords, manifest.keywords.as_deref().unwrap_or_default().join(" "));
        let vendor = format!("{} {} {}", id.vendor(), product.vendor_display_name(), manifest.author);
        entry.add_text(self.fields.vendor, vendor);
        entry.add_text(self.fields.description, &manifest.description);
        entry
    }
}

/// The index as it stood at one moment.
pub(super) struct Searching {
    index: SearchIndex,
    searcher: Searcher,
}

impl Searching {
    pub(super) fn index(&self) -> &SearchIndex {
        &self.index
    }

    /// The names of the apps that these words find on one page, and how many there are.
    pub(super) fn find(
        &self,
        text: &str,
        app_type: Option<AppType>,
        page: Page,
    ) -> tantivy::Result<(Vec<String>, usize)> {
        let asker =
            Asker { fields: &self.index.fields, analyzer: self.index.index.tokenizers().get(ANALYZER) };
        let Some(query) = asker.query(text, app_type) else { return Ok((Vec::new(), 0)) };
        let count = self.searcher.search(&query, &Count)?;
        // Beyond the end there is nothing, and room would be made for all that is skipped.
        if page.offset() >= count {
            return Ok((Vec::new(), count));
        }
        let order = (
            SortBySimilarityScore,
            (SortByStaticFastValue::<i64>::for_field(PUBLISHED_AT), Order::Desc),
            (SortByString::for_field(MARKETPLACE_ID), Order::Asc),
        );
        let best = TopDocs::with_limit(page.limit()).and_offset(page.offset()).order_by(order);
        let found = self.searcher.search(&query, &best)?;
        Ok((found.into_iter().filter_map(|((.., name), _)| name).collect(), count))
    }
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(ANALYZER)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false);
    let words = TextOptions::default().set_indexing_options(words);
    let fields = Fields {
        marketplace_id: schema.add_text_field(MARKETPLACE_ID, STRING | FAST),
        app_type: schema.add_text_field("app_type", STRING),
        published_at_ms: schema.add_i64_field(PUBLISHED_AT, FAST),
        name: schema.add_text_field("name", words.clone()),
        slug: schema.add_text_field("slug", words.clone()),
        keywords: schema.add_text_field("keywords", words.clone()),
        vendor: schema.add_text_field("vendor", words.clone()),
        description: schema.add_text_field("description", words),
    };
    (schema.build(), fields)
}

/// Lower case, without accents: what is typed and what is written meet there.
fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(LONGEST_WORD))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

#[cfg(test)]
mod tests;

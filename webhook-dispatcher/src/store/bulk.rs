//! Many rows with one statement. PostgreSQL takes each column as one array, so that the statement stays the same
//! however many rows there are; SQLite takes the rows one beside the other. Only here do the two differ.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value,
    sea_query::{ArrayType, ValueType as _},
};

/// One column's values, in the order of the rows. An array has no nulls: what may be null is told apart by [`NO_TEXT`]
/// and [`NO_NUMBER`].
pub(super) struct Column {
    name: &'static str,
    form: Form,
    values: Vec<Value>,
}

/// How a column is written.
#[derive(Clone, Copy)]
enum Form {
    Text,
    MaybeText,
    Number,
    MaybeNumber,
    Bytes,
}

const NO_TEXT: &str = "";
const NO_NUMBER: i64 = -1;

impl Column {
    pub(super) fn text(name: &'static str, values: impl Iterator<Item = String>) -> Self {
        Self { name, form: Form::Text, values: values.map(Value::from).collect() }
    }

    /// Text that is never empty, or null.
    pub(super) fn maybe_text(name: &'static str, values: impl Iterator<Item = Option<String>>) -> Self {
        let values = values.map(|value| value.unwrap_or_else(|| NO_TEXT.to_owned()).into());
        Self { name, form: Form::MaybeText, values: values.collect() }
    }

    pub(super) fn number(name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        Self { name, form: Form::Number, values: values.map(Value::from).collect() }
    }

    /// A number that is never negative, or null.
    pub(super) fn maybe_number(name: &'static str, values: impl Iterator<Item = Option<i64>>) -> Self {
        let values = values.map(|value| value.unwrap_or(NO_NUMBER).into());
        Self { name, form: Form::MaybeNumber, values: values.collect() }
    }

    pub(super) fn bytes(name: &'static str, values: impl Iterator<Item = Vec<u8>>) -> Self {
        Self { name, form: Form::Bytes, values: values.map(Value::from).collect() }
    }

    /// The value of one row, given the text that stands for it.
    fn read(&self, value: &str) -> String {
        match self.form {
            Form::Text | Form::Number | Form::Bytes => value.to_owned(),
            Form::MaybeText => format!("NULLIF({value}, '{NO_TEXT}')"),
            Form::MaybeNumber => format!("NULLIF({value}, {NO_NUMBER})"),
        }
    }

    fn array(self) -> Value {
        let kind = match self.form {
            Form::Text | Form::MaybeText => ArrayType::String,
            Form::Number | Form::MaybeNumber => i64::array_type(),
            Form::Bytes => ArrayType::Bytes,
        };
        Value::Array(kind, Some(Box::new(self.values)))
    }

    fn array_type(&self) -> &'static str {
        match self.form {
            Form::Text | Form::MaybeText => "text[]",
            Form::Number | Form::MaybeNumber => "bigint[]",
            Form::Bytes => "bytea[]",
        }
    }
}

/// SQLite takes at most 32,766 values in one statement; this many rows of any of our tables are fewer.
const SQLITE_ROWS: usize = 1_000;

/// Inserts the rows of these columns; `then` is what follows: `ON CONFLICT …`, `RETURNING …`.
pub(super) async fn insert(
    tx: &impl ConnectionTrait,
    table: &str,
    columns: Vec<Column>,
    then: &str,
) -> Result<Vec<QueryResult>, DbErr> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let head = format!("INSERT INTO {table} ({})", names.join(", "));
    let read: Vec<String> = columns.iter().map(|column| column.read(column.name)).collect();
    let read = read.join(", ");
    // SQLite reads `ON CONFLICT` after a FROM as a join's condition, unless a WHERE comes between.
    run(tx, columns, |rows| format!("{head} SELECT {read} FROM {rows} WHERE true {then}")).await
}

/// Runs a statement over the rows of these columns, as often as it takes.
pub(super) async fn run(
    tx: &impl ConnectionTrait,
    columns: Vec<Column>,
    sql: impl Fn(&str) -> String,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = tx.get_database_backend();
    if columns.iter().all(|column| column.values.is_empty()) {
        return Ok(Vec::new());
    }
    if backend == DbBackend::Postgres {
        let sql = sql(&unnest(&columns));
        let values = columns.into_iter().map(Column::array);
        return tx.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await;
    }
    let mut answer = Vec::new();
    let count = columns[0].values.len();
    for from in (0..count).step_by(SQLITE_ROWS) {
        let chunk = from..count.min(from + SQLITE_ROWS);
        let sql = sql(&values(&columns, chunk.len()));
        let values = chunk.flat_map(|row| columns.iter().map(move |column| column.values[row].clone()));
        answer.extend(tx.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?);
    }
    Ok(answer)
}

/// `UNNEST($1::text[], $2::bigint[]) AS given (id, token)`
fn unnest(columns: &[Column]) -> String {
    let arrays: Vec<String> =
        columns.iter().zip(1..).map(|(column, n)| format!("${n}::{}", column.array_type())).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    format!("UNNEST({}) AS given ({})", arrays.join(", "), names.join(", "))
}

/// `(SELECT column1 AS id, column2 AS token FROM (VALUES (?, ?), (?, ?))) AS given`
fn values(columns: &[Column], rows: usize) -> String {
    let names: Vec<String> =
        columns.iter().zip(1..).map(|(column, n)| format!("column{n} AS {}", column.name)).collect();
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!("(SELECT {} FROM (VALUES {})) AS given", names.join(", "), vec![row; rows].join(", "))
}

//! Rows in the order they came, found by id.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something with an id.
pub(crate) trait Row {
    /// Its id.
    fn id(&self) -> &str;
}

/// Rows in the order they came.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    places: HashMap<String, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Row> Table<T> {
    /// The row of this id.
    pub(crate) fn find(&self, id: &str) -> Option<&T> {
        self.position(id).map(|place| &self.rows[place])
    }

    /// The same, to be changed.
    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut T> {
        self.position(id).map(|place| &mut self.rows[place])
    }

    /// Where the row of this id is among all.
    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Adds a row, or replaces the one of its id.
    pub(crate) fn put(&mut self, row: T) {
        if let Some(place) = self.position(row.id()) {
            self.rows[place] = row;
        } else {
            self.places.insert(row.id().to_owned(), self.rows.len());
            self.rows.push(row);
        }
    }

    /// All, oldest first.
    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }
}

impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de, T: Row + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        for row in Vec::deserialize(deserializer)? {
            table.put(row);
        }
        Ok(table)
    }
}

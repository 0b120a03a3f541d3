//! Parts of long lists, newest first, by id. No part costs more for what lies beyond it: a list goes along one index, and
//! what the index does not tell is looked for among so many rows and no more.

use sea_orm::{
    Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult as _, Order,
    sea_query::{Alias, Asterisk, Expr, Func, Query, SelectStatement},
};

/// One look goes along so many rows of the index.
pub(super) const LOOKED_AT: u64 = 10_000;
/// The first look goes along so many for each row that is wanted: mostly it finds enough, and whoever plans it sees that
/// few are read.
const FIRST_LOOK: u64 = 5;
/// So many rows are read to count what no index tells of them.
const READ_TO_COUNT: u64 = 1_000;

/// Which part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// At most so many rows.
    pub limit: u64,
    /// After so many.
    pub offset: u64,
    /// After the row of this id.
    pub after: Option<&'a str>,
}

/// A part of a list.
#[derive(Debug)]
pub struct Part<T> {
    /// The rows; fewer than were asked for do not mean that none follow.
    pub rows: Vec<T>,
    /// The id after which the list goes on; none: it does not.
    pub next: Option<String>,
    /// How many the whole list has, as far as that was looked at.
    pub count: Count,
}

/// How many rows a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many were found.
    pub found: u64,
    /// False: there are more rows than were looked at.
    pub is_exact: bool,
}

/// A list of the rows of an entity.
#[derive(Debug)]
pub(super) struct List<E: EntityTrait> {
    /// The primary key, by which it is ordered.
    pub(super) id: E::Column,
    /// What an index finds in the order of the ids.
    pub(super) found: Condition,
    /// What each row is asked besides.
    pub(super) asked: Condition,
}

impl<E: EntityTrait> List<E> {
    /// The rows of this part, and one more where the list goes on; found among so many of the index.
    pub(super) fn select(&self, stretch: Stretch<'_>, looked_at: u64) -> SelectStatement {
        let all = stretch.limit + 1;
        if self.asked.is_empty() {
            let mut rows = self.along(stretch.after, all);
            return rows.offset(stretch.offset).to_owned();
        }
        let mut rows = self.looked_at(stretch.after, looked_at);
        rows.column(Asterisk).order_by(self.id, Order::Desc).limit(all).offset(stretch.offset).to_owned()
    }

    /// How many were looked at, and how many of them are in the list.
    pub(super) fn count(&self) -> SelectStatement {
        let mut counts = self.looked_at_all(self.counted_to() + 1);
        let is_asked = Expr::Case(Box::new(Expr::case(self.asked.clone(), 1)));
        counts.expr(Func::count(Expr::col(Asterisk))).expr(Func::count(is_asked)).to_owned()
    }

    fn counted_to(&self) -> u64 {
        if self.asked.is_empty() { LOOKED_AT } else { READ_TO_COUNT }
    }

    /// The ids of the rows that a count looks at.
    pub(super) fn ids(&self, most: u64) -> SelectStatement {
        self.looked_at(None, most).column(self.id).to_owned()
    }

    /// The last row that a look after this one comes to, if it does not come to the end.
    fn last_looked_at(&self, after: Option<&str>) -> SelectStatement {
        let mut last = self.along(after, 1);
        last.clear_selects().column(self.id).offset(LOOKED_AT - 1).to_owned()
    }

    fn looked_at(&self, after: Option<&str>, most: u64) -> SelectStatement {
        Self::within(self.along(after, most)).cond_where(self.asked.clone()).to_owned()
    }

    fn looked_at_all(&self, most: u64) -> SelectStatement {
        Self::within(self.along(None, most))
    }

    /// Under the table's own name, so that its columns are the same outside.
    fn within(along: SelectStatement) -> SelectStatement {
        Query::select().from_subquery(along, Alias::new(E::default().table_name())).to_owned()
    }

    /// Along the index, newest first.
    fn along(&self, after: Option<&str>, most: u64) -> SelectStatement {
        let mut along = Query::select();
        along.column(Asterisk).from(E::default().table_ref()).cond_where(self.found.clone());
        if let Some(after) = after {
            along.and_where(sea_orm::ColumnTrait::lt(&self.id, after));
        }
        along.order_by(self.id, Order::Desc).limit(most).to_owned()
    }

    /// Reads this part.
    pub(super) async fn read(
        &self,
        db: &impl ConnectionTrait,
        stretch: Stretch<'_>,
        id_of: impl Fn(&E::Model) -> &str,
    ) -> Result<Part<E::Model>, DbErr> {
        let (mut rows, limit) = (self.look(db, stretch).await?, stretch.limit);
        let next = if rows.len() as u64 > limit {
            rows.pop();
            rows.last().map(|row| id_of(row).to_owned())
        } else {
            self.beyond(db, stretch.after).await?
        };
        Ok(Part { rows, next, count: self.counted(db).await? })
    }

    /// Near first, and then as far as it goes.
    async fn look(&self, db: &impl ConnectionTrait, stretch: Stretch<'_>) -> Result<Vec<E::Model>, DbErr> {
        let near = FIRST_LOOK * (stretch.limit + stretch.offset);
        let mut rows = self.rows(db, stretch, LOOKED_AT.min(near)).await?;
        if rows.len() as u64 <= stretch.limit && !self.asked.is_empty() {
            rows = self.rows(db, stretch, LOOKED_AT).await?;
        }
        Ok(rows)
    }

    async fn rows(
        &self,
        db: &impl ConnectionTrait,
        stretch: Stretch<'_>,
        looked_at: u64,
    ) -> Result<Vec<E::Model>, DbErr> {
        let rows = db.query_all(&self.select(stretch, looked_at)).await?;
        rows.iter().map(|row| E::Model::from_query_result(row, "")).collect()
    }

    /// Where the list may go on though this look has found no more.
    async fn beyond(&self, db: &impl ConnectionTrait, after: Option<&str>) -> Result<Option<String>, DbErr> {
        if self.asked.is_empty() {
            return Ok(None);
        }
        let last = db.query_one(&self.last_looked_at(after)).await?;
        last.map(|row| row.try_get_by_index(0)).transpose()
    }

    async fn counted(&self, db: &impl ConnectionTrait) -> Result<Count, DbErr> {
        let row = db.query_one(&self.count()).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("a count has a row".to_owned()))?;
        let count = |index| row.try_get_by_index::<i64>(index).map(|count| u64::try_from(count).unwrap_or(0));
        let (looked_at, found) = (count(0)?, count(1)?);
        let most = self.counted_to();
        Ok(Count { found: found.min(most), is_exact: looked_at <= most })
    }
}

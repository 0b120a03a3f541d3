//! What the operator sees of the orders.

use platform::{AppResult, Principal};

use super::App;
use crate::{
    domain::order::Order,
    store::orders::{self, Filter},
};

/// Orders on a page where nothing is said.
const LIMIT: u32 = 20;
/// Orders on a page at most.
const LIMIT_MAX: u32 = 100;

/// A page of orders.
pub(crate) struct Page {
    pub(crate) orders: Vec<Order>,
    pub(crate) count: u64,
}

impl App {
    /// Orders, newest first.
    pub(crate) async fn list_orders(
        &self,
        principal: &Principal,
        filter: Filter,
        limit: u32,
        offset: u32,
    ) -> AppResult<Page> {
        principal.require_operator()?;
        let limit = if limit == 0 { LIMIT } else { limit.min(LIMIT_MAX) };
        let (orders, count) =
            orders::list_orders(self.db.read(), filter, limit.into(), offset.into()).await?;
        Ok(Page { orders, count })
    }

    /// One order.
    pub(crate) async fn get_order(&self, principal: &Principal, id: &str) -> AppResult<Order> {
        principal.require_operator()?;
        orders::get_order(self.db.read(), id).await
    }
}

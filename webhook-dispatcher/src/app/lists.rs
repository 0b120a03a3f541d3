//! What operators list.

use std::collections::HashMap;

use platform::{AppError, AppResult};

use super::{App, endpoints::no_endpoint};
use crate::{
    domain::cursor::Cursor,
    store::{
        attempt, delivery, endpoint,
        list::{self, Filter, MessageFilter},
        message,
        page::{Part, Stretch},
    },
};

const MOST: u64 = 100;
const USUAL: u64 = 20;
/// Beyond it, a list goes on by its cursor.
const FURTHEST: u32 = 10_000;
/// Deliveries among which attempts of one outcome are looked for.
const LOOKED_AT: u64 = 1_000;

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// How many.
    pub limit: u64,
    /// How many before them.
    pub offset: u64,
    /// After which row.
    pub after: Option<Cursor>,
}

impl Page {
    /// 0 asks for the usual 20; at most 100. The cursor is one of a list whose ids begin like this.
    pub fn new((limit, offset): (u32, u32), after: Option<&str>, prefix: &str) -> AppResult<Self> {
        let after = after.map(|after| Cursor::decode(after, prefix)).transpose();
        let after = after.map_err(|error| AppError::invalid(error.to_string()))?;
        if after.is_some() && offset > 0 {
            return Err(AppError::invalid("use either after or offset, not both"));
        }
        if offset > FURTHEST {
            return Err(AppError::invalid(
                "offset must be at most 10000; go on with after, the next of each answer",
            ));
        }
        let limit = match u64::from(limit) {
            0 => USUAL,
            limit @ 1..=MOST => limit,
            _ => return Err(AppError::invalid("limit must be at most 100")),
        };
        Ok(Self { limit, offset: offset.into(), after })
    }

    pub(super) fn stretch(&self) -> Stretch<'_> {
        let after = self.after.as_ref().map(|after| after.id.as_str());
        Stretch { limit: self.limit, offset: self.offset, after }
    }
}

/// Which deliveries are asked for, by the ids of what they belong to.
#[derive(Debug, Default)]
pub struct DeliveriesAsked {
    /// Only those to this endpoint.
    pub endpoint_id: Option<String>,
    /// Only those of this message.
    pub message_id: Option<String>,
    /// And only these.
    pub filter: Filter,
}

/// Which messages are asked for.
#[derive(Debug, Default)]
pub struct MessagesAsked {
    /// Only those about this instance.
    pub instance_id: Option<String>,
    /// And only these.
    pub filter: MessageFilter,
}

/// An attempt, and the delivery that it was made for.
#[derive(Debug)]
pub struct ListedAttempt {
    /// The attempt.
    pub attempt: attempt::Model,
    /// Its delivery.
    pub delivery: delivery::Model,
}

/// A message and the newest of its deliveries.
#[derive(Debug)]
pub struct MessageDetail {
    /// The message.
    pub message: message::Model,
    /// Its deliveries.
    pub deliveries: Part<delivery::Model>,
}

impl App {
    /// A part of the deliveries, newest first.
    pub async fn list_deliveries(
        &self,
        asked: DeliveriesAsked,
        page: &Page,
    ) -> AppResult<Part<delivery::Model>> {
        let filter = self.filter(asked).await?;
        Ok(list::deliveries(self.db.read(), &filter, page.stretch()).await?)
    }

    async fn filter(&self, asked: DeliveriesAsked) -> AppResult<Filter> {
        let endpoint = match &asked.endpoint_id {
            Some(id) => Some(endpoint::find_now(self.db.read(), id).await?.ok_or_else(no_endpoint)?),
            None => None,
        };
        let message = match &asked.message_id {
            Some(id) => Some(message::find(self.db.read(), id).await?.ok_or_else(no_message)?),
            None => None,
        };
        Ok(Filter { endpoint, message, ..asked.filter })
    }

    /// A part of the messages, newest first. Those about one instance are found by its deliveries.
    pub async fn list_messages(&self, asked: MessagesAsked, page: &Page) -> AppResult<Part<message::Model>> {
        let MessagesAsked { instance_id, filter } = asked;
        if instance_id.is_none() {
            return Ok(list::messages(self.db.read(), &filter, page.stretch()).await?);
        }
        let MessageFilter { event, span } = filter;
        let filter = Filter { instance_id, event, span, ..Filter::default() };
        let deliveries = list::deliveries(self.db.read(), &filter, page.stretch()).await?;
        let Part { rows, next, count } = deliveries;
        Ok(Part { rows: self.messages_in_order(&rows).await?, next, count })
    }

    async fn messages_in_order(&self, deliveries: &[delivery::Model]) -> AppResult<Vec<message::Model>> {
        let ids = deliveries.iter().map(|delivery| delivery.message_id.clone()).collect();
        let found = message::list_by_ids(self.db.read(), ids).await?;
        let mut found: HashMap<_, _> = found.into_iter().map(|one| (one.id.clone(), one)).collect();
        Ok(deliveries.iter().filter_map(|delivery| found.remove(&delivery.message_id)).collect())
    }

    /// One message with the newest of its deliveries.
    pub async fn get_message(&self, id: &str) -> AppResult<MessageDetail> {
        let message = message::find(self.db.read(), id).await?.ok_or_else(no_message)?;
        let filter = Filter { message: Some(message.clone()), ..Filter::default() };
        let first = Stretch { limit: MOST, offset: 0, after: None };
        let deliveries = list::deliveries(self.db.read(), &filter, first).await?;
        Ok(MessageDetail { message, deliveries })
    }

    /// A part of the attempts of these deliveries: the newest delivery first, and in it the last attempt first. The
    /// cursor after it is an attempt's.
    pub async fn list_attempts(
        &self,
        asked: DeliveriesAsked,
        outcome: Option<&str>,
        page: &Page,
    ) -> AppResult<(Part<ListedAttempt>, Option<Cursor>)> {
        let filter = self.filter(asked).await?;
        let looked_at = if outcome.is_some() { LOOKED_AT } else { page.limit };
        let from = page.after.as_ref().map(from_delivery);
        let stretch = Stretch { limit: looked_at, offset: 0, after: from.as_deref() };
        let deliveries = list::deliveries(self.db.read(), &filter, stretch).await?;
        let mut attempts = list::attempts_of(self.db.read(), &deliveries.rows, outcome).await?;
        attempts.retain(|attempt| page.after.as_ref().is_none_or(|after| is_after(attempt, after)));
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let next = if attempts.len() > limit {
            attempts.truncate(limit);
            attempts.last().map(|last| Cursor::after_attempt(&last.delivery_id, last.number))
        } else {
            deliveries.next.clone().map(Cursor::after)
        };
        let count = list::count_attempts(self.db.read(), &filter, outcome, deliveries.count).await?;
        Ok((Part { rows: with_deliveries(attempts, deliveries.rows), next: None, count }, next))
    }
}

/// The delivery of an attempt is looked at again: it may have more of them. No id lies between the two.
fn from_delivery(after: &Cursor) -> String {
    let id = &after.id;
    if after.number.is_some() { format!("{id}0") } else { id.clone() }
}

fn is_after(attempt: &attempt::Model, after: &Cursor) -> bool {
    attempt.delivery_id != after.id || after.number.is_some_and(|number| attempt.number < number)
}

fn with_deliveries(attempts: Vec<attempt::Model>, deliveries: Vec<delivery::Model>) -> Vec<ListedAttempt> {
    let deliveries: HashMap<_, _> = deliveries.into_iter().map(|one| (one.id.clone(), one)).collect();
    let with = |attempt: attempt::Model| {
        let delivery = deliveries.get(&attempt.delivery_id)?.clone();
        Some(ListedAttempt { attempt, delivery })
    };
    attempts.into_iter().filter_map(with).collect()
}

fn no_message() -> AppError {
    AppError::not_found("there is no message with this id; list the messages to see their ids")
}

use platform::{AppError, AppResult, db::Db};
use tokio::sync::{mpsc, oneshot};

use crate::store::message;

/// One statement looks up at most so many.
const BATCH: usize = 512;

/// Asks the store whether messages are known, many with one statement: what waited on the bus comes in crowds.
#[derive(Clone)]
pub(super) struct Lookups(mpsc::UnboundedSender<Question>);

struct Question {
    message_id: String,
    answer: oneshot::Sender<bool>,
}

impl Lookups {
    /// Who asks waits for the answer, so the consumers bound what is asked. Ends with the last of those who can ask.
    pub(super) fn start(db: Db) -> Self {
        let (questions, asked) = mpsc::unbounded_channel();
        tokio::spawn(answer(db, asked));
        Self(questions)
    }

    pub(super) async fn is_known(&self, message_id: &str) -> AppResult<bool> {
        let (answer, told) = oneshot::channel();
        let away = || AppError::unavailable("the store could not be asked");
        self.0.send(Question { message_id: message_id.to_owned(), answer }).map_err(|_| away())?;
        told.await.map_err(|_| away())
    }
}

async fn answer(db: Db, mut asked: mpsc::UnboundedReceiver<Question>) {
    let mut batch = Vec::new();
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        let ids: Vec<String> = batch.iter().map(|question| question.message_id.clone()).collect();
        match message::list_known(db.read(), &ids).await {
            Ok(known) => batch.drain(..).for_each(|question| {
                let is_known = known.contains(&question.message_id);
                // An error means that nobody waits any more.
                let _ = question.answer.send(is_known);
            }),
            Err(error) => {
                tracing::warn!(%error, "the store could not be asked what was told");
                batch.clear();
            }
        }
    }
}

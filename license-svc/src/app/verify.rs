use platform::{AppError, AppResult, db::Tx};
use wire::license_key::LicenseKey;

use super::{App, keyring::Statement};
use crate::{
    domain::verify::{self, Code, Decision, Facts, Question},
    store::{licenses, licenses::Subject, seats},
};

/// A question, checked, its instance opened.
pub(crate) struct Asked {
    pub(crate) key: LicenseKey,
    pub(crate) marketplace_id: String,
    pub(crate) instance_id: String,
    pub(crate) version: Option<String>,
    pub(crate) nonce: Option<String>,
    /// The instance asks with its own key.
    pub(crate) may_take_seat: bool,
}

/// The answer.
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    /// Only where the key exists and is for that app.
    pub(crate) facts: Option<Facts>,
    /// Proves the answer offline. `sub` is empty where there is no licence to name.
    pub(crate) token: String,
    pub(crate) checked_at_ms: i64,
    pub(crate) asked: Asked,
}

impl App {
    /// Answers a question about a licence; seats the asking instance where it may (contracts.md section 5).
    /// One query where it holds its seat already, which is nearly always.
    pub(crate) async fn verify(&self, asked: Asked) -> AppResult<Answer> {
        let now_ms = self.clock.now_ms();
        let subject = self.subject(&asked);
        let mut facts = licenses::find_facts(self.db.read(), subject).await?;
        let mut decision = verify::decide(facts.as_ref(), question(&asked), now_ms);
        if decision.takes_seat {
            (facts, decision) = self.take_seat(&asked, now_ms).await?;
        }
        self.meters.verified(decision.code);
        Ok(self.answer(asked, facts, decision, now_ms))
    }

    /// Decides once more while holding the licence, so that racing calls can never pass its seats.
    async fn take_seat(&self, asked: &Asked, now_ms: i64) -> AppResult<(Option<Facts>, Decision)> {
        let tx = self.db.begin().await?;
        let subject = self.subject(asked);
        licenses::lock_license_of_key(&*tx, subject.key_hash).await?;
        let facts = licenses::find_facts(&*tx, subject).await?;
        let decision = verify::decide(facts.as_ref(), question(asked), now_ms);
        match facts {
            Some(facts) if decision.takes_seat => {
                let facts = self.save_seat(&tx, facts, &asked.instance_id, now_ms).await?;
                tx.commit().await?;
                self.meters.seats_taken.increment(1);
                Ok((Some(facts), decision))
            }
            facts => Ok((facts, decision)),
        }
    }

    async fn save_seat(&self, tx: &Tx, facts: Facts, instance_id: &str, now_ms: i64) -> AppResult<Facts> {
        seats::create_seat(&**tx, &facts.license.id, instance_id, now_ms).await?;
        self.announce_change(tx, &facts.license).await?;
        Ok(Facts { seats_used: facts.seats_used + 1, holds_seat: true, ..facts })
    }

    fn subject<'a>(&self, asked: &'a Asked) -> Subject<'a> {
        Subject {
            key_hash: self.keyring.hash(&asked.key),
            instance_id: &asked.instance_id,
            version: asked.version.as_deref(),
        }
    }

    fn answer(&self, asked: Asked, facts: Option<Facts>, decision: Decision, now_ms: i64) -> Answer {
        let facts = facts.filter(|_| decision.code != Code::ProductMismatch);
        let statement = Statement {
            license_id: facts.as_ref().map_or("", |facts| &facts.license.id),
            marketplace_id: &asked.marketplace_id,
            instance_id: &asked.instance_id,
            code: decision.code.as_str(),
            nonce: asked.nonce.as_deref(),
        };
        let token = self.keyring.sign(&statement, now_ms.div_euclid(1000));
        Answer { decision, facts, token, checked_at_ms: now_ms, asked }
    }
}

fn question(asked: &Asked) -> Question<'_> {
    Question { marketplace_id: &asked.marketplace_id, may_take_seat: asked.may_take_seat }
}

/// Reads a licence key as a person types it. Its message tells a typing error from an unknown key, and holds nothing
/// of what was typed.
pub(crate) fn license_key(text: &str) -> AppResult<LicenseKey> {
    text.parse().map_err(|error: wire::license_key::LicenseKeyError| AppError::invalid(error.to_string()))
}

//! What the operator does to licences during the run: suspends, reinstates, revokes them.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant as Moment, sleep, sleep_until},
};

use crate::{
    load::{PATIENCE, PAUSE, answered},
    stage::Stage,
};

/// So many licences are acted on at once.
const AT_ONCE: usize = 8;

/// What can be done to a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// It rests.
    Suspend,
    /// It stands again.
    Reinstate,
    /// It has ended.
    Revoke,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Suspend, Self::Reinstate, Self::Revoke];

    /// What its shop is told then, where it asked for that (contracts.md section 3).
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Suspend => "license-suspended",
            Self::Reinstate => "license-reinstated",
            Self::Revoke => "license-revoked",
        }
    }

    /// How the licence stands then.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Reinstate => "active",
            Self::Revoke => "revoked",
        }
    }

    /// What a check of it answers then (contracts.md section 5).
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Suspend => "SUSPENDED",
            Self::Reinstate => "VALID",
            Self::Revoke => "REVOKED",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Suspend => "suspend",
            Self::Reinstate => "reinstate",
            Self::Revoke => "revoke",
        })
    }
}

/// What is planned for one licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// When it is sold, since the run began.
    pub at: Duration,
    /// To which shop.
    pub shop: usize,
    /// Of which app.
    pub app: usize,
    /// What is done to it once it is there, each after a while in which it is left alone.
    pub acts: Vec<(Duration, Act)>,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, shop, app, acts } = self;
        write!(formatter, "{:7.2} s  the licence of app-{app} in shop-{shop}:", at.as_secs_f64())?;
        acts.iter()
            .try_for_each(|(pause, act)| write!(formatter, " {act} after {:.2} s", pause.as_secs_f64()))
    }
}

/// What was done to one licence.
#[derive(Debug, Clone)]
pub struct Handled {
    /// Whose it is.
    pub shop: usize,
    /// Of which app.
    pub app: String,
    /// `lic_…`
    pub license_id: String,
    /// What was done, in that order, and the reason that was given, by which it is known again.
    pub acts: Vec<(Act, String)>,
    /// Not everything that was planned: an act whose answer did not come is the last one. It is repeated until it is
    /// known to have been done; what still comes of a repetition is refused, unless something else has followed.
    pub cut_short: bool,
}

/// All that the operator did.
#[derive(Debug, Default)]
pub struct Acts {
    /// By licence.
    pub handled: Vec<Handled>,
    /// Answers that no outage explains.
    pub surprises: Vec<String>,
}

impl Acts {
    /// How many acts there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.handled.iter().map(|one| one.acts.len()).sum()
    }
}

/// Begins each case when its sale does; returns when the last act is known to have been done.
pub async fn act_on_all(stage: &Arc<Stage>, cases: Vec<Case>, begun: Moment) -> anyhow::Result<Acts> {
    let (mut running, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for case in cases {
        sleep_until(begun + case.at).await;
        let (stage, place) = (Arc::clone(stage), Arc::clone(&room).acquire_owned().await?);
        running.spawn(async move {
            let _place = place;
            handle(&stage, case).await
        });
    }
    let mut acts = Acts::default();
    while let Some(done) = running.join_next().await {
        match done? {
            Ok(handled) => acts.handled.push(handled),
            Err(error) => acts.surprises.push(format!("{error:#}")),
        }
    }
    Ok(acts)
}

async fn handle(stage: &Stage, case: Case) -> anyhow::Result<Handled> {
    let (shop, app) = (case.shop, stage.apps[case.app].clone());
    let license_id = license_of(stage, shop, &app).await?;
    let planned = case.acts.len();
    let (mut acts, mut at_once) = (Vec::with_capacity(planned), true);
    for (number, (pause, act)) in case.acts.into_iter().enumerate() {
        sleep(pause).await;
        let reason = format!("{} of {planned}: {act}", number + 1);
        at_once = do_it(stage, &license_id, act, &reason).await?;
        acts.push((act, reason));
        if !at_once {
            break;
        }
    }
    let cut_short = !at_once && acts.len() < planned;
    Ok(Handled { shop, app, license_id, acts, cut_short })
}

/// Waits for the licence.
async fn license_of(stage: &Stage, shop: usize, app: &str) -> anyhow::Result<String> {
    let (caller, instance_id) = (stage.admin.caller(), stage.outlets[shop].shop.id());
    let query = [("instance_id", instance_id), ("marketplace_id", app)];
    let give_up = Moment::now() + PATIENCE;
    loop {
        let answered = answered(|| caller.query("/admin/licenses", &query)).await?;
        if let Some(id) = answered.reply.ok()?["licenses"][0]["id"].as_str() {
            return Ok(id.to_owned());
        }
        ensure!(Moment::now() < give_up, "shop-{shop} has no licence of {app}");
        sleep(PAUSE).await;
    }
}

/// Acts until that is known to have been done; whether the first answer told it.
async fn do_it(stage: &Stage, license_id: &str, act: Act, reason: &str) -> anyhow::Result<bool> {
    let (caller, path) = (stage.admin.caller(), format!("/admin/licenses/{license_id}"));
    let (order, body) = (format!("{path}/{act}"), json!({ "reason": reason }));
    let answered_act = answered(|| caller.post(&order, &body)).await.context("an act had no answer")?;
    let Err(refusal) = answered_act.reply.success() else { return Ok(answered_act.at_once) };
    // One that had no answer may have come through.
    let license = answered(|| caller.get(&path)).await?.reply.ok()?;
    if is_done(&license, act, reason) { Ok(false) } else { Err(refusal) }
}

/// Whether a licence stands as this act has left it.
#[must_use]
pub fn is_done(license: &Value, act: Act, reason: &str) -> bool {
    license["status"] == act.status() && license["reason"] == reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_known_again_by_its_reason() {
        let license = json!({ "status": "suspended", "reason": "1 of 2: suspend" });
        assert!(is_done(&license, Act::Suspend, "1 of 2: suspend"));
        assert!(!is_done(&license, Act::Suspend, "2 of 2: suspend"));
        assert!(!is_done(&license, Act::Revoke, "1 of 2: suspend"));
    }
}

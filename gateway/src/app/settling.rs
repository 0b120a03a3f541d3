//! Holds an answer until an installation has settled, for callers that prefer to wait (contracts.md section 2).

use std::time::Duration;

use platform::Principal;
use proto::license::Installation;
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::App;
use crate::domain::installation::is_settled;

/// Read again after this long, should the event of a change be lost.
const NET: Duration = Duration::from_secs(2);
/// Changes that one waiting caller may be behind; past that it reads again.
const BEHIND_AT_MOST: usize = 1_024;

/// Tells those who wait that installations changed.
pub(super) struct InstallationChanges(Sender<Change>);

#[derive(Clone)]
enum Change {
    Of(String),
    Missed,
}

impl InstallationChanges {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(BEHIND_AT_MOST).0)
    }

    /// To be taken before the change is asked for: what is told from then on is seen.
    pub(super) fn follow(&self) -> Following {
        Following(self.0.subscribe())
    }

    /// An installation changed. Nobody may be waiting.
    pub(super) fn changed(&self, installation_id: String) {
        drop(self.0.send(Change::Of(installation_id)));
    }

    /// Changes may have been missed.
    pub(super) fn missed(&self) {
        drop(self.0.send(Change::Missed));
    }
}

/// The changes that one caller sees.
pub(super) struct Following(Receiver<Change>);

impl Following {
    /// Returns once this installation may have changed.
    async fn change_of(&mut self, installation_id: &str) {
        while let Ok(Change::Of(changed)) = self.0.recv().await {
            if changed == installation_id {
                return;
            }
        }
    }
}

impl App {
    /// The installation as it is once it has settled, or when the time is over, or when this process must end.
    pub(super) async fn settled(
        &self,
        principal: &Principal,
        begun: Installation,
        changes: Following,
        at_most: Duration,
    ) -> Installation {
        let mut latest = begun;
        let settling = tokio::time::timeout(at_most, self.follow(principal, &mut latest, changes));
        // However it ends, `latest` is what is known then.
        let _ = self.shutdown.run_until_cancelled(settling).await;
        latest
    }

    /// Keeps `latest` up to date until it is settled. What was accepted is not lost by a service that is away: a
    /// reading that fails is made again.
    async fn follow(&self, principal: &Principal, latest: &mut Installation, mut changes: Following) {
        while !is_settled(latest) {
            let _ = tokio::time::timeout(NET, changes.change_of(&latest.installation_id)).await;
            if let Ok(read) = self.read_installation(principal, &latest.installation_id).await {
                *latest = read;
            }
        }
    }

    pub(super) fn installation_changed(&self, installation_id: String) {
        self.installation_changes.changed(installation_id);
    }

    pub(super) fn installation_changes_missed(&self) {
        self.installation_changes.missed();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn is_told(following: &mut Following) -> bool {
        following.change_of("itn_1").now_or_never().is_some()
    }

    #[test]
    fn a_follower_is_told_at_once_of_its_own_installation_and_of_no_other() {
        let changes = InstallationChanges::new();
        let mut following = changes.follow();
        assert!(!is_told(&mut following));
        changes.changed("itn_2".to_owned());
        assert!(!is_told(&mut following));
        changes.changed("itn_1".to_owned());
        assert!(is_told(&mut following));
        assert!(!is_told(&mut following), "one change is told once");
    }

    #[test]
    fn every_follower_is_told_of_a_change_between_its_question_and_its_wait() {
        let changes = InstallationChanges::new();
        let (mut one, mut other) = (changes.follow(), changes.follow());
        changes.changed("itn_1".to_owned());
        assert!(is_told(&mut one) && is_told(&mut other));
        assert!(!is_told(&mut changes.follow()), "what was told before it followed is not its change");
    }

    #[test]
    fn who_may_have_missed_a_change_reads_again() {
        let changes = InstallationChanges::new();
        let mut following = changes.follow();
        changes.missed();
        assert!(is_told(&mut following));
    }

    #[test]
    fn who_is_too_far_behind_reads_again() {
        let changes = InstallationChanges::new();
        let mut following = changes.follow();
        for _ in 0..=BEHIND_AT_MOST {
            changes.changed("itn_2".to_owned());
        }
        assert!(is_told(&mut following));
    }
}

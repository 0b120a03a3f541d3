use platform::{AppError, AppResult, Code, Principal, secret};
use proto::license::{KeyKind, ResolveKeyRequest};

use super::{App, services::answer};

/// Who a key speaks for, and until when where its end is set.
#[derive(Clone)]
pub(super) struct KeyHolder {
    principal: Principal,
    expires_at_ms: Option<i64>,
}

impl KeyHolder {
    fn lives_at(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_none_or(|end_ms| now_ms < end_ms)
    }
}

impl App {
    /// The principal of an admin key; compared in constant time with each of the operator's keys.
    pub(crate) fn operator(&self, key: &str) -> AppResult<Principal> {
        let given = secret::Secret::new(key);
        let matches = self.admin_keys.iter().filter(|known| **known == given).count();
        if matches == 0 {
            return Err(AppError::unauthorized(
                "this admin key is not known; use one of the operator's keys (ak_…)",
            ));
        }
        Ok(Principal::Operator)
    }

    /// Who a `pk_…` or `sk_…` key speaks for.
    pub(crate) async fn principal_of(&self, key: &str) -> AppResult<Principal> {
        let hash = secret::hash(key);
        if let Some(holder) = self.keys.find(&hash)
            && holder.lives_at(self.clock.now_ms())
        {
            return Ok(holder.principal);
        }
        let seen = self.keys.seen();
        let question = ResolveKeyRequest { key_hash: hash.to_vec() };
        let question = self.services.request(&Principal::Anonymous, question)?;
        let resolved = answer(self.services.instances().resolve_key(question).await).map_err(unknown_key)?;
        let instance_id = resolved.instance_id.clone();
        let principal = match resolved.kind() {
            KeyKind::Publishable => Principal::Instance(resolved.instance_id),
            KeyKind::Secret => Principal::InstanceAdmin(resolved.instance_id),
            KeyKind::Shared => Principal::Shared,
            KeyKind::Unspecified => return Err(AppError::unexpected("a key of no kind")),
        };
        let holder = KeyHolder { principal: principal.clone(), expires_at_ms: resolved.expires_at_ms };
        self.keys.keep(hash, [instance_id], seen, holder);
        Ok(principal)
    }

    pub(crate) fn forget_keys_of(&self, instance_id: String) {
        self.keys.changed(instance_id);
    }

    pub(super) fn forget_all_keys(&self) {
        self.keys.all_changed();
    }
}

fn unknown_key(error: AppError) -> AppError {
    match error.code() {
        Code::NotFound => AppError::unauthorized(
            "this key is not known or no longer valid; use the key that the marketplace's operator gave to this shop",
        ),
        _ => error,
    }
}

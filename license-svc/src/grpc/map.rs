//! What the domain says, as the contract writes it.

use proto::license as wire;

use crate::{
    app::{Answer, Credentials, OwnLicense, Shown},
    domain::{
        installation::{Installation, LastCallback, State},
        instance::Instance,
        license::License,
        verify::Code,
    },
    store::licenses::Listed,
};

pub(super) fn instance(instance: Instance) -> wire::Instance {
    wire::Instance {
        instance_id: instance.id,
        base_url: instance.base_url,
        shop: instance.shop,
        site_url: instance.site_url,
        api: Some(wire::ShopApi {
            base_url: instance.api.base_url,
            min_version: instance.api.min_version.cast_unsigned(),
            max_version: instance.api.max_version.cast_unsigned(),
        }),
        publishable_key: instance.publishable_key,
        disabled: instance.disabled,
        created_at_ms: instance.created_at_ms,
    }
}

pub(super) fn credentials(credentials: Credentials) -> wire::InstanceCredentials {
    let text = |secret: platform::secret::Secret| secret.expose().to_owned();
    wire::InstanceCredentials {
        instance: Some(instance(credentials.instance)),
        secret_key: credentials.secret_key.map(text),
        webhook_secret: credentials.webhook_secret.map(text),
    }
}

fn license(license: License, seats_used: i64) -> wire::License {
    wire::License {
        license_id: license.id,
        status: license.status.as_str().to_owned(),
        marketplace_id: license.marketplace_id,
        issued_at_ms: license.issued_at_ms,
        expires_at_ms: license.expires_at_ms,
        updates_until_ms: license.updates_until_ms,
        seats: license.seats.cast_unsigned(),
        seats_used: u32::try_from(seats_used).unwrap_or(u32::MAX),
        instance_id: license.instance_id,
        order_id: license.order_id,
        version: license.version,
        license_key: None,
        reason: license.reason,
    }
}

pub(super) fn listed(listed: Listed) -> wire::License {
    license(listed.license, listed.seats_used)
}

pub(super) fn own_license(own: OwnLicense) -> wire::License {
    wire::License { license_key: Some(own.key.expose().to_owned()), ..license(own.license, own.seats_used) }
}

/// What a stranger with the key may see of a licence (contracts.md section 5): not who bought it, nor why it rests.
fn shown(shown: License, seats_used: i64) -> wire::License {
    wire::License {
        instance_id: String::new(),
        order_id: String::new(),
        version: String::new(),
        reason: None,
        ..license(shown, seats_used)
    }
}

pub(super) fn answer(answer: Answer) -> wire::VerifyResponse {
    let holds_seat = answer.facts.as_ref().is_some_and(|facts| facts.holds_seat);
    let code = answer.decision.code;
    wire::VerifyResponse {
        valid: code == Code::Valid,
        code: code.as_str().to_owned(),
        detail: code.detail().to_owned(),
        license: answer.facts.map(|facts| shown(facts.license, facts.seats_used)),
        grace_until_ms: answer.decision.grace_until_ms,
        token: answer.token,
        checked_at_ms: answer.checked_at_ms,
        nonce: answer.asked.nonce,
        holds_seat,
        instance_id: answer.asked.instance_id,
    }
}

pub(super) fn installation(shown: Shown) -> wire::Installation {
    let Shown { installation, shop, access } = shown;
    let target_version = match &installation.state {
        State::Updating(updating) => Some(updating.target.edition.version.to_string()),
        _ => None,
    };
    wire::Installation {
        installation_id: installation.id,
        instance_id: installation.instance_id,
        shop,
        marketplace_id: installation.marketplace_id,
        kind: installation.kind.as_str().to_owned(),
        version: installation.edition.version.to_string(),
        state: installation.state.as_str().to_owned(),
        permissions: installation.edition.permissions.into_names(),
        target_version,
        access: access.as_str().to_owned(),
        last_callback: installation.last_callback.map(callback_outcome),
        created_at_ms: installation.created_at_ms,
        updated_at_ms: installation.updated_at_ms,
    }
}

fn callback_outcome(last: LastCallback) -> wire::CallbackOutcome {
    wire::CallbackOutcome {
        operation: last.operation.as_str().to_owned(),
        outcome: last.outcome.as_str().to_owned(),
        status: last.status,
        attempts: last.attempts,
        settled_at_ms: last.settled_at_ms,
    }
}

/// Of a key that may be used.
pub(super) fn introspection(installation: Installation) -> wire::Introspection {
    wire::Introspection {
        active: true,
        installation_id: installation.id,
        marketplace_id: installation.marketplace_id,
        version: installation.edition.version.to_string(),
        permissions: installation.edition.permissions.into_names(),
    }
}

pub(super) fn version_count((version, installations): (String, i64)) -> wire::VersionCount {
    wire::VersionCount { version, installations: u32::try_from(installations).unwrap_or(u32::MAX) }
}

pub(super) fn count(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

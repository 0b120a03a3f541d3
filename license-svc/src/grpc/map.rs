//! What the domain says, as the contract writes it.

use proto::license as wire;

use crate::{
    app::{Answer, Credentials, OwnLicense},
    domain::{instance::Instance, license::License, verify::Code},
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

pub(super) fn count(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

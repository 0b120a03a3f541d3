//! For whom a service acts.

use std::{fmt, str::FromStr};

use crate::{AppError, AppResult};

/// The principal of a request. The gateway establishes it, the service enforces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody known: only what needs no key.
    Anonymous,
    /// A publishable key that belongs to no single instance.
    Shared,
    /// A shop, by its publishable key: it reads.
    Instance(String),
    /// A shop's administrator, by its secret key: it manages.
    InstanceAdmin(String),
    /// A vendor, by its secret key.
    Vendor(String),
    /// The operator of this marketplace.
    Operator,
}

impl Principal {
    /// The instance that speaks, by either of its keys.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        match self {
            Self::Instance(id) | Self::InstanceAdmin(id) => Some(id),
            _ => None,
        }
    }

    /// Refuses all but the operator.
    pub fn require_operator(&self) -> AppResult<()> {
        match self {
            Self::Operator => Ok(()),
            _ => Err(AppError::not_allowed("only the operator may do this; use an admin key (ak_…)")),
        }
    }

    /// Refuses all but a shop's administrator; the id of the shop.
    pub fn require_instance_admin(&self) -> AppResult<&str> {
        match self {
            Self::InstanceAdmin(id) => Ok(id),
            _ => Err(AppError::not_allowed("only the shop itself may do this; use its secret key (sk_…)")),
        }
    }

    /// Refuses all but a vendor; the id of the vendor.
    pub fn require_vendor(&self) -> AppResult<&str> {
        match self {
            Self::Vendor(id) => Ok(id),
            _ => Err(AppError::not_allowed("only a vendor may do this; use its secret key (vk_…)")),
        }
    }

    /// Refuses a shop that names another; anybody else may name any.
    pub fn require_may_name(&self, instance_id: &str) -> AppResult<()> {
        match self.instance_id() {
            Some(own) if own != instance_id => Err(AppError::not_allowed(
                "this key belongs to another instance; name the key's own instance_id",
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Shared => f.write_str("shared"),
            Self::Instance(id) => write!(f, "instance:{id}"),
            Self::InstanceAdmin(id) => write!(f, "instance-admin:{id}"),
            Self::Vendor(id) => write!(f, "vendor:{id}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for Principal {
    type Err = AppError;

    fn from_str(text: &str) -> AppResult<Self> {
        match text.split_once(':') {
            None if text == "anonymous" => Ok(Self::Anonymous),
            None if text == "shared" => Ok(Self::Shared),
            None if text == "operator" => Ok(Self::Operator),
            Some(("instance", id)) => Ok(Self::Instance(id.to_owned())),
            Some(("instance-admin", id)) => Ok(Self::InstanceAdmin(id.to_owned())),
            Some(("vendor", id)) => Ok(Self::Vendor(id.to_owned())),
            _ => Err(AppError::unauthorized("the principal of the call is not of a known form")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_survives_its_text() {
        let all = [
            Principal::Anonymous,
            Principal::Shared,
            Principal::Instance("inst_1".into()),
            Principal::InstanceAdmin("inst_1".into()),
            Principal::Vendor("vnd_1".into()),
            Principal::Operator,
        ];
        for principal in all {
            assert_eq!(principal.to_string().parse::<Principal>().unwrap(), principal);
        }
        assert!("root".parse::<Principal>().is_err());
    }

    #[test]
    fn a_vendor_is_nobody_else() {
        assert_eq!(Principal::Vendor("vnd_1".into()).require_vendor().unwrap(), "vnd_1");
        for other in [Principal::Operator, Principal::Anonymous, Principal::InstanceAdmin("vnd_1".into())] {
            assert!(other.require_vendor().is_err());
        }
    }

    #[test]
    fn a_shop_may_name_only_itself() {
        let shop = Principal::Instance("inst_1".into());
        assert!(shop.require_may_name("inst_1").is_ok());
        assert!(shop.require_may_name("inst_2").is_err());
        assert!(Principal::Shared.require_may_name("inst_2").is_ok());
    }
}

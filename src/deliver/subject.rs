//! Who is asking.

use std::sync::Arc;

/// The role that may do what the operator may, from anywhere.
pub const ROLE_ADMIN: &str = "admin";

/// The local operator's name; the config refuses it for others.
pub const OPERATOR: &str = "operator";

/// A caller that proved who it is. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub name: Arc<str>,
    pub roles: Arc<[String]>,
    pub origin: Origin,
}

/// How it proved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It could read the operator's token file on this machine.
    Operator,
    /// A token whose hash is in the config.
    Configured,
    /// It is a target of the config, and asks for itself.
    Target,
}

impl Subject {
    pub fn operator() -> Self {
        Self { name: OPERATOR.into(), roles: [ROLE_ADMIN.to_owned()].into(), origin: Origin::Operator }
    }

    pub fn configured(name: &str, roles: &[String]) -> Self {
        Self { name: name.into(), roles: roles.into(), origin: Origin::Configured }
    }

    pub fn target(name: &str, roles: &[String]) -> Self {
        Self { name: name.into(), roles: roles.into(), origin: Origin::Target }
    }

    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    pub fn administers(&self) -> bool {
        self.origin == Origin::Operator || self.has_role(ROLE_ADMIN)
    }
}

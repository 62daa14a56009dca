//! Who may call what, by role.

use crate::auth::Identity;
use crate::fault::Fault;

/// A role of a project, as Keystone names them. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads what the project has: `reader`.
    Reader,
    /// Changes what the project has: `member`.
    Member,
    /// Reads and changes everything: `admin`.
    Admin,
}

impl Role {
    /// The role of this name; none for one that counts for nothing here.
    pub fn named(name: &str) -> Option<Role> {
        match name {
            "admin" => Some(Role::Admin),
            // Nova's old rule: who has any role in a project may use it.
            "member" | "_member_" | "Member" => Some(Role::Member),
            "reader" => Some(Role::Reader),
            _ => None,
        }
    }
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Everybody, without a token.
    Public,
    /// Who has this role or one above it.
    Needs(Role),
}

impl Policy {
    pub(crate) const READER: Policy = Policy::Needs(Role::Reader);
    pub(crate) const MEMBER: Policy = Policy::Needs(Role::Member);
    pub(crate) const ADMIN: Policy = Policy::Needs(Role::Admin);

    /// Refuses who may not.
    pub(crate) fn check(self, who: &Identity, operation: &str) -> Result<(), Fault> {
        match self {
            Policy::Needs(role) if who.role.is_none_or(|has| has < role) => {
                Err(Fault::forbidden(format!("Policy doesn't allow {operation} to be performed.")))
            }
            _ => Ok(()),
        }
    }
}

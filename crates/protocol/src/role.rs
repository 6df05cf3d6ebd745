//! Permissions in a word, and changes of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::grant::{Grants, MemberLimits};

/// What somebody is in a room, in a word: the most of what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Role {
    /// Moderates, and may do everything else.
    Host,
    /// Publishes, receives and writes.
    Speaker,
    /// Receives and writes.
    Listener,
    /// Only writes.
    MessageOnly,
    /// Nothing at all.
    None,
}

impl Role {
    /// What this role may do, without limits.
    #[must_use]
    pub fn grants(self) -> Grants {
        let none = Grants { publish: false, subscribe: false, chat: false, ..Grants::ALL };
        match self {
            Self::Host => Grants { admin: true, ..Grants::ALL },
            Self::Speaker => Grants::ALL,
            Self::Listener => Grants { publish: false, ..Grants::ALL },
            Self::MessageOnly => Grants { chat: true, ..none },
            Self::None => none,
        }
    }

    /// The role that comes nearest to what somebody may do.
    #[must_use]
    pub fn of(grants: &Grants) -> Self {
        match grants {
            Grants { admin: true, .. } => Self::Host,
            Grants { publish: true, .. } => Self::Speaker,
            Grants { subscribe: true, .. } => Self::Listener,
            Grants { chat: true, .. } => Self::MessageOnly,
            _ => Self::None,
        }
    }
}

/// Changes of what a member may do. What is absent stays; a role first, then what is named beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct GrantsChange {
    /// Everything a role may do, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// May publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// May receive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<bool>,
    /// May write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
    /// May moderate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// All limits from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<MemberLimits>,
}

impl GrantsChange {
    /// The changes laid over what a member may do.
    #[must_use]
    pub fn over(&self, grants: &Grants) -> Grants {
        let base = match self.role {
            Some(role) => Grants { limits: grants.limits, ..role.grants() },
            None => *grants,
        };
        Grants {
            publish: self.publish.unwrap_or(base.publish),
            subscribe: self.subscribe.unwrap_or(base.subscribe),
            chat: self.chat.unwrap_or(base.chat),
            admin: self.admin.unwrap_or(base.admin),
            limits: self.limits.unwrap_or(base.limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_what_one_may_and_back() {
        for role in [Role::Host, Role::Speaker, Role::Listener, Role::MessageOnly, Role::None] {
            assert_eq!(Role::of(&role.grants()), role);
        }
    }

    #[test]
    fn a_change_names_a_role_and_exceptions_from_it() {
        let change: GrantsChange = serde_json::from_str(r#"{"role":"listener","chat":false}"#).unwrap();
        let grants = change.over(&Role::Host.grants());
        assert_eq!((grants.publish, grants.subscribe, grants.chat, grants.admin), (false, true, false, false));
        let grants = GrantsChange { publish: Some(false), ..GrantsChange::default() }.over(&Role::Host.grants());
        assert!(grants.admin && !grants.publish, "the rest stays");
    }
}

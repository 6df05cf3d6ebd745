//! Permissions in a word, and changes of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::grant::{Grants, MemberLimits};

/// What somebody is in a room, in a word: a preset of [`Grants`], and the most of what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// Does everything, and moderates.
    Host,
    /// Sees, hears, is seen and heard, writes.
    Speaker,
    /// Sees and hears, and may write.
    Listener,
    /// Writes, and neither sees nor hears nor is seen or heard.
    #[serde(alias = "messageOnly")]
    MessageOnly,
    /// Does nothing at all.
    None,
}

impl Role {
    /// Every role that somebody can be given.
    pub const ALL: [Self; 4] = [Self::Host, Self::Speaker, Self::Listener, Self::MessageOnly];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Speaker => "speaker",
            Self::Listener => "listener",
            Self::MessageOnly => "message-only",
            Self::None => "none",
        }
    }

    /// The role that comes nearest to what somebody may do.
    #[must_use]
    pub fn nearest(grants: &Grants) -> Self {
        match grants {
            Grants { admin: true, .. } => Self::Host,
            Grants { publish: true, .. } => Self::Speaker,
            Grants { subscribe: true, .. } => Self::Listener,
            Grants { chat: true, .. } => Self::MessageOnly,
            _ => Self::None,
        }
    }
}

impl Grants {
    /// What a role may do, without limits.
    #[must_use]
    pub fn of(role: Role) -> Self {
        match role {
            Role::Host => Self { admin: true, update_own_metadata: true, ..Self::ALL },
            Role::Speaker => Self::ALL,
            Role::Listener => Self { publish: false, data: false, ..Self::ALL },
            Role::MessageOnly => Self { publish: false, subscribe: false, ..Self::ALL },
            Role::None => Self { publish: false, subscribe: false, chat: false, data: false, ..Self::ALL },
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
    /// May publish data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<bool>,
    /// May moderate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// May change what others see of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_own_metadata: Option<bool>,
    /// All limits from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<MemberLimits>,
}

impl GrantsChange {
    /// The changes laid over what a member may do.
    #[must_use]
    pub fn over(&self, grants: &Grants) -> Grants {
        let base = match self.role {
            // Whether it is hidden or a recorder is not what a role is about.
            Some(role) => {
                Grants { limits: grants.limits, hidden: grants.hidden, recorder: grants.recorder, ..Grants::of(role) }
            }
            None => grants.clone(),
        };
        Grants {
            publish: self.publish.unwrap_or(base.publish),
            subscribe: self.subscribe.unwrap_or(base.subscribe),
            chat: self.chat.unwrap_or(base.chat),
            data: self.data.unwrap_or(base.data),
            admin: self.admin.unwrap_or(base.admin),
            update_own_metadata: self.update_own_metadata.unwrap_or(base.update_own_metadata),
            limits: self.limits.unwrap_or(base.limits),
            ..base
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_presets() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(Role::nearest(&Grants::of(role)), role);
        }
        assert_eq!(Role::nearest(&Grants::of(Role::None)), Role::None);
        assert_eq!(serde_json::from_str::<Role>("\"messageOnly\"").unwrap(), Role::MessageOnly);
        let of = |role| {
            let grants = Grants::of(role);
            [grants.publish, grants.subscribe, grants.chat, grants.data, grants.admin]
        };
        assert_eq!(of(Role::Host), [true, true, true, true, true]);
        assert_eq!(of(Role::Speaker), [true, true, true, true, false]);
        assert_eq!(of(Role::Listener), [false, true, true, false, false]);
        assert_eq!(of(Role::MessageOnly), [false, false, true, true, false]);
    }

    #[test]
    fn a_change_names_a_role_and_exceptions_from_it() {
        let change: GrantsChange = serde_json::from_str(r#"{"role":"listener","chat":false}"#).unwrap();
        let grants = change.over(&Grants::of(Role::Host));
        assert_eq!((grants.publish, grants.subscribe, grants.chat, grants.admin), (false, true, false, false));
        let grants = GrantsChange { publish: Some(false), ..GrantsChange::default() }.over(&Grants::of(Role::Host));
        assert!(grants.admin && !grants.publish, "the rest stays");
    }
}

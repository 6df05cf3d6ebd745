//! Permissions in a word.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::grant::Grants;

/// What somebody is in a room, as a preset of [`Grants`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
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
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Host, Self::Speaker, Self::Listener, Self::MessageOnly];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Speaker => "speaker",
            Self::Listener => "listener",
            Self::MessageOnly => "message-only",
        }
    }
}

impl Grants {
    /// What a role may do.
    #[must_use]
    pub fn of(role: Role) -> Self {
        match role {
            Role::Host => Self { admin: true, update_own_metadata: true, ..Self::ALL },
            Role::Speaker => Self::ALL,
            Role::Listener => Self { publish: false, data: false, ..Self::ALL },
            Role::MessageOnly => Self { publish: false, subscribe: false, ..Self::ALL },
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
        }
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
}

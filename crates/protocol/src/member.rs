//! What a member shows of itself, and changes of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;

use crate::error::ErrorCode;
use crate::event::{MemberInfo, attribute_bytes};
use crate::limit::{MAX_ATTRIBUTE_KEY_BYTES, MAX_ATTRIBUTES, MAX_ATTRIBUTES_BYTES, MAX_METADATA_BYTES};
use crate::name::{BadName, check_name};

/// Changes of what others see of a member. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct MemberChange {
    /// The name, 1–64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The metadata, at most 4 KiB; null or an empty text takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_null")]
    #[ts(type = "string | null")]
    pub metadata: Option<String>,
    /// Attributes by key. Those not named stay; null or an empty text takes one away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(optional, as = "Option<BTreeMap<String, Option<String>>>")]
    pub attributes: BTreeMap<String, Option<String>>,
}

/// Something that no member can show of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadMember {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The metadata is too long.
    #[error("the metadata is longer than {MAX_METADATA_BYTES} bytes")]
    Metadata,
    /// The attributes.
    #[error(transparent)]
    Attributes(#[from] BadAttributes),
}

/// Why attributes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAttributes {
    /// More than there may be.
    #[error("there are more than {MAX_ATTRIBUTES} attributes")]
    TooMany,
    /// Longer than they may be together.
    #[error("the attributes are longer than {MAX_ATTRIBUTES_BYTES} bytes")]
    TooLong,
    /// A key is empty or too long.
    #[error("the key of an attribute has 1 to {MAX_ATTRIBUTE_KEY_BYTES} bytes")]
    Key,
}

impl BadMember {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::BadName,
            Self::Metadata | Self::Attributes(BadAttributes::TooMany | BadAttributes::TooLong) => {
                ErrorCode::MemberTooLarge
            }
            Self::Attributes(BadAttributes::Key) => ErrorCode::BadAttribute,
        }
    }
}

impl MemberInfo {
    /// Lays changes over what is seen of a member; the version stays.
    ///
    /// # Errors
    /// [`BadMember`] says what of the outcome cannot be.
    pub fn with(&self, change: &MemberChange) -> Result<Self, BadMember> {
        let mut info = self.clone();
        if let Some(name) = &change.name {
            info.name = check_name(name)?.to_owned();
        }
        if let Some(metadata) = &change.metadata {
            info.metadata = Some(metadata.clone()).filter(|metadata| !metadata.is_empty());
        }
        for (key, value) in &change.attributes {
            match value.as_ref().filter(|value| !value.is_empty()) {
                Some(value) => drop(info.attributes.insert(key.clone(), value.clone())),
                None => drop(info.attributes.remove(key)),
            }
        }
        if info.metadata.as_ref().is_some_and(|metadata| metadata.len() > MAX_METADATA_BYTES) {
            return Err(BadMember::Metadata);
        }
        check_attributes(&info.attributes)?;
        Ok(info)
    }
}

/// Checks that attributes are within their bounds.
///
/// # Errors
/// [`BadAttributes`] says which was broken.
pub fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), BadAttributes> {
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(BadAttributes::TooMany);
    }
    if attributes.keys().any(|key| key.is_empty() || key.len() > MAX_ATTRIBUTE_KEY_BYTES) {
        return Err(BadAttributes::Key);
    }
    if attribute_bytes(attributes) > MAX_ATTRIBUTES_BYTES { Err(BadAttributes::TooLong) } else { Ok(()) }
}

/// Reads null as an empty text.
///
/// # Errors
/// As for any text.
pub(crate) fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MemberId;

    fn ann() -> MemberInfo {
        MemberInfo::guest(MemberId::new("ann").unwrap(), "Ann".into())
    }

    fn change(json: &str) -> MemberChange {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_named_stays_and_null_or_nothing_takes_away() {
        let with = |info: &MemberInfo, json: &str| info.with(&change(json)).unwrap();
        let set = with(&ann(), r#"{"name":" Dr Ann ","metadata":"{}","attributes":{"b":"2","a":"1","c":""}}"#);
        assert_eq!((&*set.name, set.metadata.as_deref(), set.version), ("Dr Ann", Some("{}"), 0));
        assert_eq!(serde_json::to_value(&set.attributes).unwrap(), serde_json::json!({"a": "1", "b": "2"}));
        let less = with(&set, r#"{"attributes":{"a":null,"b":"","z":null}}"#);
        assert_eq!((&*less.name, less.metadata.as_deref()), ("Dr Ann", Some("{}")));
        assert!(less.attributes.is_empty());
        assert_eq!(with(&less, r#"{"metadata":null}"#).metadata, None);
        assert_eq!(with(&less, r#"{"metadata":""}"#).metadata, None);
        assert_eq!(with(&less, "{}"), less);
        assert!(serde_json::from_str::<MemberChange>(r#"{"nam":"x"}"#).is_err(), "a slip is told");
    }

    #[test]
    fn what_is_too_much_is_refused_by_its_word() {
        let bytes = |bytes: usize| "x".repeat(bytes);
        let many = |count: usize| {
            let attributes = (0..count).map(|n| (format!("k{n}"), Some("v".to_owned()))).collect();
            MemberChange { attributes, ..MemberChange::default() }
        };
        let one = |key: String, value: String| MemberChange {
            attributes: [(key, Some(value))].into(),
            ..MemberChange::default()
        };
        let metadata = |text: String| MemberChange { metadata: Some(text), ..MemberChange::default() };
        for (change, code) in [
            (metadata(bytes(MAX_METADATA_BYTES + 1)), ErrorCode::MemberTooLarge),
            (many(MAX_ATTRIBUTES + 1), ErrorCode::MemberTooLarge),
            (one("k".into(), bytes(MAX_ATTRIBUTES_BYTES)), ErrorCode::MemberTooLarge),
            (one(String::new(), "v".into()), ErrorCode::BadAttribute),
            (one(bytes(MAX_ATTRIBUTE_KEY_BYTES + 1), "v".into()), ErrorCode::BadAttribute),
            (change(r#"{"name":"  "}"#), ErrorCode::BadName),
        ] {
            assert_eq!(ann().with(&change).map_err(BadMember::code), Err(code), "{change:?}");
        }
        for change in [
            metadata(bytes(MAX_METADATA_BYTES)),
            many(MAX_ATTRIBUTES),
            one("k".into(), bytes(MAX_ATTRIBUTES_BYTES - 1)),
            one(bytes(MAX_ATTRIBUTE_KEY_BYTES), "v".into()),
            one(bytes(MAX_ATTRIBUTE_KEY_BYTES + 1), String::new()),
        ] {
            assert!(ann().with(&change).is_ok(), "{change:?}");
        }
    }

    #[test]
    fn an_update_is_folded_in_once_and_by_whom_it_is_about() {
        let mut known = ann();
        let later = MemberInfo { name: "Bea".into(), version: 2, ..ann() };
        known.follow(&later.updated());
        assert_eq!(known, later);
        known.follow(&MemberInfo { name: "Before".into(), version: 1, ..ann() }.updated());
        assert_eq!(known, later, "one of before");
        known.follow(&MemberInfo { id: MemberId::new("bob").unwrap(), version: 9, ..ann() }.updated());
        assert_eq!(known, later, "one of somebody else");
        assert_eq!(serde_json::to_string(&ann()).unwrap(), r#"{"id":"ann","name":"Ann"}"#);
    }
}

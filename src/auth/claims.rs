//! What a token says: LiveKit's claims, and a few of our own.

use std::collections::BTreeMap;

use roundtable_protocol::Role;
use roundtable_protocol::event::TrackSource;
use roundtable_protocol::grant::{Grants, MemberLimits, Sources};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The claims of a token. Those that are absent say nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// The id of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The identity of its bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// When it ends, in seconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seconds")]
    pub exp: Option<u64>,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "seconds")]
    pub nbf: Option<u64>,
    /// The name others see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What others may know of its bearer besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The same as texts by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// The permissions.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub video: Option<VideoGrant>,
    /// Ours: a preset of permissions, over which those of `video` win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Ours: how much its bearer may receive and publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<MemberLimits>,
    /// Ours: patterns of the topics its bearer may publish data to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

/// LiveKit's `video` claim. A permission that is absent is as the role has it, and without a role it is given; `roomAdmin`
/// and the other ones that say what their bearer is are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoGrant {
    /// The room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// May enter it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_join: Option<bool>,
    /// May open rooms by the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_create: Option<bool>,
    /// May list rooms by the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_list: Option<bool>,
    /// May moderate the room; without a room, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_admin: Option<bool>,
    /// May publish media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May publish data, and write chat unless `can_chat` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// Ours: may write chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_chat: Option<bool>,
    /// The sources media may be published from; an empty list names all, as in LiveKit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_publish_sources: Option<Vec<Source>>,
    /// May change what others see of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Is not shown to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<bool>,
    /// Is a program that records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<bool>,
}

/// A source by LiveKit's word, or by ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person's picture.
    Camera,
    /// A person's voice.
    Microphone,
    /// A shared screen.
    #[serde(alias = "screen")]
    ScreenShare,
    /// The sound of what is shared.
    #[serde(alias = "screenAudio")]
    ScreenShareAudio,
}

impl From<Source> for TrackSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Camera => Self::Camera,
            Source::Microphone => Self::Microphone,
            Source::ScreenShare => Self::Screen,
            Source::ScreenShareAudio => Self::ScreenAudio,
        }
    }
}

impl From<TrackSource> for Source {
    fn from(source: TrackSource) -> Self {
        match source {
            TrackSource::Camera => Self::Camera,
            TrackSource::Microphone => Self::Microphone,
            TrackSource::Screen => Self::ScreenShare,
            TrackSource::ScreenAudio => Self::ScreenShareAudio,
        }
    }
}

impl Claims {
    /// What the bearer may do in the room.
    #[must_use]
    pub fn grants(&self) -> Grants {
        let preset = self.role.map_or(Grants::ALL, Grants::of);
        let none = VideoGrant::default();
        let video = self.video.as_ref().unwrap_or(&none);
        let sources = video.can_publish_sources.as_ref().filter(|sources| !sources.is_empty());
        Grants {
            publish: video.can_publish.unwrap_or(preset.publish),
            sources: sources.map(|sources| sources.iter().copied().map(TrackSource::from).collect::<Sources>()),
            subscribe: video.can_subscribe.unwrap_or(preset.subscribe),
            chat: video.can_chat.or(video.can_publish_data).unwrap_or(preset.chat),
            data: video.can_publish_data.unwrap_or(preset.data),
            topics: self.topics.clone(),
            admin: video.room_admin.unwrap_or(preset.admin),
            hidden: video.hidden.unwrap_or(preset.hidden),
            recorder: video.recorder.unwrap_or(preset.recorder),
            update_own_metadata: video.can_update_own_metadata.unwrap_or(preset.update_own_metadata),
            limits: self.limits.unwrap_or(preset.limits),
        }
    }
}

/// Reads an object of JSON; serde would take a list of its fields as well.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VideoGrant>, D::Error> {
    let object = Map::<String, Value>::deserialize(deserializer)?;
    serde_json::from_value(Value::Object(object)).map(Some).map_err(D::Error::custom)
}

/// Reads a `NumericDate` (RFC 7519 §2), which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    // From a fraction, a number below zero and one that is too large the nearest that can be.
    Ok(Some(seconds as u64))
}

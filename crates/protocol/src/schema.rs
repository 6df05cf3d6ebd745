//! The JSON Schema and the TypeScript of everything on the wire.

use schemars::{JsonSchema, schema_for};
use ts_rs::{Config, TS};

use crate::call::{Call, CallAnswer, CallEvent, CallState};
use crate::chat::{ChatEntry, ChatPage, ChatPlace, PrivateMessage, Reaction};
use crate::data::{DataHeader, DataStamp};
use crate::error::ErrorCode;
use crate::event::{
    ChatMessage, ErrorInfo, Event, EventBody, LeaveReason, MediaKind, MemberInfo, RoomCloseReason, TrackInfo,
    TrackSource,
};
use crate::feed::{EventPage, ServerEvent, ServerEventPage, ServerState, WebhookBody, WebhookData};
use crate::grant::{Grants, MemberLimits, QualityLimits, Sources};
use crate::id::{MemberId, MessageId, RoomId, TrackId};
use crate::member::MemberChange;
use crate::message::{
    ClientMessage, DocSnapshot, DocUpdate, EncodingWish, IceServer, Packing, PublishRequest, PublishedTrack, Resume,
    ResumeTicket, Resumed, ServerMessage, SlotChange, SlotOwner, SubscribeChange, ViewChange, Welcome,
};
use crate::moderation::{Ban, BanKey, Knock, KnockEnd, ModerationAction, ModerationOutcome};
use crate::role::{GrantsChange, Role};
use crate::roster::RosterPage;
use crate::settings::{RoomSettings, SettingsChange};
use crate::state::RoomState;
use crate::stats::{
    ChoiceCause, EncodingFigures, LayerFigures, MemberStats, PathFigures, RoomStats, SlotFigures, TrackFigures,
};

/// The whole protocol as one schema: what a client may send, what it may receive, what a journal holds.
#[derive(JsonSchema)]
#[allow(dead_code)] // Only its shape is used.
#[serde(rename_all = "camelCase")]
struct Protocol {
    client_message: ClientMessage,
    server_message: ServerMessage,
    event: Event,
    room_state: RoomState,
    room_stats: RoomStats,
    roster_page: RosterPage,
    event_page: EventPage,
    server_event_page: ServerEventPage,
    webhook_body: WebhookBody,
    chat_page: ChatPage,
}

/// The JSON Schema (draft 2020-12) of the protocol, as `roundtable schema` prints it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut schema = schema_for!(Protocol);
    schema.insert("title".into(), "Roundtable protocol".into());
    schema.insert("x-protocol-version".into(), crate::PROTOCOL_VERSION.into());
    schema.to_value()
}

/// The TypeScript types of the protocol, the whole text of `web/sdk/src/protocol.ts`.
#[must_use]
pub fn typescript() -> String {
    let config = Config::default();
    let mut text = String::from(
        "// Generated from crates/protocol by `cargo xtask protocol`; a test fails when it is stale. Do not edit.\n\n",
    );
    text.push_str(&format!("export const PROTOCOL_VERSION = {};\n", crate::PROTOCOL_VERSION));
    text.push_str(&format!("export const CHAT_CHANNEL_LABEL = \"{}\";\n", crate::CHAT_CHANNEL_LABEL));
    text.push_str(&format!("export const DATA_CHANNEL_LABEL = \"{}\";\n", crate::DATA_CHANNEL_LABEL));
    text.push_str(&format!("export const LOSSY_CHANNEL_LABEL = \"{}\";\n\n", crate::LOSSY_CHANNEL_LABEL));
    macro_rules! declare {
        ($($t:ty),+ $(,)?) => {$(
            text.push_str("export ");
            text.push_str(&<$t>::decl(&config));
            text.push('\n');
        )+};
    }
    declare!(
        RoomId,
        MemberId,
        TrackId,
        MessageId,
        ErrorCode,
        MediaKind,
        TrackSource,
        LeaveReason,
        RoomCloseReason,
        QualityLimits,
        MemberLimits,
        Role,
        Sources,
        Grants,
        GrantsChange,
        RoomSettings,
        SettingsChange,
        Ban,
        BanKey,
        Knock,
        KnockEnd,
        ModerationAction,
        ModerationOutcome,
        Call,
        CallState,
        CallAnswer,
        CallEvent,
        MemberInfo,
        MemberChange,
        TrackInfo,
        ChatMessage,
        ChatPlace,
        Reaction,
        ChatEntry,
        ChatPage,
        PrivateMessage,
        ErrorInfo,
        EventBody,
        Event,
        RoomState,
        RosterPage,
        EventPage,
        ServerEvent,
        ServerState,
        ServerEventPage,
        WebhookData,
        WebhookBody,
        Resume,
        PublishRequest,
        SubscribeChange,
        ViewChange,
        EncodingWish,
        PathFigures,
        SlotFigures,
        LayerFigures,
        ChoiceCause,
        EncodingFigures,
        TrackFigures,
        MemberStats,
        IceServer,
        PublishedTrack,
        SlotOwner,
        SlotChange,
        ResumeTicket,
        Packing,
        DataHeader,
        DataStamp,
        DocSnapshot,
        DocUpdate,
        Welcome,
        Resumed,
        ClientMessage,
        ServerMessage,
    );
    text
}

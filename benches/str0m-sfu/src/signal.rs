//! Signalling: hello, welcome, offer, answer. What members say later is not read.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{SyncSender, channel};
use std::time::{Duration, Instant};

use mio::Waker;
use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::message::{PublishedTrack, Welcome};
use roundtable_protocol::state::RoomState;
use roundtable_protocol::{ClientMessage, Grants, MemberId, PROTOCOL_VERSION, RoomId, ServerMessage, TrackId};
use str0m::change::SdpOffer;
use str0m::{Candidate, Rtc};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Message, WebSocket};

/// Somebody who has an answer.
pub(crate) struct Newcomer {
    pub(crate) room: String,
    pub(crate) rtc: Rtc,
}

/// Takes one client after the other and keeps their sockets open.
pub(crate) fn listen(listener: &TcpListener, media: SocketAddr, newcomers: &SyncSender<Newcomer>, waker: &Waker) {
    let mut open = Vec::new();
    for (stream, number) in listener.incoming().flatten().zip(1u64..) {
        match welcome(stream, number, media) {
            Ok((socket, newcomer)) => {
                open.push(socket);
                if newcomers.send(newcomer).is_err() || waker.wake().is_err() {
                    return; // The other thread has said why.
                }
            }
            Err(error) => eprintln!("client {number}: {error}"),
        }
    }
}

fn welcome(stream: TcpStream, number: u64, media: SocketAddr) -> io::Result<(WebSocket<TcpStream>, Newcomer)> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (asked, rooms) = channel();
    #[allow(clippy::result_large_err)] // The library's own type.
    let read_room = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let _ = asked.send(request.uri().query().unwrap_or_default().replace("room=", "")); // Read below.
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr(stream, read_room).map_err(io::Error::other)?;
    let room = rooms.recv().map_err(io::Error::other)?;
    loop {
        let Message::Text(text) = socket.read().map_err(io::Error::other)? else { continue };
        let answer = match serde_json::from_str(&text)? {
            ClientMessage::Hello { name, max_seats, .. } => greeting(&room, name, max_seats.unwrap_or(0), number)?,
            ClientMessage::Offer { id, sdp, tracks, fresh: _ } => {
                let mut rtc = Rtc::builder().set_rtp_mode(true).set_ice_lite(true).build(Instant::now());
                rtc.add_local_candidate(Candidate::host(media, "udp").map_err(io::Error::other)?);
                let offer = SdpOffer::from_sdp_string(&sdp).map_err(io::Error::other)?;
                let answer = rtc.sdp_api().accept_offer(offer).map_err(io::Error::other)?;
                let track = |mid: &str| TrackId::new(format!("t{number}-{mid}")).map_err(io::Error::other);
                let tracks: io::Result<_> = tracks
                    .into_iter()
                    .map(|request| Ok(PublishedTrack { track: track(&request.mid)?, mid: request.mid }))
                    .collect();
                say(&mut socket, &ServerMessage::Answer { id, sdp: answer.to_sdp_string(), tracks: tracks? })?;
                return Ok((socket, Newcomer { room, rtc }));
            }
            _ => continue,
        };
        say(&mut socket, &answer)?;
    }
}

fn greeting(room: &str, name: String, seats: u16, number: u64) -> io::Result<ServerMessage> {
    let room = RoomId::new(room).map_err(io::Error::other)?;
    Ok(ServerMessage::Welcome(Box::new(Welcome {
        version: PROTOCOL_VERSION,
        state: RoomState::new(room.clone(), 0),
        room,
        member: MemberInfo::guest(MemberId::new(format!("m{number}")).map_err(io::Error::other)?, name),
        grants: Grants { chat: false, data: false, ..Grants::ALL },
        ice_servers: vec![],
        seats,
        voice_slots: 0,
        silence_timeout_s: 3_600,
        resume: None,
        accepted: vec![],
        media: false,
    })))
}

fn say(socket: &mut WebSocket<TcpStream>, message: &ServerMessage) -> io::Result<()> {
    socket.send(Message::text(serde_json::to_string(message)?)).map_err(io::Error::other)
}

/// How long a client may take to say something while it joins.
const PATIENCE: Duration = Duration::from_secs(10);

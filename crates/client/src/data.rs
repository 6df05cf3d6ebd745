//! Data by topics: the two channels for it, and what came over them or over the WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use roundtable_protocol::data::{DataHeader, DataStamp, parse_frame, write_frame};
use roundtable_protocol::{DATA_CHANNEL_LABEL, LOSSY_CHANNEL_LABEL, ServerMessage};
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::PeerConnection;

use crate::ClientError;

/// Data messages that may wait to be noted; then the channels are not read.
const CAPACITY: usize = 64;

/// Data as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataArrival {
    /// What the server says of it.
    pub stamp: DataStamp,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Whether it came as data that may be lost.
    pub lossy: bool,
}

/// What comes over the data channels, for one task at a time.
pub(crate) type Arrivals = Arc<tokio::sync::Mutex<mpsc::Receiver<Arrival>>>;

/// One message of a data channel.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Data.
    Data(DataArrival),
    /// A refusal.
    Message(ServerMessage),
}

/// One of the two channels.
#[derive(Clone)]
struct Way {
    channel: Arc<dyn DataChannel>,
    open: Arc<AtomicBool>,
}

/// The data channels of a peer connection.
pub(crate) struct DataWays {
    reliable: Way,
    lossy: Way,
    arrivals: Arrivals,
    held: watch::Sender<bool>,
}

impl DataWays {
    /// Makes both channels; before the first offer.
    pub(crate) async fn new(connection: &dyn PeerConnection) -> Result<Self, ClientError> {
        let unreliable = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
        let reliable = connection.create_data_channel(DATA_CHANNEL_LABEL, None).await?;
        let lossy = connection.create_data_channel(LOSSY_CHANNEL_LABEL, Some(unreliable)).await?;
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let held = watch::Sender::new(false);
        let begin = |channel: Arc<dyn DataChannel>, lossy| {
            let way = Way { channel, open: Arc::default() };
            tokio::spawn(listen(way.clone(), lossy, sender.clone(), held.subscribe()));
            way
        };
        let (reliable, lossy) = (begin(reliable, false), begin(lossy, true));
        Ok(Self { reliable, lossy, arrivals: Arc::new(tokio::sync::Mutex::new(receiver)), held })
    }

    /// Closes both channels.
    pub(crate) async fn close(&self) -> Result<(), ClientError> {
        self.reliable.channel.close().await?;
        Ok(self.lossy.channel.close().await?)
    }

    pub(crate) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }

    pub(crate) fn are_open(&self) -> bool {
        [&self.reliable, &self.lossy].iter().all(|way| way.open.load(Ordering::Acquire))
    }

    /// Reads no more of what comes, or goes on reading.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(crate) async fn publish(&self, header: &DataHeader, payload: &[u8], lossy: bool) -> Result<(), ClientError> {
        self.send(&write_frame(header, payload), lossy).await
    }

    /// Sends any bytes.
    pub(crate) async fn send(&self, frame: &[u8], lossy: bool) -> Result<(), ClientError> {
        let way = if lossy { &self.lossy } else { &self.reliable };
        Ok(way.channel.send(BytesMut::from(frame)).await?)
    }
}

async fn listen(way: Way, lossy: bool, arrivals: mpsc::Sender<Arrival>, mut held: watch::Receiver<bool>) {
    while held.wait_for(|held| !held).await.is_ok()
        && let Some(event) = way.channel.poll().await
    {
        match event {
            DataChannelEvent::OnOpen => way.open.store(true, Ordering::Release),
            DataChannelEvent::OnClosing | DataChannelEvent::OnClose => way.open.store(false, Ordering::Release),
            DataChannelEvent::OnMessage(message) => {
                let arrival = if message.is_string {
                    serde_json::from_slice(&message.data).ok().map(Arrival::Message)
                } else {
                    read(&message.data, lossy).map(Arrival::Data)
                };
                let Some(arrival) = arrival else { continue };
                if arrivals.send(arrival).await.is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn read(frame: &[u8], lossy: bool) -> Option<DataArrival> {
    let (stamp, payload) = parse_frame(frame).ok()?;
    Some(DataArrival { stamp: serde_json::from_slice(stamp).ok()?, payload: payload.to_vec(), lossy })
}

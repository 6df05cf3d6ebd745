//! A reader of a room's event stream.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    /// `EPOCH-SEQ`.
    pub(crate) id: String,
    /// Its type.
    pub(crate) name: String,
    /// Its data.
    pub(crate) data: Value,
}

impl Notice {
    /// The number within the epoch.
    pub(crate) fn seq(&self) -> u64 {
        self.id.split_once('-').and_then(|(_, seq)| seq.parse().ok()).unwrap_or_else(|| panic!("odd id {:?}", self.id))
    }
}

/// A stream that is being read.
#[derive(Debug)]
pub(crate) struct EventReader {
    /// The status of the answer.
    pub(crate) status: u16,
    notices: Arc<Mutex<Vec<Notice>>>,
    task: JoinHandle<()>,
}

impl EventReader {
    /// Opens the stream of a room, behind the event `last` if there is one.
    pub(crate) async fn open(address: SocketAddr, room: &str, last: Option<&str>) -> Self {
        Self::open_at(address, &format!("/api/v1/rooms/{room}/events"), last).await
    }

    /// Opens the stream at a path.
    pub(crate) async fn open_at(address: SocketAddr, path: &str, last: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let mut stream = BufReader::new(stream);
        let resume = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        // The old version has no chunks, so that the body is the stream itself.
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{resume}\r\n");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a status line");
        let status = line.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
        while line != "\r\n" {
            line.clear();
            assert!(stream.read_line(&mut line).await.expect("a head") > 0, "the head has an end");
        }
        let notices = Arc::default();
        let task = tokio::spawn(read(stream, Arc::clone(&notices)));
        Self { status, notices, task }
    }

    /// Everything so far.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server ended the stream.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(mut stream: BufReader<TcpStream>, notices: Arc<Mutex<Vec<Notice>>>) {
    let (mut id, mut name, mut data) = (String::new(), String::new(), None);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        match line.trim_end_matches('\n').split_once(": ") {
            Some(("id", value)) => value.clone_into(&mut id),
            Some(("event", value)) => value.clone_into(&mut name),
            Some(("data", value)) => data = Some(serde_json::from_str(value).expect("data is JSON")),
            _ => {}
        }
        if let Some(data) = data.take_if(|_| line == "\n") {
            let notice = Notice { id: id.clone(), name: name.clone(), data };
            notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        }
        line.clear();
    }
}

//! How what is to be said goes out: into frames, within the time that a client has to take them.

use std::future::Future as _;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::poll_fn;
use roundtable_protocol::ServerMessage;
use roundtable_protocol::limit::CLIENT_MESSAGES_BURST;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::super::line::{Received, Words};
use super::super::packing::Haste;
use super::super::session::Broken;
use super::Conversation;

/// Most frames that are heard of a client to which nothing can be said any more: more than it may send at once.
const HEARD_OUT: u32 = 2 * CLIENT_MESSAGES_BURST;

impl Conversation {
    /// Has a message packed; [`send_full`](Self::send_full) is to follow.
    pub(super) fn pack(&mut self, message: &ServerMessage) {
        match serde_json::to_string(message) {
            Ok(text) => self.packer.push(text.into(), Haste::of(message)),
            // None of our types has a map with keys that are no strings, the one thing that fails.
            Err(error) => tracing::error!(%error, "a message could not be written"),
        }
    }

    /// Has one packed that others get as well; [`send_full`](Self::send_full) is to follow.
    pub(super) fn pack_shared(&mut self, json: Bytes, haste: Haste) {
        match Utf8Bytes::try_from(json) {
            Ok(text) => self.packer.push_shared(text, haste),
            Err(error) => tracing::error!(%error, "a message was written that is no text"),
        }
    }

    /// Sends the frames that can take nothing more.
    pub(super) async fn send_full(&mut self) {
        if self.packer.is_full() {
            self.flush().await;
        }
    }

    /// Sends what is to leave now: the end of a turn.
    pub(super) async fn flush(&mut self) {
        while let Some(frame) = self.packer.poll_frame(Instant::now()) {
            self.write(Words::Frame(frame)).await;
        }
    }

    /// Writes. While the conversation runs, a client that does not take it in time is
    /// slow; once it ends, all that is left to say shares one deadline.
    pub(super) async fn write(&mut self, words: Words) {
        let ending = self.session.is_ending();
        let at_most = if ending { self.last_words() } else { self.config.write_timeout };
        let written = {
            let mut written = pin!(self.line.send(words));
            match poll_fn(|cx| Poll::Ready(written.as_mut().poll(cx))).await {
                // Mostly the socket takes it at once, and there is nothing to time.
                Poll::Ready(written) => Ok(written),
                Poll::Pending => Box::pin(tokio::time::timeout(at_most, written)).await,
            }
        };
        match written {
            Ok(Ok(())) => {}
            _ if ending => {}
            // In a box, as what is done once.
            Ok(Err(_)) => Box::pin(self.hear_out()).await,
            Err(_) => self.session.handle_slow_reader(),
        }
    }

    /// The line takes nothing more. What the client said before that is on its way, and may be that it leaves: it is heard
    /// to the end, which comes soon.
    async fn hear_out(&mut self) {
        let until = tokio::time::Instant::now() + self.config.close_grace;
        for _ in 0..HEARD_OUT {
            let Ok(received) = tokio::time::timeout_at(until, self.line.recv()).await else { break };
            self.handle_received(received);
            if self.session.is_ending() {
                return;
            }
        }
        self.handle_received(Received::Broken(Broken::Gone));
    }

    pub(super) async fn close(&mut self, code: u16, reason: &'static str) {
        self.write(Words::Close(code, reason)).await;
        let at_most = self.last_words();
        // What still comes is read away, or waited for if it cannot be read.
        let _ = tokio::time::timeout(at_most, async {
            if self.readable {
                self.line.drain().await;
            } else {
                std::future::pending::<()>().await;
            }
        })
        .await;
    }

    /// What is left of the time for last words.
    pub(super) fn last_words(&mut self) -> Duration {
        let now = Instant::now();
        self.last_words_until.get_or_insert(now + self.config.close_grace).saturating_duration_since(now)
    }
}

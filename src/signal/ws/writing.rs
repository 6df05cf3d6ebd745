//! How what is to be said goes out: into frames, within the time that a client has to take them.

use std::future::Future as _;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use futures_util::future::poll_fn;
use roundtable_protocol::ServerMessage;

use super::super::packing::{Haste, Packed};
use super::super::session::Broken;
use super::Conversation;

/// What is written.
pub(super) enum Words {
    Frame(Packed),
    Ping,
    Close(u16, &'static str),
}

impl Conversation {
    pub(super) async fn send(&mut self, message: &ServerMessage) {
        match serde_json::to_string(message) {
            Ok(text) => {
                self.packer.push(text.into(), Haste::of(message));
                self.send_full().await;
            }
            // None of our types has a map with keys that are no strings, the one thing that fails.
            Err(error) => tracing::error!(%error, "a message could not be written"),
        }
    }

    pub(super) async fn send_shared(&mut self, json: Bytes, haste: Haste) {
        match Utf8Bytes::try_from(json) {
            Ok(text) => {
                self.packer.push_shared(text, haste);
                self.send_full().await;
            }
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
        let line = &mut self.line;
        let written = async {
            match words {
                Words::Frame(frame) => line.send(frame).await,
                Words::Ping => line.ping().await,
                Words::Close(code, reason) => line.close(code, reason).await,
            }
        };
        let mut written = pin!(written);
        let written = match poll_fn(|cx| Poll::Ready(written.as_mut().poll(cx))).await {
            // Mostly the socket takes it at once, and there is nothing to time.
            Poll::Ready(written) => Ok(written),
            Poll::Pending => tokio::time::timeout(at_most, written).await,
        };
        match written {
            Ok(Ok(())) => {}
            _ if ending => {}
            Ok(Err(_)) => self.session.handle_broken(Broken::Gone),
            Err(_) => self.session.handle_slow_reader(),
        }
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

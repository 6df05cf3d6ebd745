//! Sends messages in chunks, and decides what an error means for the message it stopped at.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arrayvec::ArrayVec;

use super::{EMPTY_VECTOR, Header, empty_header};
use crate::address::Address;
use crate::control::Control;
use crate::{Message, SendReport};

/// The sending side's memory between calls: what works here.
#[derive(Debug)]
pub(super) struct Outbound {
    segmenting: AtomicBool,
    /// Whether datagrams leave in one piece or not at all.
    whole: AtomicBool,
    /// Whether one was too long for that.
    too_long: AtomicBool,
    /// Runs refused in a row although their datagrams were taken one by one.
    refusals: AtomicU32,
}

/// Runs refused with `EINVAL` in a row until segmentation is given up.
///
/// `EINVAL` also tells that a datagram exceeds one path's MTU, which anyone can lower for one destination with a
/// forged ICMP message; so one such refusal must not slow everybody down.
const MAX_REFUSALS: u32 = 16;

/// Messages of one call, at most. What describes them is on the stack, 300 bytes each, written as they come.
const MESSAGES: usize = 128;

/// Takes headers as `sendmmsg` does: sends from the front, and fails only if the first is refused.
type Call<'c> = &'c mut dyn FnMut(&mut [Header]) -> io::Result<usize>;

impl Outbound {
    pub(super) fn new(segmenting: bool, whole: bool) -> Self {
        Self {
            segmenting: AtomicBool::new(segmenting),
            whole: AtomicBool::new(whole),
            too_long: AtomicBool::new(false),
            refusals: AtomicU32::new(0),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// Whether the socket is to send in fragments from now on. It says so once.
    pub(super) fn take_too_long(&self) -> bool {
        self.too_long.load(Ordering::Relaxed) && self.too_long.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_segmenting(&self) -> bool {
        self.segmenting.load(Ordering::Relaxed)
    }

    /// Sends all `messages` through `call`.
    pub(super) fn send<'m>(&self, messages: impl Iterator<Item = Message<'m>>, call: Call<'_>) -> SendReport {
        let mut report = SendReport::default();
        self.send_pieces(messages, &mut report, call);
        report
    }

    fn send_pieces<'m>(
        &self,
        messages: impl Iterator<Item = Message<'m>>,
        report: &mut SendReport,
        call: Call<'_>,
    ) -> Buffer {
        let mut chunk = Chunk::new();
        let mut buffer = Buffer::HasRoom;
        for message in messages {
            // The flag is read at each message, so that the first refusal counts for the rest.
            for piece in message.pieces(self.is_segmenting()) {
                if chunk.messages.is_full() && buffer == Buffer::HasRoom {
                    buffer = self.flush(&mut chunk, report, call);
                    chunk.clear();
                }
                if buffer == Buffer::Full || !piece.is_consistent() {
                    report.dropped += piece.datagrams();
                } else {
                    chunk.push(piece);
                }
            }
        }
        if buffer == Buffer::HasRoom { self.flush(&mut chunk, report, call) } else { buffer }
    }

    /// Sends the chunk.
    fn flush(&self, chunk: &mut Chunk<'_>, report: &mut SendReport, call: Call<'_>) -> Buffer {
        chunk.connect();
        let len = chunk.messages.len();
        let mut next = 0;
        while next < len {
            report.calls += 1;
            match call(&mut chunk.headers[next..len]) {
                Ok(sent) => {
                    // None sent without an error cannot be; if it were, one is skipped and not asked for ever.
                    let sent = sent.clamp(1, len - next);
                    self.count(&chunk.messages[next..next + sent], report);
                    next += sent;
                }
                Err(error) => match self.refused(&error, chunk.messages[next], report, call) {
                    Verdict::Again => {}
                    Verdict::Settled => next += 1,
                    Verdict::Full(settled) => {
                        let rest = &chunk.messages[next + usize::from(settled)..len];
                        report.dropped += rest.iter().map(Message::datagrams).sum::<usize>();
                        return Buffer::Full;
                    }
                },
            }
        }
        Buffer::HasRoom
    }

    /// Counts messages that were sent.
    fn count(&self, sent: &[Message<'_>], report: &mut SendReport) {
        report.datagrams += sent.iter().map(Message::datagrams).sum::<usize>();
        if self.refusals.load(Ordering::Relaxed) > 0 && sent.iter().any(Message::is_run) {
            self.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Decides about the message that the kernel stopped at.
    fn refused(&self, error: &io::Error, message: Message<'_>, report: &mut SendReport, call: Call<'_>) -> Verdict {
        match error.raw_os_error() {
            Some(libc::EINTR) => Verdict::Again,
            Some(libc::EAGAIN) => Verdict::Full(false),
            Some(code @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE)) if message.is_run() => {
                let before = report.datagrams;
                let buffer = self.send_pieces(message.pieces(false), report, call);
                if report.datagrams > before {
                    // The destination is fine, so it was the segmentation that was refused.
                    self.note_refusal(code);
                }
                if buffer == Buffer::Full { Verdict::Full(true) } else { Verdict::Settled }
            }
            code => {
                if code == Some(libc::EMSGSIZE) && self.whole.swap(false, Ordering::Relaxed) {
                    self.too_long.store(true, Ordering::Relaxed);
                }
                report.dropped += message.datagrams();
                Verdict::Settled
            }
        }
    }

    fn note_refusal(&self, code: libc::c_int) {
        let give_up = match code {
            libc::EIO => true,
            // One path's MTU, as newer kernels put it.
            libc::EMSGSIZE => false,
            _ => self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_REFUSALS,
        };
        if give_up {
            self.segmenting.store(false, Ordering::Relaxed);
        }
    }
}

/// Whether the socket's buffer takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Buffer {
    HasRoom,
    Full,
}

/// What becomes of the message that the kernel stopped at.
enum Verdict {
    /// It is tried again.
    Again,
    /// It was counted; the next one is tried.
    Settled,
    /// The buffer is full; whether the message was counted already.
    Full(bool),
}

/// The messages of one system call, with everything their headers point to.
struct Chunk<'m> {
    messages: ArrayVec<Message<'m>, MESSAGES>,
    addresses: ArrayVec<Address, MESSAGES>,
    controls: ArrayVec<Control, MESSAGES>,
    vectors: ArrayVec<libc::iovec, MESSAGES>,
    headers: ArrayVec<Header, MESSAGES>,
}

impl<'m> Chunk<'m> {
    /// Nothing of it is written before there are messages: it is much, and often there are few.
    const fn new() -> Self {
        Self {
            messages: ArrayVec::new_const(),
            addresses: ArrayVec::new_const(),
            controls: ArrayVec::new_const(),
            vectors: ArrayVec::new_const(),
            headers: ArrayVec::new_const(),
        }
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.addresses.clear();
        self.controls.clear();
        self.vectors.clear();
        self.headers.clear();
    }

    /// Adds a message; the caller has seen that it is not full.
    fn push(&mut self, message: Message<'m>) {
        self.messages.push(message);
        self.addresses.push(Address::EMPTY);
        self.controls.push(Control::EMPTY);
        self.vectors.push(EMPTY_VECTOR);
        self.headers.push(empty_header());
    }

    /// Lets the headers describe the messages. They hold until the chunk is moved or changed.
    fn connect(&mut self) {
        let headers = self.headers.iter_mut().zip(&mut self.vectors).zip(&mut self.addresses).zip(&mut self.controls);
        for (message, (((header, vector), address), control)) in self.messages.iter().zip(headers) {
            control.clear();
            if let Some(local) = message.local {
                control.push_source(local);
            }
            if let Some(size) = message.segment_size {
                control.push_segment_size(size);
            }
            // `sendmmsg` only reads through this pointer; its type is shared with reception.
            vector.iov_base = message.contents.as_ptr().cast_mut().cast();
            vector.iov_len = message.contents.len();
            let header = &mut header.msg_hdr;
            header.msg_namelen = address.set(message.destination) as _;
            header.msg_name = (&raw mut *address).cast();
            header.msg_iov = &raw mut *vector;
            header.msg_iovlen = 1;
            header.msg_controllen = control.len() as _;
            header.msg_control = if control.len() == 0 { std::ptr::null_mut() } else { control.as_mut_ptr().cast() };
        }
    }
}

#[cfg(test)]
mod tests;

//! The outside of DTLS 1.2 records and handshake fragments (RFC 6347 §4.1, §4.2.2), read without believing them.

/// `change_cipher_spec`.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// `alert`.
pub(super) const ALERT: u8 = 21;
/// `handshake`.
pub(super) const HANDSHAKE: u8 = 22;
/// `application_data`.
pub(super) const APPLICATION_DATA: u8 = 23;

/// The handshake messages a server is sent in the clear, and the one it answers a first hello with.
pub(super) mod handshake_type {
    pub(in crate::dtls) const CLIENT_HELLO: u8 = 1;
    pub(in crate::dtls) const HELLO_VERIFY_REQUEST: u8 = 3;
    pub(in crate::dtls) const CERTIFICATE: u8 = 11;
    pub(in crate::dtls) const CERTIFICATE_VERIFY: u8 = 15;
    pub(in crate::dtls) const CLIENT_KEY_EXCHANGE: u8 = 16;
}

/// One record of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
    /// Header and body.
    pub(super) whole: &'a [u8],
}

/// One fragment of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) message_type: u8,
    pub(super) message_len: usize,
    pub(super) message_seq: u16,
    pub(super) offset: usize,
    pub(super) data: &'a [u8],
}

/// Walks the records of a datagram; the first one that is not DTLS 1.2 or does not fit ends the walk.
pub(super) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let header: &[u8; HEADER_LEN] = rest.first_chunk()?;
        let body_len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (whole, behind) = rest.split_at_checked(HEADER_LEN + body_len)?;
        // A first hello may carry the version number of DTLS 1.0.
        if header[1] != 0xfe || !matches!(header[2], 0xfd | 0xff) || body_len == 0 {
            return None;
        }
        rest = behind;
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        Some(Record { content_type: header[0], epoch, body: &whole[HEADER_LEN..], whole })
    })
    .take(MAX_RECORDS)
}

/// Walks the handshake fragments of a plaintext record; ends at the first one that is empty, does not fit or exceeds a
/// limit (D2).
pub(super) fn fragments(body: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let header: &[u8; FRAGMENT_HEADER_LEN] = rest.first_chunk()?;
        let u24 =
            |at: usize| usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2]);
        let (message_len, offset, fragment_len) = (u24(1), u24(6), u24(9));
        let (whole, behind) = rest.split_at_checked(FRAGMENT_HEADER_LEN + fragment_len)?;
        let message_seq = u16::from_be_bytes([header[4], header[5]]);
        let fits = fragment_len > 0 && offset + fragment_len <= message_len;
        if !fits || message_len > MAX_MESSAGE_LEN || message_seq > MAX_MESSAGE_SEQ {
            return None;
        }
        rest = behind;
        let data = &whole[FRAGMENT_HEADER_LEN..];
        Some(Fragment { message_type: header[0], message_len, message_seq, offset, data })
    })
}

/// Writes a plaintext record around `body`.
pub(super) fn write_plain(content_type: u8, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX); // Callers stay below `MAX_MESSAGE_LEN` and a header.
    let mut record = Vec::with_capacity(HEADER_LEN + body.len());
    record.extend_from_slice(&[content_type, 0xfe, 0xfd, 0, 0, 0, 0]);
    record.extend_from_slice(&sequence.to_be_bytes());
    record.extend_from_slice(&len.to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// Writes an unfragmented handshake message with its header.
pub(super) fn write_message(message_type: u8, message_seq: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes(); // Far below 2^24.
    let mut message = Vec::with_capacity(FRAGMENT_HEADER_LEN + body.len());
    message.push(message_type);
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(&message_seq.to_be_bytes());
    message.extend_from_slice(&[0; 3]);
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(body);
    message
}

const HEADER_LEN: usize = 13;
const FRAGMENT_HEADER_LEN: usize = 12;
/// How many records of one datagram are looked at.
const MAX_RECORDS: usize = 32;
/// The longest handshake message taken; a certificate chain of a browser has a tenth of it.
pub(super) const MAX_MESSAGE_LEN: usize = 16 * 1024;
/// The highest message number taken; a client's last message has number 5.
pub(super) const MAX_MESSAGE_SEQ: u16 = 8;

//! Reads and writes the messages that open a data channel (DCEP, RFC 8832).

/// A DCEP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `DATA_CHANNEL_OPEN`: the sender wants to use the stream as a channel.
    Open(Open),
    /// `DATA_CHANNEL_ACK`: the receiver agrees.
    Ack,
}

/// What a `DATA_CHANNEL_OPEN` message asks for (RFC 8832 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Whether messages are delivered in the order they were sent.
    pub ordered: bool,
    /// How long the sender of a message tries to deliver it.
    pub reliability: Reliability,
    /// Importance beside other channels (RFC 8831 §6.4); we schedule all alike.
    pub priority: u16,
    /// The name that the application gave the channel.
    pub label: String,
    /// The protocol spoken over it, as WebSocket subprotocols are named; mostly empty.
    pub protocol: String,
}

/// How long the sender of a message tries to deliver it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// Until it is delivered.
    Reliable,
    /// For so many retransmissions.
    Retransmissions(u32),
    /// For so many milliseconds.
    LifetimeMs(u32),
}

/// Why bytes are no DCEP message that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DcepError {
    /// The message is shorter than its type or its own lengths ask for.
    #[error("the message is cut short")]
    Truncated,
    /// Bytes follow the message.
    #[error("bytes follow the message")]
    Trailing,
    /// Neither `DATA_CHANNEL_OPEN` nor `DATA_CHANNEL_ACK`.
    #[error("{0:#04x} is no message type")]
    MessageType(u8),
    /// The reliability is none of RFC 8832 §5.1.
    #[error("{0:#04x} is no channel type")]
    ChannelType(u8),
    /// The label or the protocol is longer than [`MAX_TEXT_BYTES`].
    #[error("the label or the protocol is longer than {MAX_TEXT_BYTES} bytes")]
    TextTooLong,
    /// The label or the protocol is not UTF-8.
    #[error("the label or the protocol is not UTF-8")]
    NotUtf8,
}

/// Most bytes of a label and of a protocol that we take; the format could carry 65,535 each.
pub const MAX_TEXT_BYTES: usize = 256;

impl Message {
    /// Reads one message. Any bytes may be given.
    ///
    /// # Errors
    /// See [`DcepError`]; the channel is then to be closed.
    pub fn parse(bytes: &[u8]) -> Result<Self, DcepError> {
        match bytes {
            [] => Err(DcepError::Truncated),
            [MESSAGE_ACK] => Ok(Self::Ack),
            [MESSAGE_ACK, ..] => Err(DcepError::Trailing),
            [MESSAGE_OPEN, body @ ..] => Open::parse(body).map(Self::Open),
            [other, ..] => Err(DcepError::MessageType(*other)),
        }
    }

    /// Appends the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(open) => {
                out.push(MESSAGE_OPEN);
                open.write(out);
            }
            Self::Ack => out.push(MESSAGE_ACK),
        }
    }
}

impl Open {
    /// Reads what follows the message type.
    fn parse(body: &[u8]) -> Result<Self, DcepError> {
        let (head, text) = body.split_first_chunk::<OPEN_HEAD_BYTES>().ok_or(DcepError::Truncated)?;
        let [channel_type, p0, p1, r0, r1, r2, r3, l0, l1, q0, q1] = *head;
        let parameter = u32::from_be_bytes([r0, r1, r2, r3]);
        let reliability = match channel_type & !UNORDERED {
            0 => Reliability::Reliable,
            1 => Reliability::Retransmissions(parameter),
            2 => Reliability::LifetimeMs(parameter),
            _ => return Err(DcepError::ChannelType(channel_type)),
        };
        let label_len = usize::from(u16::from_be_bytes([l0, l1]));
        let protocol_len = usize::from(u16::from_be_bytes([q0, q1]));
        if label_len > MAX_TEXT_BYTES || protocol_len > MAX_TEXT_BYTES {
            return Err(DcepError::TextTooLong);
        }
        let (label, rest) = text.split_at_checked(label_len).ok_or(DcepError::Truncated)?;
        let (protocol, rest) = rest.split_at_checked(protocol_len).ok_or(DcepError::Truncated)?;
        if !rest.is_empty() {
            return Err(DcepError::Trailing);
        }
        Ok(Self {
            ordered: channel_type & UNORDERED == 0,
            reliability,
            priority: u16::from_be_bytes([p0, p1]),
            label: utf8(label)?,
            protocol: utf8(protocol)?,
        })
    }

    /// Writes what follows the message type. Texts are cut at [`MAX_TEXT_BYTES`], which no caller of ours exceeds.
    fn write(&self, out: &mut Vec<u8>) {
        let (kind, parameter) = match self.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::Retransmissions(most) => (1, most),
            Reliability::LifetimeMs(most) => (2, most),
        };
        out.push(if self.ordered { kind } else { kind | UNORDERED });
        out.extend_from_slice(&self.priority.to_be_bytes());
        out.extend_from_slice(&parameter.to_be_bytes());
        let (label, protocol) = (cut(&self.label), cut(&self.protocol));
        for text in [label, protocol] {
            // At most `MAX_TEXT_BYTES`, which fits.
            out.extend_from_slice(&(text.len() as u16).to_be_bytes());
        }
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(protocol.as_bytes());
    }
}

fn utf8(bytes: &[u8]) -> Result<String, DcepError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DcepError::NotUtf8)
}

/// `text` or as much of it as fits [`MAX_TEXT_BYTES`].
fn cut(text: &str) -> &str {
    let (fitting, _) = text.split_at(text.floor_char_boundary(MAX_TEXT_BYTES));
    fitting
}

const MESSAGE_OPEN: u8 = 0x03;
const MESSAGE_ACK: u8 = 0x02;
/// The bit of the channel type that means unordered.
const UNORDERED: u8 = 0x80;
/// Bytes of a `DATA_CHANNEL_OPEN` between its type and its label.
const OPEN_HEAD_BYTES: usize = 11;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(message: &Message) -> Vec<u8> {
        let mut out = Vec::new();
        message.write(&mut out);
        out
    }

    fn chat() -> Open {
        Open {
            ordered: true,
            reliability: Reliability::Reliable,
            priority: 256,
            label: "chat".to_owned(),
            protocol: String::new(),
        }
    }

    #[test]
    fn the_open_of_a_browser_is_read() {
        let bytes = b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat";
        assert_eq!(Message::parse(bytes), Ok(Message::Open(chat())));
        assert_eq!(written(&Message::Open(chat())), bytes);

        let bytes = b"\x03\x81\x00\x80\x00\x00\x00\x03\x00\x01\x00\x02xyz";
        let Ok(Message::Open(open)) = Message::parse(bytes) else { panic!("{:?}", Message::parse(bytes)) };
        assert!(!open.ordered);
        assert_eq!(open.reliability, Reliability::Retransmissions(3));
        assert_eq!((open.label.as_str(), open.protocol.as_str(), open.priority), ("x", "yz", 128));
    }

    #[test]
    fn hostile_messages_are_errors() {
        for (bytes, error) in [
            (&b""[..], DcepError::Truncated),
            (b"\x00", DcepError::MessageType(0)),
            (b"\x01", DcepError::MessageType(1)),
            (b"\xff\xff\xff", DcepError::MessageType(255)),
            (b"\x02\x00", DcepError::Trailing),
            (b"\x03", DcepError::Truncated),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00", DcepError::Truncated),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00cha", DcepError::Truncated),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x01chat", DcepError::Truncated),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat!", DcepError::Trailing),
            (b"\x03\x03\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat", DcepError::ChannelType(3)),
            (b"\x03\xff\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00chat", DcepError::ChannelType(255)),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\xff\xff\x00\x00chat", DcepError::TextTooLong),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01", DcepError::TextTooLong),
            (b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x04\x00\x00ch\xfft", DcepError::NotUtf8),
        ] {
            assert_eq!(Message::parse(bytes), Err(error), "{bytes:x?}");
        }
        let longest = Open { label: "l".repeat(MAX_TEXT_BYTES), ..chat() };
        assert_eq!(Message::parse(&written(&Message::Open(longest.clone()))), Ok(Message::Open(longest)));
    }

    #[test]
    fn a_long_label_is_cut_between_characters_when_written() {
        let open = Open { label: format!("a{}", "é".repeat(200)), ..chat() };
        let Ok(Message::Open(read)) = Message::parse(&written(&Message::Open(open))) else { panic!() };
        assert_eq!(read.label.len(), 255);
    }

    fn opens() -> impl Strategy<Value = Open> {
        let reliability = prop_oneof![
            Just(Reliability::Reliable),
            any::<u32>().prop_map(Reliability::Retransmissions),
            any::<u32>().prop_map(Reliability::LifetimeMs),
        ];
        let texts = ("[a-zé]{0,20}", "[a-z]{0,20}");
        (any::<bool>(), reliability, any::<u16>(), texts).prop_map(
            |(ordered, reliability, priority, (label, protocol))| Open {
                ordered,
                reliability,
                priority,
                label,
                protocol,
            },
        )
    }

    proptest! {
        #![proptest_config(super::super::tests::config(2_000))]

        #[test]
        fn what_is_written_is_read(open in opens()) {
            let message = Message::Open(open);
            prop_assert_eq!(Message::parse(&written(&message)), Ok(message));
        }
    }

    proptest! {
        #![proptest_config(super::super::tests::config(100_000))]

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..48), kind in 0u8..5, short in any::<bool>()) {
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            if short && let Some(lengths) = bytes.get_mut(8..12) {
                // Plausible lengths, so that the texts are reached.
                lengths.copy_from_slice(&[0, lengths[1] & 15, 0, lengths[3] & 15]);
            }
            if let Ok(message) = Message::parse(&bytes) {
                prop_assert_eq!(written(&message).len(), bytes.len());
            }
        }
    }
}

//! What a message carries so that its receivers know which it is and when it left: `bench/SEQ/NS`, in hexadecimal.
//!
//! It stands as it is in whatever a transport wraps around it: in the text of chat, and in the topic of data, whose payload a
//! WebSocket would show as base64. So nobody has to parse JSON to find it.

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which message of the run, from 0.
    pub(crate) seq: u32,
    /// When it was written, in ns since the run began.
    pub(crate) sent_ns: u64,
}

impl Mark {
    /// Writes it: [`LEN`] bytes.
    pub(crate) fn write(self) -> String {
        format!("{HEAD}{:08x}/{:016x}", self.seq, self.sent_ns)
    }

    /// Finds the first one in a message; `None` in one that is not ours.
    pub(crate) fn find(message: &[u8]) -> Option<Self> {
        let slashes = message.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        slashes.filter_map(|slash| Self::read(message.get((slash + 1).checked_sub(HEAD.len())?..)?)).next()
    }

    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text.get(..LEN)?).ok()?.strip_prefix(HEAD)?;
        let (seq, sent) = text.split_once('/')?;
        Some(Self { seq: u32::from_str_radix(seq, 16).ok()?, sent_ns: u64::from_str_radix(sent, 16).ok()? })
    }
}

const HEAD: &str = "bench/";
/// Bytes of a mark.
pub(crate) const LEN: usize = HEAD.len() + 8 + 1 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_stands() {
        let mark = Mark { seq: 0xabc, sent_ns: u64::MAX };
        assert_eq!(mark.write().len(), LEN);
        for text in [mark.write(), format!("{{\"a\":\"x/y\",\"text\":\"{} xx\"}}", mark.write())] {
            assert_eq!(Mark::find(text.as_bytes()), Some(mark), "{text}");
        }
        for text in
            ["", "/", "bench/", "bench/0000000g/0000000000000000", "bench/00000001/000000000000000", "é/é/bench"]
        {
            assert_eq!(Mark::find(text.as_bytes()), None, "{text}");
        }
    }
}

//! The elements of a header extension in their two forms (RFC 8285 4.2, 4.3).

/// The profile word of one-byte elements.
const ONE_BYTE_PROFILE: u16 = 0xbede;
/// The profile word of two-byte elements; its last four bits are free.
const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_PROFILE_MASK: u16 = 0xfff0;
/// Highest id and longest element of the one-byte form.
const ONE_BYTE_MAX_ID: u8 = 14;
const ONE_BYTE_MAX_LEN: usize = 16;
/// Longest element of the two-byte form.
const TWO_BYTE_MAX_LEN: usize = 255;
/// Bytes of profile and length in front of the elements.
const BLOCK_HEADER_LEN: usize = 4;
/// The length field counts words in 16 bits.
const MAX_BLOCK_LEN: usize = BLOCK_HEADER_LEN + 4 * u16::MAX as usize;

/// The elements of a header extension: id and bytes. A malformed tail ends it.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    form: Form,
    rest: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

impl<'a> Extensions<'a> {
    /// Reads the elements in `bytes`, which follow the profile word and the length; none if the profile is unknown.
    #[must_use]
    pub const fn new(profile: u16, bytes: &'a [u8]) -> Self {
        if profile == ONE_BYTE_PROFILE {
            Self { form: Form::OneByte, rest: bytes }
        } else if profile & TWO_BYTE_PROFILE_MASK == TWO_BYTE_PROFILE {
            Self { form: Form::TwoByte, rest: bytes }
        } else {
            Self { form: Form::TwoByte, rest: &[] }
        }
    }

    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                self.rest = rest; // Padding between elements.
                continue;
            }
            let (id, len, rest) = match self.form {
                Form::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, rest),
                Form::TwoByte => {
                    let (&len, rest) = rest.split_first()?;
                    (first, usize::from(len), rest)
                }
            };
            // In the one-byte form 15 ends the processing, and so does 0 with a length (RFC 8285 4.2).
            if self.form == Form::OneByte && !(1..=ONE_BYTE_MAX_ID).contains(&id) {
                return None;
            }
            let (data, rest) = rest.split_at_checked(len)?;
            self.rest = rest;
            return Some((id, data));
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.element();
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

impl std::iter::FusedIterator for Extensions<'_> {}

/// Writes a header extension: profile, length, elements, padding.
///
/// It starts in the one-byte form and turns what is written into the two-byte form when an element needs that:
/// an id above 14, more than 16 bytes, or none.
#[derive(Debug)]
pub struct ExtensionWriter<'b> {
    out: &'b mut [u8],
    form: Form,
    len: usize,
    count: usize,
}

impl<'b> ExtensionWriter<'b> {
    /// Writes to the start of `out`.
    #[must_use]
    pub fn new(out: &'b mut [u8]) -> Self {
        let usable = out.len().min(MAX_BLOCK_LEN) & !3;
        // At most the length of `out`.
        Self { out: &mut out[..usable], form: Form::OneByte, len: BLOCK_HEADER_LEN, count: 0 }
    }

    /// Appends an element. Returns false and changes nothing if there is no room for it, `id` is 0 or `data`
    /// is longer than 255 bytes.
    #[inline]
    pub fn push(&mut self, id: u8, data: &[u8]) -> bool {
        self.push_changed(id, data, |_| {})
    }

    /// Appends an element like [`ExtensionWriter::push`], whose bytes are changed where they were written.
    #[inline]
    pub fn push_changed(&mut self, id: u8, data: &[u8], change: impl FnOnce(&mut [u8])) -> bool {
        let Some(place) = self.place(id, data.len()) else { return false };
        place.copy_from_slice(data);
        change(place);
        true
    }

    /// Appends an element like [`ExtensionWriter::push`], of a length that is known where this is called.
    #[inline]
    pub fn push_array<const N: usize>(&mut self, id: u8, data: [u8; N]) -> bool {
        let is_narrow = (1..=ONE_BYTE_MAX_ID).contains(&id) && 1 <= N && N <= ONE_BYTE_MAX_LEN;
        if self.form == Form::TwoByte || !is_narrow {
            return self.push(id, &data);
        }
        let Some([head, rest @ ..]) = self.out.get_mut(self.len..) else { return false };
        let Some(place) = rest.first_chunk_mut() else { return false };
        (*head, *place) = (id << 4 | (N - 1) as u8, data);
        self.len += 1 + N;
        self.count += 1;
        true
    }

    /// Appends `count` elements in one piece, which stand in `bytes` in the one-byte form. Returns false and changes nothing
    /// if there is no room for them, or the other form is needed.
    #[inline]
    pub fn push_formed<const N: usize>(&mut self, count: usize, bytes: [u8; N]) -> bool {
        if self.form == Form::TwoByte {
            return false;
        }
        let Some(place) = self.out.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) else { return false };
        *place = bytes;
        self.len += N;
        self.count += count;
        true
    }

    /// The byte in front of an element of `len` bytes in the one-byte form; `None` if it has none there.
    #[must_use]
    #[inline]
    pub const fn one_byte_head(id: u8, len: usize) -> Option<u8> {
        if id >= 1 && id <= ONE_BYTE_MAX_ID && len >= 1 && len <= ONE_BYTE_MAX_LEN {
            Some(id << 4 | (len - 1) as u8)
        } else {
            None
        }
    }

    /// Appends the head of an element of `len` bytes; returns the place for them.
    #[inline]
    fn place(&mut self, id: u8, len: usize) -> Option<&mut [u8]> {
        let (start, end) = (self.len, self.len + 1 + len);
        let is_narrow = (1..=ONE_BYTE_MAX_ID).contains(&id) && (1..=ONE_BYTE_MAX_LEN).contains(&len);
        if self.form == Form::TwoByte || !is_narrow {
            return self.place_wide(id, len);
        }
        let [head, place @ ..] = self.out.get_mut(start..end)? else { return None };
        *head = id << 4 | (len - 1) as u8;
        self.len = end;
        self.count += 1;
        Some(place)
    }

    /// The same where the element needs the two-byte form, or another one has.
    fn place_wide(&mut self, id: u8, len: usize) -> Option<&mut [u8]> {
        if id == 0 || len > TWO_BYTE_MAX_LEN {
            return None;
        }
        let converts = self.form == Form::OneByte;
        let start = self.len + if converts { self.count } else { 0 };
        let end = start + 2 + len;
        if end > self.out.len() {
            return None;
        }
        if converts {
            self.widen();
        }
        self.len = end;
        self.count += 1;
        // Within `end`, checked above.
        let [first, second, place @ ..] = &mut self.out[start..end] else { return None };
        (*first, *second) = (id, len as u8);
        Some(place)
    }

    /// Ends the block and returns its length, a multiple of 4; 0 if nothing was pushed.
    #[inline]
    pub fn finish(self) -> usize {
        if self.count == 0 {
            return 0;
        }
        let end = self.len.next_multiple_of(4);
        let profile = match self.form {
            Form::OneByte => ONE_BYTE_PROFILE,
            Form::TwoByte => TWO_BYTE_PROFILE,
        };
        let words = ((end - BLOCK_HEADER_LEN) / 4) as u16;
        // An element was pushed, so the header fits; the length of `out` is a multiple of 4, so the padding does.
        let ([p0, p1], [w0, w1]) = (profile.to_be_bytes(), words.to_be_bytes());
        self.out[..BLOCK_HEADER_LEN].copy_from_slice(&[p0, p1, w0, w1]);
        match &mut self.out[self.len..end] {
            // Fewer than four, one by one: a call to have so few filled costs more than all else here.
            [] => {}
            [a] => *a = 0,
            [a, b] => (*a, *b) = (0, 0),
            [a, b, c, ..] => (*a, *b, *c) = (0, 0, 0),
        }
        end
    }

    /// Turns the elements written so far into the two-byte form; the caller has seen to the room.
    fn widen(&mut self) {
        let mut at = BLOCK_HEADER_LEN;
        for _ in 0..self.count {
            // `at` is the head of an element we wrote, and every element grows by one byte that is free behind `len`.
            let head = self.out[at];
            let len = (head & 0x0f) + 1;
            self.out.copy_within(at + 1..self.len, at + 2);
            self.out[at] = head >> 4;
            self.out[at + 1] = len;
            self.len += 1;
            at += 2 + usize::from(len);
        }
        self.form = Form::TwoByte;
    }
}

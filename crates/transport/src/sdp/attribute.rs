//! Small readers shared by the attributes.

use rtc_sdp::description::common::Attribute;

use super::error::{Place, SdpError};

/// The values of every attribute called `key`; an attribute without a value counts as an empty one.
pub(super) fn values<'a>(attributes: &'a [Attribute], key: &'a str) -> impl Iterator<Item = &'a str> {
    attributes.iter().filter(move |attribute| attribute.key == key).map(|attribute| {
        let value = attribute.value.as_deref().unwrap_or_default();
        value.trim()
    })
}

/// Whether an attribute called `key` is there.
pub(super) fn has(attributes: &[Attribute], key: &str) -> bool {
    attributes.iter().any(|attribute| attribute.key == key)
}

/// The value of the attribute called `key`, which may be there once at most.
pub(super) fn single<'a>(
    attributes: &'a [Attribute],
    key: &'a str,
    place: Place,
    repeated: &'static str,
) -> Result<Option<&'a str>, SdpError> {
    let mut values = values(attributes, key);
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(SdpError::malformed(place, repeated)),
    }
}

/// Reads a decimal number of digits alone; `str::parse` would take a sign as well.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Whether `text` is a token of RFC 8866 §9 with 1 to `limit` bytes.
pub(super) fn is_token(text: &str, limit: usize) -> bool {
    let is_token_char = |byte: u8| byte.is_ascii_graphic() && !br#""(),/:;<=>?@[\]"#.contains(&byte);
    (1..=limit).contains(&text.len()) && text.bytes().all(is_token_char)
}

/// The value of a parameter in the `name=value;name=value` form that most `a=fmtp` lines have.
pub(super) fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

//! Why bytes are not the packet they were taken for.

/// Why a parser refused its input. What a remote peer does wrong is counted, not reported, hence no details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the field that is due.
    #[error("the packet ends too early")]
    Truncated,
    /// The two version bits are not 2 (RFC 3550 5.1).
    #[error("the version is not 2")]
    Version,
    /// The padding count is zero or larger than what it is taken from.
    #[error("the padding does not fit the packet")]
    Padding,
    /// A field has a value its format forbids.
    #[error("a field has a forbidden value")]
    Forbidden,
}

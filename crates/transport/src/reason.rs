//! Why a datagram was dropped, and why a peer ended.

use crate::channel::EndReason;

/// Why a datagram changed nothing.
///
/// What a stranger sends is no error of ours: each reason is a counter, never a log line or a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The peer is over.
    Closed,
    /// The caller has not taken the events of the datagrams before.
    Backlog,
    /// Neither STUN nor DTLS nor RTP by its first byte (RFC 7983).
    NotMedia,
    /// Not STUN, from a path no authenticated check has proven.
    UnprovenPath,
    /// Not a STUN message, or one whose FINGERPRINT is wrong.
    StunMalformed,
    /// A STUN message that is not a Binding request, such as an indication.
    StunIgnored,
    /// The USERNAME is missing or names another session.
    StunUsername,
    /// MESSAGE-INTEGRITY is missing or wrong.
    StunIntegrity,
    /// A DTLS datagram of which the guard let nothing through.
    DtlsGuard,
    /// DTLS that the engine could not use.
    DtlsFailed,
    /// Media before the keys exist.
    SrtpNotReady,
    /// Too short, or with a malformed header.
    SrtpShort,
    /// The authentication tag is wrong.
    SrtpAuth,
    /// Seen before, or too old to tell.
    SrtpReplay,
}

impl DropReason {
    /// All reasons, in the order of [`index`](Self::index).
    pub const ALL: [Self; 14] = [
        Self::Closed,
        Self::Backlog,
        Self::NotMedia,
        Self::UnprovenPath,
        Self::StunMalformed,
        Self::StunIgnored,
        Self::StunUsername,
        Self::StunIntegrity,
        Self::DtlsGuard,
        Self::DtlsFailed,
        Self::SrtpNotReady,
        Self::SrtpShort,
        Self::SrtpAuth,
        Self::SrtpReplay,
    ];

    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Backlog => "backlog",
            Self::NotMedia => "not-media",
            Self::UnprovenPath => "unproven-path",
            Self::StunMalformed => "stun-malformed",
            Self::StunIgnored => "stun-ignored",
            Self::StunUsername => "stun-username",
            Self::StunIntegrity => "stun-integrity",
            Self::DtlsGuard => "dtls-guard",
            Self::DtlsFailed => "dtls-failed",
            Self::SrtpNotReady => "srtp-not-ready",
            Self::SrtpShort => "srtp-short",
            Self::SrtpAuth => "srtp-auth",
            Self::SrtpReplay => "srtp-replay",
        }
    }

    /// The place in [`ALL`](Self::ALL), for an array of counters.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Why a peer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// No valid check within 15 s of the start, or no nomination within 15 s of the first.
    IceTimeout,
    /// The peer was silent for 30 s, which ends its consent (RFC 7675).
    IceConsent,
    /// The handshake did not finish within 10 s.
    DtlsTimeout,
    /// The certificate is not the one the session description promises.
    DtlsFingerprint,
    /// The peer showed no certificate; one it cannot use, such as RSA, may be the cause.
    DtlsNoCertificate,
    /// The handshake, or an established session, failed for this reason.
    DtlsFailed(String),
    /// The SCTP association ended, and what may follow is not worth waiting for.
    Sctp(EndReason),
    /// The peer said goodbye (`close_notify`).
    Remote,
}

impl CloseReason {
    /// The stable word that programs switch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IceTimeout => "ice/timeout",
            Self::IceConsent => "ice/consent",
            Self::DtlsTimeout => "dtls/timeout",
            Self::DtlsFingerprint => "dtls/fingerprint",
            Self::DtlsNoCertificate => "dtls/no-certificate",
            Self::DtlsFailed(_) => "dtls/failed",
            Self::Sctp(reason) => reason.code(),
            Self::Remote => "peer/closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_finds_its_reason_and_words_are_unique() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason:?}");
        }
        let words: std::collections::HashSet<_> = DropReason::ALL.into_iter().map(DropReason::as_str).collect();
        assert_eq!(words.len(), DropReason::ALL.len());
    }
}

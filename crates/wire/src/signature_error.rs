use thiserror::Error;

/// Why a signed message is refused.
///
/// The two time errors are only given for a message whose signature is right, so they tell a stranger nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// There is no signature header, or it is empty.
    #[error("the signature header is missing; send the header that came with the message")]
    Missing,
    /// The header has not the agreed form.
    #[error("the signature header is malformed; it must have one timestamp and at least one signature")]
    Malformed,
    /// No signature in the header fits the body and any live secret.
    #[error("no signature fits; check the secret, and sign the exact bytes of the body")]
    Mismatch,
    /// The timestamp is further back than the tolerance allows.
    #[error("the signature is too old; sign again with the present time, and check this machine's clock")]
    TooOld,
    /// The timestamp is further ahead than the tolerance allows.
    #[error("the signature's time is in the future; check the clocks of both machines")]
    InFuture,
}

/// `t`, if it lies within the tolerance of `now`.
pub(crate) fn check_time(t: i64, now: i64, tolerance_secs: i64) -> Result<i64, SignatureError> {
    if t < now.saturating_sub(tolerance_secs) {
        Err(SignatureError::TooOld)
    } else if t > now.saturating_add(tolerance_secs) {
        Err(SignatureError::InFuture)
    } else {
        Ok(t)
    }
}

/// A Unix time as these headers write it: decimal digits and nothing else.
pub(crate) fn parse_unix_time(text: &str) -> Result<i64, SignatureError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SignatureError::Malformed);
    }
    text.parse().map_err(|_| SignatureError::Malformed)
}

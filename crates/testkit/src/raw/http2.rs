//! Frames of HTTP/2 (RFC 9113), written by hand.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Of types (RFC 9113 section 6).
pub const DATA: u8 = 0;
/// See [`DATA`].
pub const HEADERS: u8 = 1;
/// See [`DATA`].
pub const RST_STREAM: u8 = 3;
/// See [`DATA`].
pub const SETTINGS: u8 = 4;
/// See [`DATA`].
pub const PUSH_PROMISE: u8 = 5;
/// See [`DATA`].
pub const PING: u8 = 6;
/// See [`DATA`].
pub const GOAWAY: u8 = 7;
/// See [`DATA`].
pub const WINDOW_UPDATE: u8 = 8;
/// See [`DATA`].
pub const CONTINUATION: u8 = 9;

/// The flag of a stream's last frame.
pub const END_STREAM: u8 = 1;
/// The flag of a header block's last frame.
pub const END_HEADERS: u8 = 4;

/// The header block `:status: 200`, from HPACK's static table (RFC 7541).
pub const STATUS_200: &[u8] = &[0x88];
/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A SETTINGS frame of identifiers and values.
#[must_use]
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let pairs = values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &pairs.collect::<Vec<_>>())
}

/// A header of literals, neither indexed nor compressed (RFC 7541 section 6.2.2); both shorter than 127 bytes.
#[must_use]
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let short = |text: &str| u8::try_from(text.len().min(126)).unwrap_or(0);
    [&[0, short(name)], name.as_bytes(), &[short(value)], value.as_bytes()].concat()
}

/// Reads a client's preface and frames until it has sent a whole request, whose stream is answered.
pub async fn read_request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<u32> {
    let mut preface = vec![0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != PREFACE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    loop {
        let (kind, flags, number) = read_frame(stream).await?;
        if kind == SETTINGS && flags == 0 {
            stream.write_all(&frame(SETTINGS, 1, 0, b"")).await?;
            stream.flush().await?;
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Ok(number);
        }
    }
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    stream.read_exact(&mut payload).await?;
    let number = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Ok((head[3], head[4], number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_rfc_9113() {
        assert_eq!(frame(PING, 1, 0, &[7; 8]), [&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &[7; 8]].concat());
        assert_eq!(settings(&[(4, 0)]), [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
        assert_eq!(literal("a", "bc"), [0, 1, b'a', 2, b'b', b'c']);
    }
}

//! Making several values of one input, and changing one byte of a value.

/// The text before the first line break, if it is one, and all bytes after it.
pub(crate) fn first_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let rest = input.get(end + 1..).unwrap_or_default();
    std::str::from_utf8(&input[..end]).ok().map(|line| (line, rest))
}

/// The bytes, one of them changed; which one, and to what, follows from the input. Nothing has no byte to change.
pub(crate) fn changed(value: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let seed = seed(input);
    let mut changed = value.to_vec();
    let at = (seed >> 8) % u64::try_from(changed.len()).ok().filter(|length| *length > 0)?;
    let byte = changed.get_mut(usize::try_from(at).ok()?)?;
    *byte ^= u8::try_from(seed % 255 + 1).unwrap_or(1);
    Some(changed)
}

/// The same of an ASCII text, whose changed byte is printable.
pub(crate) fn changed_text(value: &str, input: &[u8]) -> Option<String> {
    let seed = seed(input);
    let length = u64::try_from(value.len()).ok().filter(|length| *length > 0)?;
    let at = usize::try_from((seed >> 8) % length).ok()?;
    let to = char::from(u8::try_from(0x20 + seed % 95).unwrap_or(b' '));
    let changed = format!("{}{to}{}", value.get(..at)?, value.get(at + 1..)?);
    (changed != value).then_some(changed)
}

/// Bytes of a fixed length, made of the input.
pub(crate) fn array<const N: usize>(input: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (at, byte) in input.iter().enumerate() {
        array[at % N] ^= byte;
    }
    array
}

/// FNV-1a: spreads an input over a number.
fn seed(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |seed, byte| {
        (seed ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

use std::borrow::Cow;
use std::cmp::Ordering;

use super::JsonError;

/// Reads the string at the start of `json`, which is its opening quote: its characters in UTF-8, and the bytes that it takes with both quotes.
///
/// A borrowed string is in its canonical form already; one that has escapes is not known to be.
#[inline]
pub(super) fn read_text(json: &[u8]) -> Result<(Cow<'_, [u8]>, usize), JsonError> {
    let text = &json[1..];
    let end = plain_length(text);
    match text.get(end) {
        Some(b'"') => Ok((Cow::Borrowed(&text[..end]), end + 2)),
        Some(b'\\') => read_escaped(text, end).map(|(characters, length)| (Cow::Owned(characters), length + 1)),
        _ => Err(JsonError::Invalid),
    }
}

/// Reads a string from behind its opening quote, of which the first escape is known.
fn read_escaped(text: &[u8], first: usize) -> Result<(Vec<u8>, usize), JsonError> {
    let mut characters = text[..first].to_vec();
    let mut at = first;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok((characters, at + 1)),
            Some(b'\\') => {
                let (character, length) = read_escape(&text[at + 1..])?;
                characters.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += 1 + length;
            }
            _ => return Err(JsonError::Invalid),
        }
        let plain = plain_length(&text[at..]);
        characters.extend_from_slice(&text[at..at + plain]);
        at += plain;
    }
}

/// The character of an escape, from behind its backslash, and the bytes that it takes there.
fn read_escape(bytes: &[u8]) -> Result<(char, usize), JsonError> {
    let character = match bytes.first() {
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return read_unicode_escape(&bytes[1..]),
        _ => return Err(JsonError::Invalid),
    };
    Ok((character, 1))
}

fn read_unicode_escape(bytes: &[u8]) -> Result<(char, usize), JsonError> {
    let first = hex4(bytes)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 5));
    }
    let Some(low) = bytes.get(4..).and_then(|rest| rest.strip_prefix(b"\\u")) else {
        return Err(JsonError::LoneSurrogate);
    };
    let second = hex4(low)?;
    match (first, second) {
        (0xd800..=0xdbff, 0xdc00..=0xdfff) => {
            let point = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            char::from_u32(point).map(|character| (character, 11)).ok_or(JsonError::LoneSurrogate)
        }
        _ => Err(JsonError::LoneSurrogate),
    }
}

fn hex4(bytes: &[u8]) -> Result<u32, JsonError> {
    let digits = bytes.get(..4).ok_or(JsonError::Invalid)?;
    digits.iter().try_fold(0, |value, &digit| {
        char::from(digit).to_digit(16).map(|digit| value << 4 | digit).ok_or(JsonError::Invalid)
    })
}

/// Writes characters as a string in quotes, with the escapes of RFC 8785 §3.2.2.2.
pub(super) fn write_text(characters: &[u8], out: &mut Vec<u8>) {
    let mut rest = characters;
    out.push(b'"');
    loop {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else {
            break;
        };
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// Bytes before the first quote, backslash or control character; all of them where there is none.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ');
    bytes.len() - rest.len() + special.unwrap_or(rest.len())
}

/// A word whose lowest set bit is in the first byte that is a quote, a backslash or below 0x20; 0 where none is.
///
/// A borrow of the subtractions can set bits in bytes above that one only.
#[inline]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    (below | quotes | backslashes) & HIGH
}

/// Orders strings in UTF-8 by their UTF-16 code units (RFC 8785 §3.2.3), which differs from the order of code points in one way: characters
/// past U+FFFF start with a surrogate and therefore come before U+E000 to U+FFFF.
#[inline]
pub(super) fn utf16_order(left: &[u8], right: &[u8]) -> Ordering {
    match std::iter::zip(left, right).find(|(left, right)| left != right) {
        // Bytes from 0xee up only lead a character; 0xf0 and above lead those past U+FFFF.
        Some((left @ 0xee.., right @ 0xee..)) if (*left < 0xf0) != (*right < 0xf0) => right.cmp(left),
        Some((left, right)) => left.cmp(right),
        None => left.len().cmp(&right.len()),
    }
}

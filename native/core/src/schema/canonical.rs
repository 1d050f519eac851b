use std::borrow::Cow;
use std::cmp::Ordering;

use super::JsonError;
use super::number::read_number;
use super::text::{read_text, utf16_order, write_text};

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 256;

/// The canonical form (RFC 8785) of JSON text, in UTF-8.
///
/// # Errors
/// [`JsonError`] if the text has none.
pub fn canonicalize(json: &str) -> Result<Vec<u8>, JsonError> {
    let mut canonicalizer = Canonicalizer {
        json: json.as_bytes(),
        at: 0,
        copied: 0,
        out: Vec::with_capacity(json.len()),
        open: Vec::with_capacity(16),
        members: Vec::with_capacity(64),
        scratch: Vec::with_capacity(json.len()),
    };
    canonicalizer.document()?;
    Ok(canonicalizer.out)
}

/// Reads the text once, and puts the members of an object in order when the object ends. No tree, no recursion.
///
/// What is canonical already is copied in long stretches: only white space, a token that is spelt differently, and an object to be sorted
/// end one. Between them, the output is what was written plus the text between `copied` and `at`.
struct Canonicalizer<'a> {
    json: &'a [u8],
    /// What was read.
    at: usize,
    /// What of that is in the output.
    copied: usize,
    out: Vec<u8>,
    open: Vec<Container>,
    /// The members of all open objects, those of inner objects behind those of outer ones.
    members: Vec<Member<'a>>,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Container {
    Array,
    Object {
        /// Index of its first member.
        first: usize,
        /// Whether its members came in order so far.
        ordered: bool,
    },
}

/// A member of an object: its name, and where it lies in the output.
struct Member<'a> {
    name: Cow<'a, [u8]>,
    start: usize,
    end: usize,
}

impl<'a> Canonicalizer<'a> {
    fn document(&mut self) -> Result<(), JsonError> {
        loop {
            let ended = self.value()?;
            if ended && !self.next_value()? {
                break;
            }
        }
        self.copy();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(JsonError::Invalid),
        }
    }

    /// Reads a value up to its end, or up to its first inner value; says which.
    fn value(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b'"') => drop(self.text()?),
            Some(b'{') => return self.begin_object(),
            Some(b'[') => return self.begin_array(),
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            Some(_) => self.number()?,
            None => return Err(JsonError::Invalid),
        }
        Ok(true)
    }

    /// Goes on behind a value: closes what ends here, and says whether another value follows.
    fn next_value(&mut self) -> Result<bool, JsonError> {
        while let Some(&container) = self.open.last() {
            match (self.peek(), container) {
                (Some(b','), Container::Array) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b','), Container::Object { .. }) => {
                    self.end_member();
                    self.at += 1;
                    self.begin_member()?;
                    return Ok(true);
                }
                (Some(b']'), Container::Array) => {}
                (Some(b'}'), Container::Object { first, ordered }) => {
                    self.end_member();
                    if !ordered {
                        self.sort_members(first)?;
                    }
                    self.members.truncate(first);
                }
                _ => return Err(JsonError::Invalid),
            }
            self.at += 1;
            self.open.pop();
        }
        Ok(false)
    }

    fn begin_array(&mut self) -> Result<bool, JsonError> {
        self.begin(Container::Array)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            self.open.pop();
            return Ok(true);
        }
        Ok(false)
    }

    fn begin_object(&mut self) -> Result<bool, JsonError> {
        self.begin(Container::Object { first: self.members.len(), ordered: true })?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.open.pop();
            return Ok(true);
        }
        self.begin_member()?;
        Ok(false)
    }

    fn begin(&mut self, container: Container) -> Result<(), JsonError> {
        if self.open.len() == MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        self.open.push(container);
        Ok(())
    }

    fn begin_member(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(JsonError::Invalid);
        }
        let start = self.position();
        let name = self.text()?;
        if self.peek() != Some(b':') {
            return Err(JsonError::Invalid);
        }
        self.at += 1;
        if let Some(Container::Object { first, ordered }) = self.open.last_mut()
            && *ordered
            && let Some(last) = self.members[*first..].last()
        {
            *ordered = utf16_order(&last.name, &name) == Ordering::Less;
        }
        self.members.push(Member { name, start, end: start });
        Ok(())
    }

    fn end_member(&mut self) {
        let end = self.position();
        if let Some(member) = self.members.last_mut() {
            member.end = end;
        }
    }

    fn sort_members(&mut self, first: usize) -> Result<(), JsonError> {
        self.copy();
        let members = &mut self.members[first..];
        let start = members[0].start;
        members.sort_unstable_by(|left, right| utf16_order(&left.name, &right.name));
        if members.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return Err(JsonError::Invalid);
        }
        self.scratch.clear();
        for member in members {
            self.scratch.extend_from_slice(&self.out[member.start..member.end]);
            self.scratch.push(b',');
        }
        // The last comma stays behind.
        self.scratch.pop();
        self.out[start..].copy_from_slice(&self.scratch);
        Ok(())
    }

    /// Reads a string and returns its characters.
    #[inline]
    fn text(&mut self) -> Result<Cow<'a, [u8]>, JsonError> {
        let (text, length) = read_text(&self.json[self.at..])?;
        if let Cow::Owned(characters) = &text {
            self.copy();
            write_text(characters, &mut self.out);
            self.copied = self.at + length;
        }
        self.at += length;
        Ok(text)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let (length, value) = read_number(&self.json[self.at..])?;
        if let Some(value) = value {
            self.copy();
            self.out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
            self.copied = self.at + length;
        }
        self.at += length;
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.json[self.at..].starts_with(word) {
            return Err(JsonError::Invalid);
        }
        self.at += word.len();
        Ok(())
    }

    /// The next byte that is no white space, which `at` then stands on.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.json.get(self.at) {
            Some(&byte) if byte > b' ' => Some(byte),
            Some(_) => self.skip_white_space(),
            None => None,
        }
    }

    #[cold]
    fn skip_white_space(&mut self) -> Option<u8> {
        self.copy();
        let rest = &self.json[self.at..];
        let skipped = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += skipped;
        self.copied = self.at;
        self.json.get(self.at).copied()
    }

    /// Where `at` is in the output.
    #[inline]
    fn position(&self) -> usize {
        self.out.len() + self.at - self.copied
    }

    /// Brings the output up to `at`.
    #[inline]
    fn copy(&mut self) {
        self.out.extend_from_slice(&self.json[self.copied..self.at]);
        self.copied = self.at;
    }
}

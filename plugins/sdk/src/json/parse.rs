//! Reading JSON strictly (RFC 8259), and no deeper than is safe.

use std::{borrow::Cow, error, fmt};

use super::Value;

/// How deep arrays and objects may stand in one another. A text that goes deeper is refused, not followed: it would cost
/// the stack.
pub const MAX_DEPTH: usize = 128;

/// Why a text is no JSON. It does not show the text, which may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The byte at which it is found out.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

impl error::Error for Invalid {}

/// Reads a JSON text.
///
/// # Errors
/// It is no JSON, or deeper than [`MAX_DEPTH`].
pub fn parse(text: &str) -> Result<Value<'_>, Invalid> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.value()?;
    reader.blanks();
    if reader.at < text.len() { Err(reader.invalid("something follows the value")) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn invalid(&self, why: &'static str) -> Invalid {
        Invalid { at: self.at, why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_while(&mut self, is: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is) {
            self.at += 1;
        }
    }

    fn blanks(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// Takes the byte if it is next.
    fn takes(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// What was read since `start`, which like `at` stands at an ASCII character or after one.
    fn since(&self, start: usize) -> Cow<'t, str> {
        Cow::Borrowed(self.text.get(start..self.at).unwrap_or_default())
    }

    fn value(&mut self) -> Result<Value<'t>, Invalid> {
        self.blanks();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::Scalar(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.invalid("a value is missing")),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<Value<'t>, Invalid>) -> Result<Value<'t>, Invalid> {
        if self.depth == MAX_DEPTH {
            return Err(self.invalid("too many arrays and objects in one another"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value<'t>, Invalid> {
        let mut elements = Vec::new();
        self.blanks();
        if self.takes(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.blanks();
            if self.takes(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.takes(b',') {
                return Err(self.invalid("a comma or the array's end is missing"));
            }
        }
    }

    fn object(&mut self) -> Result<Value<'t>, Invalid> {
        let mut members = Vec::new();
        self.blanks();
        if self.takes(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.invalid("a member's name is missing"));
            }
            let name = self.string()?;
            self.blanks();
            if !self.takes(b':') {
                return Err(self.invalid("a colon is missing"));
            }
            members.push((name, self.value()?));
            self.blanks();
            if self.takes(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.takes(b',') {
                return Err(self.invalid("a comma or the object's end is missing"));
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'t, str>, Invalid> {
        let start = self.at;
        self.at += 1;
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.since(start));
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.invalid("a control character stands in a string")),
                None => return Err(self.invalid("a string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        let length = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.invalid("\\u is not followed by four hexadecimal digits"));
                }
                6
            }
            _ => return Err(self.invalid("an escape that there is not")),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'t>, Invalid> {
        let start = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'+') || self.takes(b'-');
            self.digits()?;
        }
        Ok(Value::Scalar(self.since(start)))
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.at == start { Err(self.invalid("a digit is missing")) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &'static str) -> Result<Value<'t>, Invalid> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.invalid("a value is missing"));
        }
        self.at += literal.len();
        Ok(Value::Scalar(Cow::Borrowed(literal)))
    }
}

//! As much JSON (RFC 8259) as tokens have, read strictly: bounded in size, depth and members, no member twice.

use std::fmt::Write as _;

/// Bytes of a text.
const TEXT_MAX: usize = 6_144;
/// How deep values may lie in each other; a token's lie three deep.
const DEPTH_MAX: usize = 8;
/// Values in a text, names of members included.
const VALUES_MAX: usize = 256;

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    /// `null`, `true`, `false`, or a number that is not whole: nobody asks for them.
    Other,
    /// A whole number.
    Whole(i64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object; every name stands once.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads one object that is the whole text; `None` if it is none, or too large.
    pub(super) fn object(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= TEXT_MAX)?;
        let mut reader = Reader { rest: text, left: VALUES_MAX };
        let value = reader.value(DEPTH_MAX)?;
        reader.skip_blanks();
        (reader.rest.is_empty() && matches!(value, Self::Object(_))).then_some(value)
    }

    /// A member of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The string that it is.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

struct Reader<'t> {
    rest: &'t str,
    left: usize,
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes this if it comes next, behind blanks.
    fn takes(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let after = self.rest.strip_prefix(token);
        if let Some(after) = after {
            self.rest = after;
        }
        after.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        self.skip_blanks();
        match self.rest.as_bytes().first()? {
            b'{' => self.members(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => ["null", "true", "false"]
                .iter()
                .any(|word| self.takes(word))
                .then_some(Value::Other),
        }
    }

    fn members(&mut self, depth: usize) -> Option<Value> {
        let mut members: Vec<(String, Value)> = Vec::new();
        self.takes("{");
        if self.takes("}") {
            return Some(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            self.left = self.left.checked_sub(1)?;
            let name = self.string()?;
            // Who reads the first and who reads the last would read two different tokens.
            if members.iter().any(|(known, _)| *known == name) || !self.takes(":") {
                return None;
            }
            let value = self.value(depth)?;
            members.push((name, value));
            if self.takes("}") {
                return Some(Value::Object(members));
            }
            if !self.takes(",") {
                return None;
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut list = Vec::new();
        self.takes("[");
        if self.takes("]") {
            return Some(Value::List(list));
        }
        loop {
            list.push(self.value(depth)?);
            if self.takes("]") {
                return Some(Value::List(list));
            }
            if !self.takes(",") {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(escaped(&mut chars)?),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }

    fn number(&mut self) -> Option<Value> {
        let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.bytes().take_while(u8::is_ascii_digit).count();
        if whole == 0 || whole > 1 && digits.starts_with('0') {
            return None;
        }
        if whole == digits.len() {
            return text.parse().ok().map(Value::Whole);
        }
        is_fraction(digits.get(whole..)?).then_some(Value::Other)
    }
}

/// What follows the whole part of a number: a fraction, an exponent, or both.
fn is_fraction(tail: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (fraction, exponent) = match tail.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (tail, None),
    };
    let is_good = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(is_digits);
    is_good && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = hex(chars)?;
            if !(0xd800..0xdc00).contains(&high) {
                return char::from_u32(high);
            }
            if chars.next()? != '\\' || chars.next()? != 'u' {
                return None;
            }
            let low = hex(chars).filter(|low| (0xdc00..0xe000).contains(low))?;
            char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?
        }
        _ => return None,
    })
}

fn hex(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |sum, _| Some(sum << 4 | chars.next()?.to_digit(16)?))
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Value> {
        Value::object(text.as_bytes())
    }

    #[test]
    fn what_a_token_holds_is_read() {
        let value =
            read(" {\"a\" : [1, -20,\"x\\u00e9\\n\"],\"b\":{\"c\":true},\"d\":1.5e3} ").unwrap();
        let list = [Value::Whole(1), Value::Whole(-20), Value::Text("xé\n".into())];
        assert_eq!(value.get("a"), Some(&Value::List(list.to_vec())));
        assert_eq!(value.get("b").unwrap().get("c"), Some(&Value::Other));
        assert_eq!(value.get("d"), Some(&Value::Other));
        assert_eq!(
            read("{\"a\":\"\\ud83d\\ude00\"}").unwrap().get("a").unwrap().text(),
            Some("😀")
        );
    }

    #[test]
    fn what_is_no_json_or_has_two_readings_is_refused() {
        for wrong in [
            "",
            "[]",
            "1",
            "{",
            "{}x",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":--1}",
            "{\"a\":1.}",
            "{\"a\":nul}",
            "{\"a\":1e}",
            "{\"a\":99999999999999999999}",
            "{\"a\":[1,]}",
            "{\"a\":'b'}",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Value::object(b"{\"a\":\"\xff\"}"), None);
    }

    /// Row 163: what is nested or counted without end costs its sender a refusal and us nothing.
    #[test]
    fn row_163_json_is_bounded_in_size_depth_and_members() {
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH_MAX - 1)).is_some());
        assert_eq!(read(&nested(DEPTH_MAX)), None);
        assert_eq!(read(&nested(3_000)), None);
        let many = |count: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(count));
        assert!(read(&many(100)).is_some());
        assert_eq!(read(&many(VALUES_MAX)), None);
        assert_eq!(read(&format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_MAX))), None);
    }

    proptest! {
        #[test]
        fn a_string_that_is_written_is_read(text in "\\PC{0,40}|[\\x00-\\x7f]{0,20}") {
            let json = format!("{{\"a\":{}}}", quoted(&text));
            let value = read(&json).unwrap();
            prop_assert_eq!(value.get("a").unwrap().text(), Some(&*text));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Value::object(&bytes);
        }

        #[test]
        fn no_near_json_panics(text in "\\{?[\\[\\]{}\":,0-9eE.\\\\ua-f\\- ]{0,80}") {
            let _ = read(&text);
        }
    }
}

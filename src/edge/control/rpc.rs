//! JSON-RPC 2.0, one object per line: bytes to calls and answers to bytes, without a socket.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::edge::command::CommandError;

/// Calls in one batch; a longer one is refused whole.
pub const BATCH_MAX: usize = 100;

/// The error object of an answer (JSON-RPC 2.0 §5.1).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RpcError {
    /// -32700 to -32600 are the protocol's, -32099 to -32000 ours.
    pub code: i64,
    /// For a person.
    pub message: String,
    /// For a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    fn suggest(mut self, near: Option<&str>) -> Self {
        self.data = near.map(|near| json!({ "suggestion": near }));
        self
    }

    /// The line is not JSON.
    #[must_use]
    pub fn parse() -> Self {
        Self::new(-32700, "the line is not JSON")
    }

    /// The line is JSON and no request.
    #[must_use]
    pub fn invalid(message: &str) -> Self {
        Self::new(-32600, message)
    }

    /// The method does not exist.
    #[must_use]
    pub fn unknown_method(method: &str, near: Option<&str>) -> Self {
        let short: String = method.chars().take(64).collect();
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Self::new(-32601, format!("unknown method `{short}`{hint}")).suggest(near)
    }

    /// A parameter does not exist.
    #[must_use]
    pub fn unknown_param(name: &str, near: Option<&str>, known: &[&str]) -> Self {
        let short: String = name.chars().take(64).collect();
        let hint = match near {
            Some(near) => format!("; did you mean `{near}`?"),
            None if known.is_empty() => "; the method takes none".to_owned(),
            None => format!("; the method takes {}", known.join(", ")),
        };
        Self::new(-32602, format!("unknown parameter `{short}`{hint}")).suggest(near)
    }

    /// A parameter is missing or malformed.
    #[must_use]
    pub fn bad_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

impl From<&CommandError> for RpcError {
    fn from(error: &CommandError) -> Self {
        Self { code: error.code(), message: error.to_string(), data: error.data() }
    }
}

/// One request.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// A string, a number or null; `None` makes it a notification, which is not answered.
    pub id: Option<Value>,
    /// What to do.
    pub method: String,
    /// With what.
    pub params: Option<Value>,
}

/// A request that cannot be carried out, with the id to answer to.
#[derive(Clone, PartialEq, Debug)]
pub struct BadCall {
    /// Null where it could not be read.
    pub id: Value,
    /// What is wrong.
    pub error: RpcError,
}

/// What a line holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// Only blanks: ignored.
    Empty,
    /// One request.
    One(Result<Call, BadCall>),
    /// Several; their answers come in one array.
    Batch(Vec<Result<Call, BadCall>>),
}

/// Reads one line, with or without its line end. Never fails: what is wrong is part of the answer.
#[must_use]
pub fn parse_line(line: &[u8]) -> Line {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Line::Empty;
    }
    let bad = |error| Line::One(Err(BadCall { id: Value::Null, error }));
    match serde_json::from_slice(line) {
        Err(_) => bad(RpcError::parse()),
        Ok(Value::Array(list)) if list.is_empty() => bad(RpcError::invalid("the batch is empty")),
        Ok(Value::Array(list)) if list.len() > BATCH_MAX => {
            bad(RpcError::invalid("the batch has more than 100 requests"))
        }
        Ok(Value::Array(list)) => Line::Batch(list.into_iter().map(parse_call).collect()),
        Ok(value) => Line::One(parse_call(value)),
    }
}

fn parse_call(value: Value) -> Result<Call, BadCall> {
    let bad = |id, message| Err(BadCall { id, error: RpcError::invalid(message) });
    let Value::Object(mut map) = value else {
        return bad(Value::Null, "a request is an object");
    };
    let id = match map.remove("id") {
        id @ (None | Some(Value::Null | Value::Number(_) | Value::String(_))) => id,
        Some(_) => return bad(Value::Null, "`id` must be a string, a number or null"),
    };
    let known = || id.clone().unwrap_or(Value::Null);
    if map.get("jsonrpc") != Some(&Value::from("2.0")) {
        return bad(known(), "`jsonrpc` must be \"2.0\"");
    }
    let Some(Value::String(method)) = map.remove("method") else {
        return bad(known(), "`method` must be a string");
    };
    let params = map.remove("params");
    if !matches!(params, None | Some(Value::Object(_) | Value::Array(_) | Value::Null)) {
        return bad(known(), "`params` must be an object");
    }
    Ok(Call { id, method, params })
}

/// The answer to one request.
#[must_use]
pub fn answer(id: Value, result: Result<Value, RpcError>) -> Value {
    let mut map = Map::new();
    map.insert("jsonrpc".to_owned(), Value::from("2.0"));
    map.insert("id".to_owned(), id);
    match result {
        Ok(result) => map.insert("result".to_owned(), result),
        Err(error) => map.insert("error".to_owned(), json!(error)),
    };
    Value::Object(map)
}

/// A message that the server sends by itself.
#[must_use]
pub fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(line: &str) -> i64 {
        match parse_line(line.as_bytes()) {
            Line::One(Err(bad)) => bad.error.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_and_a_bad_one_has_its_code() {
        let line = br#"{"jsonrpc":"2.0","id":1,"method":"status"}"#;
        let call = Call { id: Some(json!(1)), method: "status".to_owned(), params: None };
        assert_eq!(parse_line(line), Line::One(Ok(call)));
        assert_eq!(parse_line(b" \r\n"), Line::Empty);
        assert_eq!(code("{"), -32700);
        assert_eq!(code("\u{1}"), -32700);
        assert_eq!(code("5"), -32600);
        assert_eq!(code("[]"), -32600);
        assert_eq!(code(r#"{"id":1,"method":"status"}"#), -32600);
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1}"#), -32600);
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":{},"method":"status"}"#), -32600);
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"status","params":5}"#), -32600);
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(code(&deep), -32700);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_line(&line);
        }
    }
}

//! Named parameters of a method call, read with their own errors.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{nearest, reply};
use crate::edge::control::rpc::RpcError;
use crate::edge::store::{RecordFilter, RecordingFilter};
use crate::proto::time::Wall;
use crate::switch::cdr::record::CallId;
use crate::switch::recording::RecordOrder;

/// Characters of an extension or a dialled number.
const PARTY_MAX: usize = 64;
/// Bytes of a reason.
const REASON_MAX: usize = 200;

/// The parameters, all of them known by name.
pub(super) struct Params<'v> {
    map: Option<&'v Map<String, Value>>,
}

impl<'v> Params<'v> {
    pub(super) fn new(params: Option<&'v Value>, names: &[&str]) -> Result<Self, RpcError> {
        let map = match params {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(Value::Array(list)) if list.is_empty() => None,
            Some(_) => return Err(RpcError::bad_params("parameters are named: send an object")),
        };
        for name in map.into_iter().flat_map(Map::keys) {
            if !names.contains(&name.as_str()) {
                let near = nearest(name, names.iter().copied());
                return Err(RpcError::unknown_param(name, near, names));
            }
        }
        Ok(Self { map })
    }

    pub(super) fn is_given(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A word that has to be there.
    pub(super) fn word(&self, name: &str) -> Result<&'v str, RpcError> {
        self.needed(name)
    }

    /// A whole number that may be less than nothing.
    pub(super) fn signed(&self, name: &str) -> Result<Option<i64>, RpcError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| RpcError::bad_params(format!("`{name}` must be a whole number"))),
        }
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'v str>, RpcError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(RpcError::bad_params(format!("`{name}` must be a string"))),
        }
    }

    fn needed(&self, name: &str) -> Result<&'v str, RpcError> {
        self.text(name)?.ok_or_else(|| RpcError::bad_params(format!("`{name}` is missing")))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, RpcError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| {
                RpcError::bad_params(format!("`{name}` must be a whole number from 0"))
            }),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, RpcError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_bool()
                .map(Some)
                .ok_or_else(|| RpcError::bad_params(format!("`{name}` must be true or false"))),
        }
    }

    pub(super) fn call(&self, name: &str) -> Result<CallId, RpcError> {
        let text = self.needed(name)?;
        let is_hex = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.parse() {
            Ok(call) if is_hex => Ok(call),
            _ => Err(RpcError::bad_params(format!("`{name}` must be up to 16 hex digits"))),
        }
    }

    pub(super) fn party(&self, name: &str) -> Result<String, RpcError> {
        let text = self.needed(name)?;
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.+*#".contains(c);
        if text.is_empty() || text.len() > PARTY_MAX || !text.chars().all(is_good) {
            let message = format!("`{name}` must be an extension or a number to dial");
            return Err(RpcError::bad_params(message));
        }
        Ok(text.to_owned())
    }

    pub(super) fn name(&self, name: &str) -> Result<String, RpcError> {
        let text = self.needed(name)?;
        if text.is_empty() || text.len() > PARTY_MAX || text.chars().any(char::is_control) {
            return Err(RpcError::bad_params(format!("`{name}` must be a name")));
        }
        Ok(text.to_owned())
    }

    /// A file's name, which may be empty.
    pub(super) fn file(&self, name: &str) -> Result<Option<String>, RpcError> {
        let text = self.text(name)?;
        let is_good = |text: &&str| text.len() <= 128 && text.chars().all(|c| c.is_ascii_graphic());
        if text.is_some_and(|text| !is_good(&text)) {
            return Err(RpcError::bad_params(format!("`{name}` must be the name of a file")));
        }
        Ok(text.map(str::to_owned))
    }

    pub(super) fn address(&self, name: &str) -> Result<IpAddr, RpcError> {
        let text = self.needed(name)?;
        // A /64 as the list writes it is as good as any address in it.
        let bare = text.strip_suffix("/64").unwrap_or(text);
        bare.parse().map_err(|_| RpcError::bad_params(format!("`{name}` must be an IP address")))
    }

    fn time(&self, name: &str) -> Result<Option<Wall>, RpcError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = || {
            RpcError::bad_params(format!("`{name}` must be a time such as 2026-01-31T08:00:00Z"))
        };
        reply::parse_rfc3339(text).map(Some).ok_or_else(wrong)
    }

    pub(super) fn record_order(&self, name: &str) -> Result<RecordOrder, RpcError> {
        let text = self.needed(name)?;
        RecordOrder::ALL
            .into_iter()
            .find(|order| order.word() == text)
            .ok_or_else(|| RpcError::bad_params(format!("`{name}` must be start, pause or resume")))
    }

    /// Words for the audit: a line of at most 200 characters, and not an empty one.
    pub(super) fn reason(&self, name: &str) -> Result<String, RpcError> {
        let text = self.needed(name)?.trim();
        let is_good =
            !text.is_empty() && text.len() <= REASON_MAX && !text.contains(char::is_control);
        is_good.then(|| text.to_owned()).ok_or_else(|| {
            RpcError::bad_params(format!("`{name}` must be a line of up to {REASON_MAX} bytes"))
        })
    }

    pub(super) fn limit(&self) -> Result<usize, RpcError> {
        let limit = self.number("limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(limit.unwrap_or(RecordFilter::default().limit))
    }

    pub(super) fn recording_filter(&self) -> Result<RecordingFilter, RpcError> {
        let (before, since) = (self.time("before")?, self.time("since")?);
        Ok(RecordingFilter { limit: self.limit()?, before, since })
    }

    pub(super) fn record_filter(&self) -> Result<RecordFilter, RpcError> {
        Ok(RecordFilter {
            limit: self.limit()?,
            before: self.time("before")?,
            since: self.time("since")?,
            caller: self.text("caller")?.map(str::to_owned),
            called: self.text("called")?.map(str::to_owned),
        })
    }
}

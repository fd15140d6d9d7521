//! Configuration for desk phones: their files, made from templates, and the server that they are fetched from.
//!
//! A phone's address is `https://HOST/p/TOKEN/`. The token is its alone, and whoever has it gets the password; the
//! file behind it is made when it is asked for, so it is never older than the configuration in force.

mod brand;
mod request;
mod templates;
mod tokens;
mod values;
mod web;

#[cfg(test)]
mod tests;

pub use self::brand::{File, Found, files, find, needs_mac, steps};
pub use self::templates::{TemplateError, Templates};
pub(crate) use self::tokens::spelt;
pub use self::tokens::{StoredToken, Tokens};
pub use self::values::{Values, server};
pub use self::web::{Ask, Fetched, WebServer};

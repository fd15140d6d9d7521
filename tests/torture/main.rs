//! Hostile, odd and old messages: each has its verdict, none is switched off.
//!
//! `corpus` holds the messages of RFC 4475 and RFC 5118 as files; `catalogue` our own, as a table;
//! `oracle` compares our reading of plain messages with another parser's; `rows` are the wire cases that
//! the whole switchboard answers.

#[cfg(test)]
mod board;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod rows;

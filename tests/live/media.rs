//! What only real sockets can show about media.

#[cfg(test)]
mod media_relay;

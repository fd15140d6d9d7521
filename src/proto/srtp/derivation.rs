//! Session keys from a master key (RFC 3711 §4.3, RFC 7714 §11). The derivation rate is zero: once.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};

use super::MasterKey;

/// What a derived key is for; the numbers are the labels of RFC 3711 §4.3.1 and §4.3.2.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Blocks of the longest derived key: 32 bytes.
const BLOCKS: u8 = 2;

/// The first `N` bytes of the key for this use, at most 32.
pub(super) fn derive<const N: usize>(master: &MasterKey, label: Label) -> [u8; N] {
    let mut start = [0; 16];
    for (to, from) in start.iter_mut().zip(master.salt()) {
        *to = from;
    }
    // The label stands before an index of 48 bits that is zero: byte 7 of 14.
    if let Some(byte) = start.get_mut(7) {
        *byte ^= label as u8;
    }
    let mut stream = [[0; 16]; BLOCKS as usize];
    for (block, counter) in stream.iter_mut().zip(0..BLOCKS) {
        *block = start;
        if let Some(last) = block.last_mut() {
            *last = counter;
        }
        *block = encrypt(master.key(), *block);
    }
    let mut derived = [0; N];
    for (to, from) in derived.iter_mut().zip(stream.as_flattened()) {
        *to = *from;
    }
    derived
}

fn encrypt(key: &[u8], block: [u8; 16]) -> [u8; 16] {
    let mut block = Block::from(block);
    if let Ok(cipher) = Aes128::new_from_slice(key) {
        cipher.encrypt_block(&mut block);
    } else if let Ok(cipher) = Aes256::new_from_slice(key) {
        cipher.encrypt_block(&mut block);
    }
    block.into()
}

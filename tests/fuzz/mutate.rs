//! Hostile variations of a seed: bits, bytes, pieces of other seeds, words of the protocol, lengths.

/// A small generator: the same seed gives the same run (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from((self.next() >> 16) % limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Words that parsers stumble over.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\0",
    b"\xff",
    b"\"",
    b"\\\"",
    b"\\",
    b"<",
    b">",
    b"<>",
    b",",
    b";",
    b";;",
    b":",
    b"::",
    b"[",
    b"]",
    b"[::1]",
    b"[::ffff:1.2.3.4]",
    b"@",
    b"%",
    b"%00",
    b"%4",
    b"?",
    b"=",
    b"*",
    b"0",
    b"-1",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"18446744073709551616",
    b"SIP/2.0",
    b"SIP/2.0 200 OK\r\n",
    b"INVITE ",
    b"ACK ",
    b"CANCEL ",
    b"BYE ",
    b"REGISTER ",
    b"PRACK ",
    b"sip:",
    b"sips:",
    b"tel:",
    b"urn:service:sos",
    b"Via: SIP/2.0/UDP x;branch=z9hG4bK1\r\n",
    b"Content-Length: 0\r\n",
    b"l: 5\r\n",
    b"Contact: *\r\n",
    b"Expires: 0\r\n",
    b";tag=",
    b";rport",
    b";maddr=",
    b";received=",
    b"Route: <sip:x;lr>\r\n",
    b"Require: 100rel\r\n",
    b"Replaces: a;to-tag=b;from-tag=c\r\n",
    b"Authorization: Digest username=\"1001\"\r\n",
    b"Content-Type: multipart/mixed;boundary=b\r\n",
    b"--b",
    b"Content-Type: application/sdp\r\n",
    b"v=0\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"a=rtpmap:0 PCMU/8000\r\n",
    b"c=IN IP6 ::1\r\n",
    b"c=IN IP4 0.0.0.0\r\n",
    b"a=sendonly\r\n",
    b"a=fmtp:101 0-16\r\n",
    b"{\"jsonrpc\":\"2.0\",",
    b"\"method\":",
    b"\"id\":1e999",
    b"[[[[[[[[",
    b"\x80",
    b"\x80\xc8",
    b"\x81\xca\x00\x01",
];

/// One input: a seed with one to eight changes.
pub(crate) fn mutate(dice: &mut Dice, seeds: &[Vec<u8>], max: usize) -> Vec<u8> {
    let mut input = dice.pick(seeds).clone();
    for _ in 0..=dice.below(8) {
        change(dice, &mut input, seeds);
    }
    input.truncate(max);
    input
}

fn change(dice: &mut Dice, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = dice.below(input.len() + 1);
    match dice.below(12) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 if at < input.len() => input[at] = dice.byte(),
        2 => input.insert(at, dice.byte()),
        3 => {
            let end = (at + 1 + dice.below(32)).min(input.len());
            input.drain(at.min(end)..end);
        }
        // A piece doubled, now and then many times: what is quadratic shows by it.
        4 => {
            let end = (at + 1 + dice.below(64)).min(input.len());
            let piece = input[at.min(end)..end].to_vec();
            let times = if dice.below(64) == 0 { 2000 } else { 1 + dice.below(4) };
            input.splice(at..at, piece.repeat(times));
        }
        5 => {
            let other = dice.pick(seeds);
            let from = dice.below(other.len() + 1);
            let end = (from + dice.below(200)).min(other.len());
            input.splice(at..at, other[from..end].iter().copied());
        }
        6 => {
            let other = dice.pick(seeds);
            let from = dice.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        7 | 8 => {
            let word = *dice.pick(WORDS);
            input.splice(at..at, word.iter().copied());
        }
        9 => swap_lines(dice, input),
        10 => edit_number(dice, input, at),
        _ => input.truncate(at),
    }
}

fn swap_lines(dice: &mut Dice, input: &mut Vec<u8>) {
    let mut lines: Vec<_> = input.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() > 2 {
        let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
        lines.swap(a, b);
        let swapped = lines.concat();
        *input = swapped;
    }
}

/// Puts another number where digits stand: lengths, ports, counters.
fn edit_number(dice: &mut Dice, input: &mut Vec<u8>, near: usize) {
    const NUMBERS: &[&[u8]] =
        &[b"0", b"1", b"-1", b"255", b"65535", b"4294967295", b"99999999999999999999"];
    let Some(from) = (near..input.len()).find(|at| input[*at].is_ascii_digit()) else { return };
    let digits = input[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = *dice.pick(NUMBERS);
    input.splice(from..from + digits, number.iter().copied());
}

//! Bodies in the content codings that the gateway undoes, written by hand: gzip (RFC 1952) and deflate,
//! which is zlib (RFC 1950), around DEFLATE (RFC 1951).

/// A body in DEFLATE's blocks, with the checks that the formats around them want.
pub struct Deflated {
    blocks: Vec<u8>,
    length: usize,
    crc: u32,
    adler: u32,
}

/// The body as it is, in stored blocks.
pub fn stored(body: &[u8]) -> Deflated {
    const BLOCK: usize = 0xffff;
    let mut blocks = Vec::new();
    let count = body.len().div_ceil(BLOCK).max(1);
    for number in 0..count {
        let block = &body[number * BLOCK..body.len().min((number + 1) * BLOCK)];
        let length = u16::try_from(block.len()).expect("a block");
        blocks.push(u8::from(number + 1 == count));
        blocks.extend(length.to_le_bytes());
        blocks.extend((!length).to_le_bytes());
        blocks.extend(block);
    }
    Deflated {
        blocks,
        length: body.len(),
        crc: crc32(body),
        adler: adler32(body),
    }
}

/// This many zeros, as small as DEFLATE's fixed codes make them.
pub fn zeros(count: usize) -> Deflated {
    /// The longest match.
    const MATCH: usize = 258;
    let mut bits = Bits::default();
    // The last block, in the fixed codes.
    bits.number(1, 1);
    bits.number(1, 2);
    if count > 0 {
        let matches = (count - 1) / MATCH;
        let literals = count - matches * MATCH;
        bits.code(0x30, 8);
        for _ in 0..matches {
            // 258 bytes from one byte back.
            bits.code(0xc5, 8);
            bits.code(0, 5);
        }
        for _ in 1..literals {
            bits.code(0x30, 8);
        }
    }
    bits.code(0, 7);
    let body = vec![0; count];
    Deflated {
        blocks: bits.bytes,
        length: count,
        crc: crc32(&body),
        adler: adler32(&body),
    }
}

impl Deflated {
    pub fn gzip(&self) -> Vec<u8> {
        // Magic, method, no flags, no time, no extra flags, an unknown system.
        let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let length = u32::try_from(self.length).expect("a small body");
        let tail = [self.crc.to_le_bytes(), length.to_le_bytes()].concat();
        [&head[..], &self.blocks, &tail].concat()
    }

    /// What HTTP calls deflate (RFC 9110, section 8.4.1.2).
    pub fn zlib(&self) -> Vec<u8> {
        let head = [0x78, 0x01];
        [&head[..], &self.blocks, &self.adler.to_be_bytes()].concat()
    }

    /// What some senders call deflate.
    pub fn bare(&self) -> Vec<u8> {
        self.blocks.clone()
    }
}

/// Bits, the lowest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn bit(&mut self, bit: u32) {
        if self.count.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit & 1 == 1) << (self.count % 8);
        }
        self.count += 1;
    }

    /// Numbers stand with their lowest bit first.
    fn number(&mut self, number: u32, bits: u32) {
        (0..bits).for_each(|at| self.bit(number >> at));
    }

    /// Codes stand with their highest bit first.
    fn code(&mut self, code: u32, bits: u32) {
        (0..bits).rev().for_each(|at| self.bit(code >> at));
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn adler32(bytes: &[u8]) -> u32 {
    const PRIME: u32 = 65_521;
    let (mut a, mut b) = (1, 0);
    for &byte in bytes {
        a = (a + u32::from(byte)) % PRIME;
        b = (b + a) % PRIME;
    }
    (b << 16) | a
}

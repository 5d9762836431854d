//! Decoding content encodings piece by piece: gzip (RFC 1952) and deflate (RFC 1950, or RFC 1951 alone: some
//! senders leave out the wrapping, as RFC 9110, section 8.4.1.2 notes).

use bytes::{Buf, Bytes};
use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::limits;

/// Decodes one content encoding in steps. Each takes little input and fills the room there is, so that the
/// caller can bound memory and time.
pub struct Inflater {
    input: Bytes,
    /// Whether no more input comes.
    ended: bool,
    gzip: bool,
    decompress: Decompress,
    crc: Crc,
    state: Step,
}

enum Step {
    /// No input yet: an empty body has no encoding to undo.
    Empty,
    /// Only the first byte of deflate: it takes two to tell whether it is wrapped.
    First(u8),
    /// The header of a gzip member.
    Header(Header),
    Data,
    /// The checksum and the length of a member, as far as they have arrived.
    Trailer([u8; 8], usize),
    /// After the end of a member or of deflate.
    Behind,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inflated {
    /// There is more to do.
    Some,
    /// There is no room left.
    Full,
    /// More input is needed.
    Starved,
    Ended,
}

impl Inflater {
    /// Returns `None` for a coding that is not supported.
    pub fn new(coding: &str) -> Option<Inflater> {
        let gzip = match coding {
            "gzip" | "x-gzip" => true,
            "deflate" => false,
            _ => return None,
        };
        Some(Inflater {
            input: Bytes::new(),
            ended: false,
            gzip,
            decompress: Decompress::new(false),
            crc: Crc::new(),
            state: Step::Empty,
        })
    }

    /// Gives it more input once it is starved.
    pub fn push(&mut self, input: Bytes) {
        self.input = input;
    }

    /// Says that no more input comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Decodes into the room that `decoded` has without growing.
    ///
    /// # Errors
    /// If the encoding is broken, in words for a log.
    pub fn step(&mut self, decoded: &mut Vec<u8>) -> Result<Inflated, String> {
        if decoded.len() == decoded.capacity() {
            return Ok(Inflated::Full);
        }
        if self.input.is_empty() && !matches!(self.state, Step::Data) {
            return self.starve();
        }
        match &mut self.state {
            Step::Data => return self.inflate(decoded),
            Step::Empty if !self.gzip && self.input.len() == 1 => {
                self.state = Step::First(self.input.get_u8());
            }
            Step::Empty if !self.gzip => self.begin_deflate(),
            Step::First(first) => {
                self.input = [&[*first], &self.input[..]].concat().into();
                self.begin_deflate();
            }
            Step::Behind if !self.gzip => return Err(broken("there is data behind its end")),
            // gzip members may follow each other (RFC 1952, section 2.2).
            Step::Empty | Step::Behind => self.state = Step::Header(Header::default()),
            Step::Header(header) => {
                if header.take(&mut self.input)? {
                    self.decompress.reset(false);
                    self.crc.reset();
                    self.state = Step::Data;
                }
            }
            Step::Trailer(trailer, came) => {
                let count = self.input.len().min(trailer.len() - *came);
                self.input.copy_to_slice(&mut trailer[*came..*came + count]);
                *came += count;
                if *came == trailer.len() {
                    let [a, b, c, d, e, f, g, h] = *trailer;
                    let sum = u32::from_le_bytes([a, b, c, d]);
                    let amount = u32::from_le_bytes([e, f, g, h]);
                    if (sum, amount) != (self.crc.sum(), self.crc.amount()) {
                        return Err(broken("its checksum is wrong"));
                    }
                    self.state = Step::Behind;
                }
            }
        }
        Ok(Inflated::Some)
    }

    /// Begins deflate, with at least two bytes: it is wrapped if they are a zlib header (RFC 1950, section
    /// 2.2). Bare deflate looks like one only if its first block is stored with non-zero padding, which no
    /// encoder writes.
    fn begin_deflate(&mut self) {
        let wrapped = match self.input[..] {
            [method, flags, ..] => {
                method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
            }
            _ => false,
        };
        self.decompress.reset(wrapped);
        self.state = Step::Data;
    }

    /// Returns the outcome when the state needs input and there is none.
    fn starve(&self) -> Result<Inflated, String> {
        match self.state {
            _ if !self.ended => Ok(Inflated::Starved),
            Step::Empty | Step::Behind => Ok(Inflated::Ended),
            _ => Err(broken("it ends too early")),
        }
    }

    fn inflate(&mut self, decoded: &mut Vec<u8>) -> Result<Inflated, String> {
        let piece = &self.input[..self.input.len().min(limits::message::INFLATE_PIECE_BYTES)];
        let (taken, length) = (self.decompress.total_in(), decoded.len());
        let status = self
            .decompress
            .decompress_vec(piece, decoded, FlushDecompress::None)
            .map_err(|error| broken(&error.to_string()))?;
        let taken = self.decompress.total_in() - taken;
        self.input.advance(usize::try_from(taken).unwrap_or(0));
        if self.gzip {
            self.crc.update(&decoded[length..]);
        }
        if status == Status::StreamEnd {
            self.state = if self.gzip {
                Step::Trailer([0; 8], 0)
            } else {
                Step::Behind
            };
        } else if taken == 0 && decoded.len() == length {
            // The decoder can do no more with the input that is left; it may go on with more.
            return self.starve();
        }
        Ok(Inflated::Some)
    }
}

/// The header of a gzip member (RFC 1952, section 2.3), which is only skipped.
#[derive(Default)]
struct Header {
    /// Bytes of the fixed part read so far.
    fixed: usize,
    flags: u8,
    /// Bytes of the extra field still to come; `None` until its length is known.
    extra: Option<u16>,
    /// The first byte of a two-byte number.
    half: Option<u8>,
}

impl Header {
    const CHECK: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0b1110_0000;

    /// Takes some input; returns whether the header has ended.
    fn take(&mut self, input: &mut Bytes) -> Result<bool, String> {
        let most = input.len().min(limits::message::INFLATE_PIECE_BYTES);
        for _ in 0..most {
            let byte = input.get_u8();
            if self.fixed < 10 {
                self.take_fixed(byte)?;
            } else if self.flags & Header::EXTRA != 0 {
                self.take_extra(byte);
            } else if self.flags & (Header::NAME | Header::COMMENT) != 0 {
                // Each ends with a zero.
                if byte == 0 {
                    let name = self.flags & Header::NAME;
                    self.flags &= !(if name != 0 { name } else { Header::COMMENT });
                }
            } else if self.half.take().is_some() {
                self.flags &= !Header::CHECK;
            } else {
                self.half = Some(byte);
            }
            let open = Header::EXTRA | Header::NAME | Header::COMMENT | Header::CHECK;
            if self.fixed == 10 && self.flags & open == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_fixed(&mut self, byte: u8) -> Result<(), String> {
        let fits = match self.fixed {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            3 => byte & Header::RESERVED == 0,
            _ => true,
        };
        if !fits {
            return Err(broken("it has no header of gzip"));
        }
        if self.fixed == 3 {
            self.flags = byte;
        }
        self.fixed += 1;
        Ok(())
    }

    fn take_extra(&mut self, byte: u8) {
        let left = match (self.extra, self.half) {
            (None, None) => {
                self.half = Some(byte);
                return;
            }
            (None, Some(low)) => u16::from_le_bytes([low, byte]),
            (Some(left), _) => left - 1,
        };
        self.half = None;
        self.extra = Some(left);
        if left == 0 {
            self.flags &= !Header::EXTRA;
        }
    }
}

fn broken(how: &str) -> String {
    format!("its content-encoding is broken: {how}")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    /// Decodes it, with input in pieces of size `piece` and output in rooms of size `room`.
    fn undo(coding: &str, body: &[u8], piece: usize, room: usize) -> Result<Vec<u8>, String> {
        let mut inflater = Inflater::new(coding).unwrap();
        let mut pieces = body.chunks(piece);
        let mut all = Vec::new();
        let mut decoded = Vec::with_capacity(room);
        loop {
            match inflater.step(&mut decoded)? {
                Inflated::Some => {}
                Inflated::Full => all.append(&mut decoded),
                Inflated::Starved => match pieces.next() {
                    Some(piece) => inflater.push(Bytes::copy_from_slice(piece)),
                    None => inflater.end(),
                },
                Inflated::Ended => {
                    all.append(&mut decoded);
                    return Ok(all);
                }
            }
        }
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(body: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn bodies() -> Vec<Vec<u8>> {
        let noise = (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
        vec![b"a".to_vec(), vec![b'x'; 300_000], noise.collect(), vec![]]
    }

    #[test]
    fn every_cut_gives_the_same() {
        for body in bodies() {
            for (piece, room) in [(1, 7), (3, 64), (1000, 1), (100_000, 65_536)] {
                for (coding, coded) in [
                    ("gzip", gzip(&body)),
                    ("deflate", deflate(&body)),
                    ("deflate", bare(&body, 9)),
                    ("deflate", bare(&body, 0)),
                ] {
                    let undone = undo(coding, &coded, piece, room).unwrap();
                    assert!(undone == body, "{coding} by {piece} into {room}");
                }
            }
        }
    }

    #[test]
    fn members_of_gzip_with_all_their_fields_follow_each_other() {
        let mut member = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra([1, 2, 3, 4])
            .write(Vec::new(), Compression::default());
        member.write_all(b"first ").unwrap();
        let mut body = member.finish().unwrap();
        // The checksum of a header.
        let second = gzip(b"second");
        body.extend([0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0, 7, 7]);
        body.extend(&second[10..]);
        for piece in [1, 2, 100] {
            assert_eq!(undo("x-gzip", &body, piece, 100).unwrap(), b"first second");
        }
    }

    #[test]
    fn an_empty_body_is_empty() {
        assert_eq!(undo("gzip", b"", 1, 1), Ok(vec![]));
        assert_eq!(undo("deflate", b"", 1, 1), Ok(vec![]));
        assert!(Inflater::new("br").is_none());
    }

    #[test]
    fn what_is_broken_is_refused_wherever_it_breaks() {
        for (coding, coded) in [
            ("gzip", gzip(b"body")),
            ("deflate", deflate(b"body")),
            ("deflate", bare(b"body", 9)),
        ] {
            for end in 1..coded.len() {
                assert!(undo(coding, &coded[..end], 3, 9).is_err(), "{coding} {end}");
            }
            let mut behind = coded.clone();
            behind.push(0);
            assert!(undo(coding, &behind, 3, 9).is_err());
        }
        let mut wrong = gzip(b"body");
        let checksum = wrong.len() - 8;
        wrong[checksum] ^= 1;
        assert!(undo("gzip", &wrong, 3, 9).unwrap_err().contains("checksum"));
        assert!(undo("deflate", b"no such thing", 3, 9).is_err());
    }
}

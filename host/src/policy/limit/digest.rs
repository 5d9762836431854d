//! The key of a counter: a digest of its identity, 112 bits of SipHash-2-4 under a random key that never
//! leaves the process, and 16 bits that all keys of one place have in common.
//!
//! Two keys share a counter with a probability of 2^-112; of a million live ones, any two do with 2^-73. A
//! client that does not know the random key can do no better than chance, and sees no digest to learn from.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::{Bound, Limit, Scope, ScopeNames};

/// The first word selects the counter in its shard, the second the shard; the upper 16 bits of the second are
/// those of the place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest([u64; 2]);

impl KeyDigest {
    pub fn shard_bits(self) -> u64 {
        self.0[1]
    }

    /// What tells the keys of one place (an entry, a route, the gateway) from those of others, mostly.
    pub fn place_bits(self) -> u16 {
        (self.0[1] >> 48) as u16
    }
}

impl Hash for KeyDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Uses the digest as it is, since it already is a hash.
#[derive(Clone, Default)]
pub struct ByDigest(u64);

impl Hasher for ByDigest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    /// Never called: a digest writes one word.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}

impl BuildHasher for ByDigest {
    type Hasher = ByDigest;

    fn build_hasher(&self) -> ByDigest {
        ByDigest(0)
    }
}

pub struct Digester {
    keyed: SipHasher24,
}

impl Digester {
    pub fn new() -> Self {
        // The operating system's randomness, as the standard library's maps use it: a pseudo-random
        // function of which two values make an independent key.
        let random = RandomState::new();
        Digester {
            keyed: SipHasher24::new_with_keys(random.hash_one(0_u64), random.hash_one(1_u64)),
        }
    }

    /// Digests a counter's identity. Every part has a fixed length or is preceded by its length, so no two
    /// identities are written as the same bytes: `["a", "bc"]` is not `["ab", "c"]`.
    pub fn digest(&self, place: ScopeNames<'_>, limit: &Limit) -> KeyDigest {
        let mut hasher = self.keyed;
        match limit.scope {
            Scope::Entry => write_part(&mut hasher, 0, place.entry),
            Scope::Route => write_part(&mut hasher, 1, place.route),
            Scope::Gateway => hasher.write_u8(2),
        }
        let place = hasher.finish128().h1;
        match limit.bound {
            Bound::Rate { period_ms, .. } => {
                hasher.write_u8(0);
                hasher.write_u64(period_ms);
            }
            Bound::Quota { period, .. } => {
                hasher.write_u8(1);
                hasher.write_u8(period as u8);
            }
            Bound::Concurrent(_) => hasher.write_u8(2),
        }
        for part in &limit.key {
            write_part(&mut hasher, 0, part);
        }
        let hash = hasher.finish128();
        KeyDigest([hash.h1, hash.h2 >> 16 | place << 48])
    }
}

fn write_part(hasher: &mut SipHasher24, tag: u8, part: &str) {
    hasher.write_u8(tag);
    hasher.write_u64(part.len() as u64);
    hasher.write(part.as_bytes());
}

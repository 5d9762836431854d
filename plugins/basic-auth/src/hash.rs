//! Hashes of passwords: Argon2 (RFC 9106) as PHC strings, and bcrypt in its modular crypt format.
//!
//! Errors never have what was read in them.

use std::cell::RefCell;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64Bcrypt, Encoding};
use tollgate_plugin::crypto;

/// The cost of bcrypt: each step doubles the time. 15 takes about three seconds of the ten that a call
/// can be given at most.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=15;
/// What bcrypt reads of a password, in bytes.
const BCRYPT_BYTES_MAX: usize = 72;
/// Memory of Argon2, in KiB: half of what a plugin can be given at most.
const ARGON2_MEMORY_KIB_MAX: u32 = 512 << 10;
/// Memory of Argon2 times its passes, in KiB: this takes about two seconds.
const ARGON2_WORK_KIB_MAX: u64 = 1 << 20;

pub enum Hash {
    Argon2 {
        function: Box<Argon2<'static>>,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Bcrypt {
        cost: u32,
        salt: [u8; 16],
        output: [u8; 23],
    },
}

/// Memory for Argon2, set aside in `configure`: whether the plugin's limit allows it shows at load and
/// not at the first login, and no call has to ask for it.
pub struct Memory(RefCell<Vec<Block>>);

impl Memory {
    /// Enough for each of the hashes.
    pub fn new<'h>(hashes: impl Iterator<Item = &'h Hash>) -> Result<Memory, String> {
        let blocks = hashes.map(|hash| match hash {
            Hash::Argon2 { function, .. } => function.params().block_count(),
            Hash::Bcrypt { .. } => 0,
        });
        let count = blocks.max().unwrap_or_default();
        let mut memory = Vec::new();
        memory.try_reserve_exact(count).map_err(|_| {
            // The plugin itself takes less than 4 MiB.
            format!(
                "a hash needs {count} KiB of memory, which is more than the limit of this plugin: \
                 set `limits = {{ memory = \"{}MiB\" }}` in the plugin's entry, and a `cpu` and a \
                 `wall` that are long enough",
                count.div_ceil(1024) + 4
            )
        })?;
        memory.resize(count, Block::new());
        Ok(Memory(RefCell::new(memory)))
    }
}

impl Hash {
    /// The error continues a sentence that begins with the place.
    pub fn parse(text: &str) -> Result<Hash, &'static str> {
        match text.split('$').nth(1) {
            Some("argon2id" | "argon2i" | "argon2d") => argon2(text),
            Some("2a" | "2b" | "2y") => bcrypt(text),
            _ => Err("is no hash of argon2 (`$argon2id$...`) or bcrypt (`$2b$...`)"),
        }
    }

    /// Whether the password is the one that was hashed. Takes as long for one that is not.
    pub fn fits(&self, password: &str, memory: &Memory) -> bool {
        let password = password.as_bytes();
        match self {
            Hash::Argon2 {
                function,
                salt,
                output,
            } => {
                let mut computed = vec![0; output.len()];
                let mut blocks = memory.0.borrow_mut();
                let done = function.hash_password_into_with_memory(
                    password,
                    salt,
                    &mut computed,
                    blocks.as_mut_slice(),
                );
                done.is_ok() && crypto::constant_time_equal(&computed, output)
            }
            Hash::Bcrypt { cost, salt, output } => {
                // With the zero byte that ends it, and not more than the algorithm has a place for.
                let mut key = [password, b"\0"].concat();
                key.truncate(BCRYPT_BYTES_MAX);
                let computed = bcrypt::bcrypt(*cost, *salt, &key);
                // What is beyond those bytes was never hashed, so that anything would do there.
                crypto::constant_time_equal(&computed[..output.len()], output)
                    && password.len() <= BCRYPT_BYTES_MAX
            }
        }
    }
}

fn argon2(text: &str) -> Result<Hash, &'static str> {
    let broken = "is a broken argon2 hash";
    let parsed = PasswordHash::new(text).map_err(|_| broken)?;
    let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| broken)?;
    let version = match parsed.version {
        Some(version) => Version::try_from(version).map_err(|_| broken)?,
        // As the reference implementation reads it: hashes of that time did not say.
        None => Version::V0x10,
    };
    if !["m", "t", "p"]
        .iter()
        .all(|name| parsed.params.get(*name).is_some())
    {
        return Err("is an argon2 hash without `m`, `t` or `p`");
    }
    let params = Params::try_from(&parsed).map_err(|_| broken)?;
    if !params.keyid().is_empty() {
        return Err("is an argon2 hash with a secret key, which this plugin does not have");
    }
    if params.m_cost() > ARGON2_MEMORY_KIB_MAX
        || u64::from(params.m_cost()) * u64::from(params.t_cost()) > ARGON2_WORK_KIB_MAX
    {
        return Err("is an argon2 hash that costs more than any call is given");
    }
    let (salt, output) = parsed.salt.zip(parsed.hash).ok_or(broken)?;
    if salt.len() < argon2::MIN_SALT_LEN {
        return Err(broken);
    }
    Ok(Hash::Argon2 {
        function: Box::new(Argon2::new(algorithm, version, params)),
        salt: salt.to_vec(),
        output: output.as_bytes().to_vec(),
    })
}

/// `$2b$12$` and 22 characters of salt and 31 of hash. The three versions differ in faults of old
/// programs alone, and not for what is in a header.
fn bcrypt(text: &str) -> Result<Hash, &'static str> {
    let broken = "is a broken bcrypt hash";
    let mut fields = text.split('$').skip(2);
    let (Some(cost), Some(rest), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(broken);
    };
    let cost = Some(cost).filter(|cost| cost.len() == 2 && !cost.starts_with('+'));
    let cost = cost.and_then(|cost| cost.parse().ok()).ok_or(broken)?;
    let (salt, output) = rest.split_at_checked(22).ok_or(broken)?;
    // Both end within a character, whose last bits some programs leave as they come. A `.` is zeros.
    let bytes = |text: String| Base64Bcrypt::decode_vec(&text).ok();
    let (salt, output) = bytes(format!("{salt}.."))
        .zip(bytes(format!("{output}.")))
        .ok_or(broken)?;
    if !BCRYPT_COST.contains(&cost) {
        return Err("is a bcrypt hash whose cost is not between 4 and 15");
    }
    Ok(Hash::Bcrypt {
        cost,
        salt: exactly(&salt, 18).ok_or(broken)?,
        output: exactly(&output, 24).ok_or(broken)?,
    })
}

/// The first bytes of what must have this length.
fn exactly<const N: usize>(bytes: &[u8], length: usize) -> Option<[u8; N]> {
    (bytes.len() == length).then_some(bytes.get(..N)?.try_into().ok()?)
}

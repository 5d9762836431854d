//! What guests may call beside messages: the log, clocks, randomness, cryptography, secrets.

use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::{clock, crypto, log, random, secrets};
use super::reads::Dependence;
use super::state::{Phase, State};
use crate::limits;
use crate::quote::one_line;

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.works(message.len())?;
        let left = limits::plugin::LOG_CALL_BYTES_MAX.saturating_sub(self.log.spent);
        let length = message
            .len()
            .min(left)
            .min(limits::plugin::LOG_MESSAGE_BYTES_MAX);
        let kept = &message[..message.floor_char_boundary(length)];
        self.log.dropped += message.len() - kept.len();
        self.log.spent += kept.len() + limits::logs::LOG_LINE_OVERHEAD_BYTES;
        if left == 0 {
            return Ok(());
        }
        let kept = &one_line(kept);
        if level == log::Level::Error {
            self.log.last_error = Some(kept.clone());
        }
        let plugin = &*self.identity.plugin;
        let policy = &*self.identity.policy;
        let visited = self.exchange.as_ref().map(|exchange| &*exchange.id);
        let request = visited.or(self.body_of.as_deref()).unwrap_or_default();
        match level {
            log::Level::Debug => {
                tracing::debug!(target: "plugin", plugin, policy, request, "{kept}")
            }
            log::Level::Info => tracing::info!(target: "plugin", plugin, policy, request, "{kept}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, policy, request, "{kept}"),
            log::Level::Error => {
                tracing::error!(target: "plugin", plugin, policy, request, "{kept}")
            }
        }
        Ok(())
    }
}

impl clock::Host for State {
    fn unix_ms(&mut self) -> Result<u64> {
        self.only_in_calls("clock.unix-ms")?;
        self.depends_on(Dependence::Clock);
        self.works(0)?;
        let elapsed = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic_ns(&mut self) -> Result<u64> {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        self.only_in_calls("clock.monotonic-ns")?;
        self.depends_on(Dependence::Clock);
        self.works(0)?;
        Ok(u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl random::Host for State {
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        self.only_in_calls("random.bytes")?;
        self.depends_on(Dependence::Random);
        self.works(count as usize)?;
        if count > limits::plugin::RANDOM_BYTES_MAX {
            bail!(
                "{count} random bytes at once; at most {} are given",
                limits::plugin::RANDOM_BYTES_MAX
            );
        }
        let mut bytes = vec![0; count as usize];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            bail!("the system has no randomness");
        }
        Ok(bytes)
    }

    fn next_u64(&mut self) -> Result<u64> {
        self.only_in_calls("random.next-u64")?;
        self.depends_on(Dependence::Random);
        self.works(0)?;
        let mut bytes = [0; 8];
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            bail!("the system has no randomness");
        }
        Ok(u64::from_le_bytes(bytes))
    }
}

impl crypto::Host for State {
    fn sha256(&mut self, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.sha256")?;
        self.works(data.len())?;
        Ok(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data)
            .as_ref()
            .to_vec())
    }

    fn sha512(&mut self, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.sha512")?;
        self.works(data.len())?;
        Ok(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &data)
            .as_ref()
            .to_vec())
    }

    fn hmac_sha256(&mut self, key: Vec<u8>, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.hmac-sha256")?;
        self.works(key.len() + data.len())?;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        Ok(aws_lc_rs::hmac::sign(&key, &data).as_ref().to_vec())
    }

    fn hmac_sha512(&mut self, key: Vec<u8>, data: Vec<u8>) -> Result<Vec<u8>> {
        self.only_in_calls("crypto.hmac-sha512")?;
        self.works(key.len() + data.len())?;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, &key);
        Ok(aws_lc_rs::hmac::sign(&key, &data).as_ref().to_vec())
    }

    fn constant_time_equal(&mut self, a: Vec<u8>, b: Vec<u8>) -> Result<bool> {
        self.only_in_calls("crypto.constant-time-equal")?;
        self.works(a.len() + b.len())?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&a, &b).is_ok())
    }
}

impl secrets::Host for State {
    fn get(&mut self, name: String) -> Result<Result<Vec<u8>, String>> {
        if self.phase == Phase::Describe {
            bail!("`secrets.get` was called during `describe`");
        }
        self.secret_was_read = true;
        self.works(name.len())?;
        Ok(self.grants.secrets.get(&name).map(<[u8]>::to_vec))
    }
}

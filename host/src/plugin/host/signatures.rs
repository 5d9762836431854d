//! The contract's `signatures`: verified with the key sets of the configuration.

use wasmtime::{Result, bail};

use super::bindings::tollgate::plugin::signatures;
use super::reads::Dependence;
use super::state::State;
use crate::limits;
use crate::policy::key_sets;

impl signatures::Host for State {
    fn verify_jws(
        &mut self,
        token: String,
        key_set: String,
    ) -> Result<std::result::Result<(String, Vec<u8>), String>> {
        self.only_in_calls("signatures.verify-jws")?;
        self.works(token.len() + limits::plugin::SIGNATURE_WORK_BYTES)?;
        // Keys come and go.
        self.depends_on(Dependence::KeySet);
        let Some(key_sets) = &self.grants.key_sets else {
            bail!("a plugin that does not import `signatures` has no key sets");
        };
        let verified = key_sets.verify_jws(&token, &key_set);
        Ok(verified.map(|verified| (verified.header, verified.payload)))
    }

    fn verify(
        &mut self,
        algorithm: String,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<std::result::Result<bool, String>> {
        self.only_in_calls("signatures.verify")?;
        let bytes = public_key.len() + message.len() + signature.len();
        self.works(bytes + limits::plugin::SIGNATURE_WORK_BYTES)?;
        Ok(key_sets::verify(
            &algorithm,
            &public_key,
            &message,
            &signature,
        ))
    }
}

//! A plugin's own schema, and configurations held against it. Both are the plugin's, or near it: a small
//! schema can take a validator years, or more stack than there is, so that only a compiler
//! (`compiler_process.rs`) is handed one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compile;
use super::error::LoadError;
use super::schema_errors;
use crate::limits;
use crate::plugin::engine::compilers::job::Job;
use crate::plugin::engine::runtime::Runtime;
use crate::plugin::key::CodeKey;

/// What is asked: whether this is a schema, and whether this fits it.
#[derive(Serialize, Deserialize)]
struct Question<S, C> {
    schema: S,
    config: Option<C>,
}

/// Where the configuration does not fit, as JSON pointers, and what is wrong there.
type Places = Vec<(String, String)>;

/// Whether a plugin's schema is one.
///
/// # Errors
/// What is wrong with it, or that this took too much.
pub fn is_valid(runtime: &Runtime, schema: &Value) -> Result<(), LoadError> {
    ask(runtime, schema, None)
}

/// Checks a configuration.
///
/// # Errors
/// Each place where it does not fit, or that this took too much.
pub fn fits(runtime: &Runtime, schema: &Value, config: &Value) -> Result<(), LoadError> {
    ask(runtime, schema, Some(config))
}

fn ask(runtime: &Runtime, schema: &Value, config: Option<&Value>) -> Result<(), LoadError> {
    let question = serde_json::to_vec(&Question { schema, config })
        .map_err(|error| LoadError::plugin(error.to_string()))?;
    // What was found to fit once is not asked again by the next start.
    let key = compile::release_key(CodeKey::of(&[b"fits its schema", &question]));
    if runtime.artefacts.get(key).is_some() {
        return Ok(());
    }
    let answer = runtime
        .compilers
        .ask(Job::CheckSchema, &question)
        .map_err(LoadError::plugin)?;
    let places: Places = serde_json::from_slice(&answer)
        .map_err(|error| LoadError::plugin(format!("its schema cannot be asked: {error}")))?;
    if !places.is_empty() {
        return Err(LoadError::Config(places));
    }
    runtime.artefacts.put(key, &[]);
    Ok(())
}

/// What a compiler does with the question.
///
/// # Errors
/// If the schema is none.
pub(in crate::plugin) fn check(question: &[u8]) -> Result<Vec<u8>, String> {
    let question: Question<Value, Value> =
        serde_json::from_slice(question).map_err(|error| error.to_string())?;
    let schema = &question.schema;
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| format!("`describe` answered no valid config schema: {error}"))?;
    let places: Places = match &question.config {
        None => Vec::new(),
        Some(config) => validator
            .iter_errors(config)
            .take(limits::config::CONFIG_PROBLEMS_SHOWN)
            .flat_map(|error| schema_errors::of(&error, schema))
            .collect(),
    };
    serde_json::to_vec(&places).map_err(|error| error.to_string())
}

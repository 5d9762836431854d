//! Text with expressions in braces, as operators write it in the configurations of plugins:
//! `pet-{path.id}`. What an expression means is each plugin's own to say.
//!
//! ```
//! use tollgate_plugin::template::{self, Part};
//!
//! let parts = template::parse("a{{b}}-{id}", |name| Ok(name.to_owned())).unwrap();
//! assert_eq!(parts, [Part::Text("a{b}-".into()), Part::Value("id".to_owned())]);
//!
//! let none = |_: &str| -> Result<(), String> { Err("there are no expressions".into()) };
//! assert!(template::parse("{id}", none).is_err());
//! assert!(template::parse("{id", none).is_err());
//! ```

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<E> {
    /// Goes on as it is. At least one byte; two of them never follow each other.
    Text(String),
    /// What stands for a value of the message.
    Value(E),
}

/// Takes a template apart. `{{` and `}}` are braces; what is between others is given to `expression`.
///
/// # Errors
/// In words for the operator, to stand behind the name of the key: a brace that has no other, or what
/// `expression` said.
pub fn parse<E>(
    text: &str,
    mut expression: impl FnMut(&str) -> Result<E, String>,
) -> Result<Vec<Part<E>>, String> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        let (brace, after) = from.split_at(1);
        literal.push_str(before);
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err("has a `}` that closes nothing; write `}}` for a brace".into());
        }
        let (name, after) = after
            .split_once('}')
            .ok_or("has a `{` that is not closed; write `{{` for a brace")?;
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(Part::Value(expression(name)?));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

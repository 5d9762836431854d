//! What a component's bytes say that its type does not.

use wasmparser::{BinaryReaderError, CanonicalFunction, Encoding, Parser, Payload};

use crate::limits;

/// Where a component has handles, beside those that its hooks are handed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Handles {
    /// It makes resources of its own. Their handles live in the Store until they are dropped, and the
    /// numbers behind them are the guest's: state that is in no memory.
    pub own: bool,
    /// A component within it runs code, which has a table of handles that nobody looks at.
    pub nested: bool,
}

/// What a component takes and offers, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// What can be seen before anything is compiled.
#[derive(Debug, Default)]
pub struct Outline {
    pub names: Names,
    pub handles: Handles,
}

/// Looks at everything but code.
///
/// # Errors
/// If these are not the bytes of a component, or it takes and offers more than any that could run here.
pub fn outline(bytes: &[u8]) -> Result<Outline, String> {
    let outline = read(bytes).map_err(|error| format!("it is no component: {error}"))?;
    let Names { imports, exports } = &outline.names;
    if imports.len().max(exports.len()) > limits::loading::PLUGIN_NAMES_MAX {
        return Err(format!(
            "it has more than {} imports or exports",
            limits::loading::PLUGIN_NAMES_MAX
        ));
    }
    Ok(outline)
}

fn read(bytes: &[u8]) -> Result<Outline, BinaryReaderError> {
    let (mut handles, mut names) = (Handles::default(), Names::default());
    let mut components = 0_usize;
    let mut open = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                let is_component = encoding == Encoding::Component;
                components += usize::from(is_component);
                open.push(is_component);
            }
            Payload::End(_) => components -= usize::from(open.pop() == Some(true)),
            Payload::InstanceSection(_) => handles.nested |= components > 1,
            Payload::ComponentCanonicalSection(functions) => {
                handles.nested |= components > 1;
                for function in functions {
                    let makes = matches!(function?, CanonicalFunction::ResourceNew { .. });
                    handles.own |= makes;
                }
            }
            // Of the outermost.
            Payload::ComponentImportSection(imports) if open.len() == 1 => {
                // Of more, one is enough to know that they are too many.
                let room =
                    (limits::loading::PLUGIN_NAMES_MAX + 1).saturating_sub(names.imports.len());
                for import in imports.into_iter().take(room) {
                    names.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if open.len() == 1 => {
                let room =
                    (limits::loading::PLUGIN_NAMES_MAX + 1).saturating_sub(names.exports.len());
                for export in exports.into_iter().take(room) {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Outline { names, handles })
}

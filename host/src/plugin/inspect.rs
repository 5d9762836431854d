//! What a component's bytes say that its type does not.

use wasmparser::{BinaryReaderError, CanonicalFunction, Encoding, Parser, Payload};

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
/// If these are not the bytes of a component.
pub fn outline(bytes: &[u8]) -> Result<Outline, BinaryReaderError> {
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
                for import in imports {
                    names.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if open.len() == 1 => {
                for export in exports {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Outline { names, handles })
}

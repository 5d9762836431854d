//! What a component's bytes say that its type does not.

use wasmparser::{
    BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Instance, Parser, Payload,
};

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
    made: Made,
}

/// How much one instance of a component is made of. A component within it counts as often as it is instantiated:
/// a few bytes can double it.
#[derive(Debug, Default, Clone, Copy)]
struct Made {
    core_instances: u64,
    component_instances: u64,
}

impl Made {
    /// More than any bound.
    const TOO_MUCH: Made = Made {
        core_instances: u64::MAX,
        component_instances: u64::MAX,
    };

    fn add(&mut self, other: Made) {
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        let instances = self.component_instances;
        self.component_instances = instances.saturating_add(other.component_instances);
    }
}

/// A component or module whose end has not been read yet.
struct Level {
    is_component: bool,
    made: Made,
    /// Of each component that it can name, in the order of their indices.
    components: Vec<Made>,
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
    let most = u64::from(limits::pool::PLUGIN_CORE_INSTANCES_MAX);
    if outline.made.core_instances > most {
        return Err(format!(
            "it is made of more than {most} core instances, those of components within it included"
        ));
    }
    let most = limits::loading::PLUGIN_INSTANCES_MAX;
    if outline.made.component_instances > most {
        return Err(format!(
            "it is made of more than {most} instances of components within it"
        ));
    }
    Ok(outline)
}

fn read(bytes: &[u8]) -> Result<Outline, BinaryReaderError> {
    let (mut handles, mut names, mut made) =
        (Handles::default(), Names::default(), Made::default());
    let mut open: Vec<Level> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let components = open.iter().filter(|level| level.is_component).count();
        let is_outermost = open.len() == 1;
        match (payload, open.last_mut()) {
            (Payload::Version { encoding, .. }, _) => open.push(Level {
                is_component: encoding == Encoding::Component,
                made: Made::default(),
                components: Vec::new(),
            }),
            (Payload::End(_), _) => {
                let ended = open.pop().filter(|level| level.is_component);
                match (ended, open.last_mut()) {
                    (Some(ended), Some(around)) => around.components.push(ended.made),
                    (Some(ended), None) => made = ended.made,
                    (None, _) => {}
                }
            }
            (Payload::InstanceSection(instances), Some(level)) => {
                handles.nested |= components > 1;
                for instance in instances {
                    if let Instance::Instantiate { .. } = instance? {
                        level.made.add(Made {
                            core_instances: 1,
                            component_instances: 0,
                        });
                    }
                }
            }
            (Payload::ComponentInstanceSection(instances), Some(level)) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance?
                    {
                        let of_it = level.components.get(component_index as usize);
                        level.made.add(of_it.copied().unwrap_or(Made::TOO_MUCH));
                        level.made.add(Made {
                            core_instances: 0,
                            component_instances: 1,
                        });
                    }
                }
            }
            (Payload::ComponentAliasSection(aliases), Some(_)) => {
                for alias in aliases {
                    let named = match alias? {
                        ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            count,
                            index,
                        } => {
                            let around = open.iter().rev().nth(count as usize);
                            around.and_then(|level| level.components.get(index as usize).copied())
                        }
                        // No tool makes a component that an instance exports.
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Component,
                            ..
                        } => None,
                        _ => continue,
                    };
                    if let Some(level) = open.last_mut() {
                        level.components.push(named.unwrap_or(Made::TOO_MUCH));
                    }
                }
            }
            (Payload::ComponentCanonicalSection(functions), _) => {
                handles.nested |= components > 1;
                for function in functions {
                    let makes = matches!(function?, CanonicalFunction::ResourceNew { .. });
                    handles.own |= makes;
                }
            }
            (Payload::ComponentImportSection(imports), Some(level)) => {
                for import in imports {
                    let import = import?;
                    // The gateway offers none, so that it is never instantiated.
                    if let ComponentTypeRef::Component(_) = import.ty {
                        level.components.push(Made::TOO_MUCH);
                    }
                    // Of more, one is enough to know that they are too many.
                    if is_outermost && names.imports.len() <= limits::loading::PLUGIN_NAMES_MAX {
                        names.imports.push(import.name.name.to_owned());
                    }
                }
            }
            (Payload::ComponentExportSection(exports), Some(level)) => {
                for export in exports {
                    let export = export?;
                    // What is exported has a further index.
                    if export.kind == ComponentExternalKind::Component {
                        let of_it = level.components.get(export.index as usize).copied();
                        level.components.push(of_it.unwrap_or(Made::TOO_MUCH));
                    }
                    if is_outermost && names.exports.len() <= limits::loading::PLUGIN_NAMES_MAX {
                        names.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Outline {
        names,
        handles,
        made,
    })
}

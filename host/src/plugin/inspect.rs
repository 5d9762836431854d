//! What a component's bytes say that its type does not.

use wasmparser::{
    BinaryReaderError, BlockType, CanonicalFunction, CompositeInnerType, Encoding, FunctionBody,
    Operator, Parser, Payload,
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

/// Looks at everything but code.
///
/// # Errors
/// If these are not the bytes of a component.
pub fn handles(bytes: &[u8]) -> Result<Handles, BinaryReaderError> {
    let mut handles = Handles::default();
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
            _ => {}
        }
    }
    Ok(handles)
}

/// Holds a component to what compiles in seconds. The compiler keeps, for every place where paths part or
/// meet, what each variable is there, so its time and memory grow with the product of the two, and a file
/// of 300 KB could take gigabytes of the process that serves.
///
/// # Errors
/// In words for the operator.
pub fn compiles_in_seconds(bytes: &[u8]) -> Result<(), String> {
    let broken = |error: BinaryReaderError| format!("it is no component: {error}");
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    let (mut number, mut total) = (0, 0_u64);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { .. } => {
                (types, functions, number) = (Vec::new(), Vec::new(), 0);
            }
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group.map_err(broken)?.types() {
                        types.push(match &ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => {
                                (ty.params().len() as u64, ty.results().len() as u64)
                            }
                            _ => (0, 0),
                        });
                    }
                }
            }
            Payload::FunctionSection(indices) => {
                for index in indices {
                    functions.push(index.map_err(broken)?);
                }
            }
            Payload::CodeSectionEntry(body) => {
                let index = functions.get(number).copied().unwrap_or_default();
                number += 1;
                let cost = cost(&body, index, &types).map_err(broken)?;
                total = total.saturating_add(cost);
                if cost > limits::FUNCTION_COMPILE_COST_MAX {
                    return Err(format!(
                        "a function of {} bytes has so many variables and branches that it would take the \
                         compiler long ({cost} of both together, of {} at most), so say `large = true` \
                         if it is meant",
                        body.range().len(),
                        limits::FUNCTION_COMPILE_COST_MAX
                    ));
                }
            }
            _ => {}
        }
    }
    if total > limits::PLUGIN_COMPILE_COST_MAX {
        return Err(format!(
            "its functions have so many variables and branches that they would take the compiler long \
             ({total} of both together, of {} at most), so say `large = true` if it is meant",
            limits::PLUGIN_COMPILE_COST_MAX
        ));
    }
    Ok(())
}

/// For each place where paths part or meet, the variables that there are.
fn cost(body: &FunctionBody, ty: u32, types: &[(u64, u64)]) -> Result<u64, BinaryReaderError> {
    let of = |index: u32| types.get(index as usize).copied().unwrap_or_default();
    let mut variables = of(ty).0;
    for locals in body.get_locals_reader()? {
        variables += u64::from(locals?.0);
    }
    let mut cost = 0_u64;
    for operator in body.get_operators_reader()? {
        let block = |block: BlockType| match block {
            BlockType::FuncType(index) => of(index).0 + of(index).1,
            _ => 1,
        };
        let values = match operator? {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                block(blockty)
            }
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } | Operator::Return => 1,
            Operator::BrTable { targets } => {
                let ways = u64::from(targets.len()).saturating_mul(variables);
                cost = cost.saturating_add(ways);
                1
            }
            _ => continue,
        };
        cost = cost.saturating_add(variables.saturating_add(values));
    }
    Ok(cost)
}

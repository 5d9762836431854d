//! A guest's answer, with the place of the memory that it was read from.

use wasmtime::Result;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime::component::{ComponentType, Lift};

/// Where an instance has its linear memory. It stays there for as long as the instance lives: memories
/// of the pool never move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestMemory {
    pub base: usize,
    /// As large as it was when the answer was read.
    pub bytes: usize,
}

/// An answer that is read as `T` is. wasmtime tells an embedder nowhere else where the memory of a
/// component's core instance is.
pub struct WithMemory<T> {
    pub value: T,
    pub memory: GuestMemory,
}

// SAFETY: whatever is said of the type is what is true of `T`.
unsafe impl<T: ComponentType> ComponentType for WithMemory<T> {
    type Lower = T::Lower;

    const ABI: CanonicalAbiInfo = T::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::typecheck(ty, types)
    }
}

// SAFETY: lifts as `T` does.
unsafe impl<T: Lift> Lift for WithMemory<T> {
    fn linear_lift_from_flat(
        context: &mut LiftContext<'_>,
        ty: InterfaceType,
        source: &Self::Lower,
    ) -> Result<Self> {
        let value = T::linear_lift_from_flat(context, ty, source)?;
        Ok(WithMemory::new(value, context))
    }

    fn linear_lift_from_memory(
        context: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let value = T::linear_lift_from_memory(context, ty, bytes)?;
        Ok(WithMemory::new(value, context))
    }
}

impl<T> WithMemory<T> {
    fn new(value: T, context: &LiftContext<'_>) -> Self {
        let memory = context.memory();
        WithMemory {
            value,
            memory: GuestMemory {
                base: memory.as_ptr().expose_provenance(),
                bytes: memory.len(),
            },
        }
    }
}

//! A handle of the contract, as it is handed to a guest.

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower, Resource};
use wasmtime::{Result, ValRaw};

/// What numbers the handles of an instance may have. A handle gets the number that was freed last, so the
/// order in which a visit let its handles go would show in the numbers of the next one's.
#[derive(Debug, Default)]
pub struct HandleIndices {
    put_back: bool,
    /// As many as one call was handed since the instance was made or put back: the order of these is
    /// known to the guest in any case. Beyond them the numbers must be those that a new instance gives.
    handed: u32,
    /// As many as one call was ever handed: what there are numbers for.
    most: u32,
}

impl HandleIndices {
    /// Notes a call that is handed so many.
    pub fn call(&mut self, handles: u32) {
        self.handed = self.handed.max(handles);
        self.most = self.most.max(handles);
    }

    /// The instance is put back. False if it must not be: where a visit's first call is handed one
    /// and a later one more, that later one could tell the order of two numbers that an earlier visit
    /// freed, and then it is too late for another instance. Of one number there is no order.
    pub fn put_back(&mut self, one_then_more: bool) -> bool {
        self.put_back = true;
        self.handed = 0;
        !(one_then_more && self.most > 2)
    }
}

/// A borrow that a hook is handed.
pub struct CheckedBorrow<T: 'static> {
    resource: Resource<T>,
    expected: Option<u32>,
}

/// An instance that was put back would give a handle another number than a new one.
#[derive(Debug)]
pub struct IndexMismatch;

impl std::fmt::Display for IndexMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the numbers of handles tell of an earlier visit")
    }
}

impl std::error::Error for IndexMismatch {}

impl<T> CheckedBorrow<T> {
    /// A borrow; the `nth` of its call, from 1 on.
    pub fn new(nth: u32, indices: &HandleIndices) -> Self {
        let tells = indices.put_back && nth > indices.handed;
        CheckedBorrow {
            resource: Resource::new_borrow(0),
            expected: tells.then_some(nth),
        }
    }
}

// SAFETY: whatever is said of the type is what is true of `Resource`.
unsafe impl<T: 'static> ComponentType for CheckedBorrow<T> {
    type Lower = <Resource<T> as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <Resource<T> as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <Resource<T> as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: lowers as `Resource` does.
unsafe impl<T: 'static> Lower for CheckedBorrow<T> {
    fn linear_lower_to_flat<U>(
        &self,
        context: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        to: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        self.resource.linear_lower_to_flat(context, ty, to)?;
        const { assert!(size_of::<<Resource<u8> as ComponentType>::Lower>() == size_of::<ValRaw>()) };
        // SAFETY: lowering has initialised it, and a handle is one value.
        let number = unsafe { (*to.as_ptr().cast::<ValRaw>()).get_u32() };
        match self.expected {
            Some(expected) if expected != number => Err(IndexMismatch.into()),
            _ => Ok(()),
        }
    }

    fn linear_lower_to_memory<U>(
        &self,
        context: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        // Three handles always fit the registers; should they not, the numbers are not known.
        match self.expected {
            Some(_) => Err(IndexMismatch.into()),
            None => self.resource.linear_lower_to_memory(context, ty, offset),
        }
    }
}

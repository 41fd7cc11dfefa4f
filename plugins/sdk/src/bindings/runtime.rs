//! What the generated code calls when it runs: its generator's own library, as far as this contract needs it.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc},
    mem,
    ptr::{self, NonNull},
};

/// The answer to the host's `cabi_realloc`, by which it has memory made for what it hands over.
///
/// # Safety
/// `old` is null and `old_len` 0, or they are what an earlier call answered and was asked for, and then `len` is not 0.
/// `align` is a power of two.
pub unsafe fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, len: usize) -> *mut u8 {
    let size = if old_len == 0 { len } else { old_len };
    if size == 0 {
        return ptr::without_provenance_mut(align);
    }
    // SAFETY: sizes and alignments of the component model are those of a memory of 32 bits.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    debug_assert!(len > 0, "nothing is made smaller to nothing");
    // SAFETY: neither size is 0, and what is made larger was made here, with this layout.
    let made = unsafe { if old_len == 0 { alloc(layout) } else { realloc(old, layout, len) } };
    if made.is_null() {
        // SAFETY: as above.
        handle_alloc_error(unsafe { Layout::from_size_align_unchecked(len, align) });
    }
    made
}

/// [`export!`](crate::export) exports it, in the crate that is linked in any case.
pub fn maybe_link_cabi_realloc() {}

/// Runs what the linker gathered to run at the start, before the first call. A module that calls it itself is not
/// wrapped by the linker, which would do so at each call.
#[cfg(target_arch = "wasm32")]
pub fn run_ctors_once() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    static RUN: AtomicBool = AtomicBool::new(false);
    if !RUN.load(Relaxed) {
        // SAFETY: the linker makes it, and it has not run.
        unsafe { __wasm_call_ctors() };
        RUN.store(true, Relaxed);
    }
}

/// Memory of one call, which is freed after it.
#[derive(Debug)]
pub struct Cleanup {
    made: NonNull<u8>,
    layout: Layout,
}

impl Cleanup {
    /// Memory of this layout, and what frees it when dropped; null and nothing where its size is 0.
    #[must_use]
    pub fn new(layout: Layout) -> (*mut u8, Option<Self>) {
        if layout.size() == 0 {
            return (ptr::null_mut(), None);
        }
        // SAFETY: its size is not 0.
        let made = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        (made.as_ptr(), Some(Self { made, layout }))
    }

    /// Leaves the memory to who got the pointer.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // SAFETY: it was made with this layout, and is freed once.
        unsafe { dealloc(self.made.as_ptr(), self.layout) };
    }
}

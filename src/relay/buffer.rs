//! The pool of read buffers: a free list for each thread, bounded.
//!
//! A direction borrows a buffer when its source is readable and gives it back when the other leg has taken everything,
//! so that an idle session owns none. A buffer that is dropped goes back by itself, on whichever thread that happens.

use std::{
    cell::RefCell,
    mem,
    ops::{Deref, DerefMut},
};

use super::frame::MAX_CONTROL_FRAME;

/// Bytes of a buffer.
pub(super) const SIZE: usize = 64 << 10;

/// Bytes in front of what is read: room for a header or control frame whose first part came earlier.
pub(super) const HEADROOM: usize = 144;

const _: () = assert!(HEADROOM >= MAX_CONTROL_FRAME && HEADROOM >= 14, "what is held back fits in front");

/// Buffers a thread keeps for reuse; more are given back to the allocator.
const KEPT: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed buffer of [`SIZE`] bytes with whatever its last user left in it.
pub(super) struct Buffer(Box<[u8]>);

impl Buffer {
    /// From this thread's pool, or new.
    pub(super) fn take() -> Self {
        let reused = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self(reused.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.0);
        // A thread that is ending has no pool any more; then the allocator gets it.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(bytes);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> usize {
        FREE.with(|free| free.borrow().len())
    }

    #[test]
    fn buffers_are_reused_and_the_pool_is_bounded() {
        let many: Vec<Buffer> = (0..KEPT + 5).map(|_| Buffer::take()).collect();
        assert_eq!(kept(), 0);
        drop(many);
        assert_eq!(kept(), KEPT);
        let one = Buffer::take();
        assert_eq!((kept(), one.len()), (KEPT - 1, SIZE));
    }
}

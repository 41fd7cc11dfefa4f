//! The pool of read buffers: a free list for each thread, bounded.
//!
//! A direction borrows a buffer when its source is readable and gives it back when the other leg has taken everything,
//! so that an idle session owns none. A buffer that is dropped goes back by itself, on whichever thread that happens.
//!
//! Each is a mapping of its own: one that the pool does not keep goes back to the system at once, however the buffers
//! around it are used. In a heap one that is kept can hold back all that lies below it.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use memmap2::MmapMut;

use super::frame::MAX_CONTROL_FRAME;

/// Bytes of a buffer.
pub(super) const SIZE: usize = 64 << 10;

/// Bytes in front of what is read: room for a header or control frame whose first part came earlier.
pub(super) const HEADROOM: usize = 144;

const _: () = assert!(HEADROOM >= MAX_CONTROL_FRAME && HEADROOM >= 14, "what is held back fits in front");

/// Buffers a thread keeps for reuse; more are given back to the system.
const KEPT: usize = 16;

/// The memory of a buffer.
enum Block {
    Mapped(MmapMut),
    /// Where the system allows no more mappings.
    Heap(Box<[u8]>),
}

impl Block {
    fn new() -> Self {
        MmapMut::map_anon(SIZE).map_or_else(|_| Self::Heap(vec![0; SIZE].into_boxed_slice()), Self::Mapped)
    }
}

thread_local! {
    static FREE: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed buffer of [`SIZE`] bytes with whatever its last user left in it.
pub(super) struct Buffer(Option<Block>);

impl Buffer {
    /// From this thread's pool, or new.
    #[inline]
    pub(super) fn take() -> Self {
        let reused = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self(Some(reused.unwrap_or_else(Block::new)))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(block) = self.0.take() else { return };
        // A thread that is ending has no pool any more; then the system gets it.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(block);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Some(Block::Mapped(bytes)) => bytes,
            Some(Block::Heap(bytes)) => bytes,
            // Only while it is dropped.
            None => &[],
        }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Some(Block::Mapped(bytes)) => bytes,
            Some(Block::Heap(bytes)) => bytes,
            None => &mut [],
        }
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

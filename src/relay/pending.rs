//! What one direction has read and the other leg has not taken yet: part of one pooled buffer, what is in a pipe, or what
//! a waiting leg sent before its partner came.

use super::{buffer::Buffer, pipe::Pipe, pump::Digest};

enum Store {
    Empty,
    Pooled(Buffer),
    Piped(Pipe),
    Held(Vec<u8>),
}

/// What may be written now.
pub(super) enum Writable<'a> {
    Bytes(&'a [u8]),
    /// All that is in it.
    Pipe(&'a mut Pipe),
}

/// Bytes ready for the other leg. Memory is given back when the last of them is taken.
pub(super) struct Pending {
    store: Store,
    start: u32,
    end: u32,
    /// The last place at which a frame of ours may be put.
    boundary: Option<u32>,
}

/// A place among the bytes: there are at most as many as a buffer, a pipe or a `hold` has, megabytes.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Pending {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self { store: Store::Empty, start: 0, end: 0, boundary: None }
    }

    /// Takes over a buffer whose output stands where `digest` says; gives it back at once if there is none.
    pub(super) fn put(&mut self, buffer: Buffer, digest: &Digest) {
        debug_assert!(self.is_empty(), "one buffer for each direction");
        if digest.out.is_empty() {
            return;
        }
        *self = Self {
            store: Store::Pooled(buffer),
            start: place(digest.out.start),
            end: place(digest.out.end),
            boundary: digest.boundary.map(place),
        };
    }

    /// Takes over a pipe with a part of one frame. `begins`: it is the first part.
    pub(super) fn put_pipe(&mut self, pipe: Pipe, begins: bool) {
        debug_assert!(self.is_empty(), "one pipe for each direction");
        *self = Self { start: 0, end: place(pipe.len()), store: Store::Piped(pipe), boundary: begins.then_some(0) };
    }

    /// Appends a copy of the output, for a leg that has no partner yet.
    pub(super) fn hold(&mut self, buffer: &[u8], digest: &Digest) {
        let out = &buffer[digest.out.clone()];
        if out.is_empty() {
            return;
        }
        if !matches!(self.store, Store::Held(_)) {
            *self = Self { store: Store::Held(Vec::new()), start: 0, end: 0, boundary: None };
        }
        if let Store::Held(held) = &mut self.store {
            if let Some(boundary) = digest.boundary {
                self.boundary = Some(place(held.len() + boundary - digest.out.start));
            }
            held.extend_from_slice(out);
            self.end = place(held.len());
        }
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a frame of ours may stand right before the next byte.
    pub(super) fn at_boundary(&self) -> bool {
        self.boundary == Some(self.start)
    }

    /// What may be written now: up to the boundary if a frame of ours waits for it. What is written must be
    /// [told](Pending::advance).
    pub(super) fn writable(&mut self, to_boundary: bool) -> Writable<'_> {
        let end = match self.boundary {
            Some(boundary) if to_boundary && boundary > self.start => boundary,
            _ => self.end,
        };
        let range = self.start as usize..end as usize;
        match &mut self.store {
            Store::Empty => Writable::Bytes(&[]),
            Store::Pooled(buffer) => Writable::Bytes(&buffer[range]),
            Store::Held(held) => Writable::Bytes(&held[range]),
            // The part of one frame has no boundary inside.
            Store::Piped(pipe) => Writable::Pipe(pipe),
        }
    }

    /// Takes `bytes` of them off.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.start += place(bytes);
        if self.start >= self.end {
            self.clear();
        }
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

//! Pipes by which the rest of a big frame goes from socket to socket without being copied (`splice(2)`): a free list for
//! each thread, bounded.
//!
//! A direction borrows one when it has something to put into it and gives it back when the other leg has taken
//! everything. Only an empty pipe is used again; one that is dropped with something in it is closed. A thread that has
//! no more of them, or a system that gives none, costs only the saving: then frames are copied.

use std::{
    cell::RefCell,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice},
};

/// Bytes asked of the system for a pipe, and the most that one holds.
pub(super) const SIZE: usize = 256 << 10;

/// Bytes of a long frame moved at once. What is left of one after any number of these is worth a pipe of its own.
const PIECE: usize = SIZE - (32 << 10);

/// A pipe that holds less is of no use: small ones are what a user gets who has too many (`pipe-user-pages-soft`).
const LEAST: usize = 64 << 10;

/// Empty pipes a thread keeps for reuse. Each is two descriptors and hardly any memory.
const KEPT: usize = 16;

/// Pipes of a thread in use at once. It bounds what they take of the system: 128 descriptors and 16 MiB a thread, those
/// that are kept included.
const MOST: usize = 64;

/// How much to move at once of so many bytes that are still to come.
pub(super) fn piece(rest: u64) -> usize {
    usize::try_from(rest).ok().filter(|rest| *rest <= SIZE).unwrap_or(PIECE)
}

/// The two ends of a pipe.
struct Ends {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Ends {
    fn new() -> Option<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        let size = fcntl_setpipe_size(&writer, SIZE).or_else(|_| fcntl_getpipe_size(&writer)).ok()?;
        (size >= LEAST).then_some(Self { reader, writer })
    }
}

/// The pipes of a thread.
struct Shelf {
    free: Vec<Ends>,
    lent: usize,
}

thread_local! {
    static SHELF: RefCell<Shelf> = const { RefCell::new(Shelf { free: Vec::new(), lent: 0 }) };
}

/// A borrowed pipe, empty at first.
pub(super) struct Pipe {
    ends: Option<Ends>,
    /// At most [`SIZE`].
    length: u32,
}

impl Pipe {
    /// From this thread's pool, or new; `None` when there are too many or the system gives none.
    pub(super) fn take() -> Option<Self> {
        SHELF
            .try_with(|shelf| {
                let mut shelf = shelf.borrow_mut();
                if shelf.lent >= MOST {
                    return None;
                }
                let ends = shelf.free.pop().or_else(Ends::new)?;
                shelf.lent += 1;
                Some(Self { ends: Some(ends), length: 0 })
            })
            .ok()
            .flatten()
    }

    /// How many bytes are in it.
    pub(super) const fn len(&self) -> usize {
        self.length as usize
    }

    /// Takes at most `most` bytes from a socket and tells how many. [`Errno::AGAIN`] is for a socket that has none and for
    /// a pipe that is full.
    pub(super) fn fill(&mut self, from: impl AsFd, most: usize) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else { return Err(Errno::PIPE) };
        let moved = splice(from, None, &ends.writer, None, most.min(SIZE - self.len()), FLAGS)?;
        self.length += count(moved);
        Ok(moved)
    }

    /// Gives a socket what it takes of them and tells how many that was.
    pub(super) fn drain(&mut self, to: impl AsFd) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else { return Err(Errno::PIPE) };
        let moved = splice(&ends.reader, None, to, None, self.len(), FLAGS)?;
        self.length -= count(moved).min(self.length);
        Ok(moved)
    }

    /// As [`Pipe::fill`], from a script.
    #[cfg(any(test, fuzzing))]
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else { return Err(Errno::PIPE) };
        let moved = rustix::io::write(&ends.writer, &bytes[..bytes.len().min(SIZE - self.len())])?;
        self.length += count(moved);
        Ok(moved)
    }

    /// As [`Pipe::drain`], to a script.
    #[cfg(any(test, fuzzing))]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else { return Err(Errno::PIPE) };
        let moved = rustix::io::read(&ends.reader, buffer)?;
        self.length -= count(moved);
        Ok(moved)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// No pipe holds more than [`SIZE`].
fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        let empty = self.length == 0;
        // A thread that is ending has no pool any more; then the pipe is closed.
        let _ = SHELF.try_with(|pipes| {
            let mut pipes = pipes.borrow_mut();
            // One that comes from another thread was not lent here.
            pipes.lent = pipes.lent.saturating_sub(1);
            if empty && pipes.free.len() < KEPT {
                pipes.free.push(ends);
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn kept() -> usize {
        SHELF.with(|shelf| shelf.borrow().free.len())
    }

    #[test]
    fn a_thread_has_so_many_pipes_and_keeps_fewer() {
        let many: Vec<Pipe> = std::iter::from_fn(Pipe::take).collect();
        assert_eq!((many.len(), kept()), (MOST, 0));
        drop(many);
        assert_eq!(kept(), KEPT);
        let one = Pipe::take().expect("one that was kept");
        assert_eq!((kept(), one.len()), (KEPT - 1, 0));
    }

    #[test]
    fn one_with_something_in_it_is_closed_and_counts_no_more() {
        let mut pipe = Pipe::take().unwrap();
        assert_eq!((pipe.write(b"rest"), pipe.len(), kept()), (Ok(4), 4, 0));
        drop(pipe);
        assert_eq!((kept(), SHELF.with(|shelf| shelf.borrow().lent)), (0, 0));
        let mut pipe = Pipe::take().unwrap();
        assert_eq!(pipe.write(b"whole"), Ok(5));
        assert_eq!((pipe.read(&mut [0; 8]), pipe.len()), (Ok(5), 0));
        drop(pipe);
        assert_eq!(kept(), 1, "an empty one is kept");
    }

    #[test]
    fn a_frame_is_moved_in_pieces_none_of_which_is_small() {
        let mut shortest = usize::MAX;
        for mut rest in (0..40).flat_map(|n| (0..64).map(move |m| (SIZE + 1 + n * PIECE + m * (4 << 10)) as u64)) {
            while rest > 0 {
                let piece = piece(rest);
                shortest = shortest.min(piece);
                rest -= piece as u64;
            }
        }
        assert_eq!(shortest, SIZE + 1 - PIECE);
        assert_eq!((piece(1), piece(SIZE as u64), piece(u64::MAX)), (1, SIZE, PIECE));
    }

    #[test]
    fn it_holds_no_more_than_its_size() {
        let mut pipe = Pipe::take().unwrap();
        let bytes = vec![7; SIZE + 1];
        let mut written = 0;
        while let Ok(moved @ 1..) = pipe.write(&bytes) {
            written += moved;
        }
        assert_eq!((written, pipe.len()), (SIZE, SIZE));
    }
}

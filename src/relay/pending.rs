//! What one direction has read and the other leg has not taken yet: part of one pooled buffer, what is in a pipe, or what
//! a waiting leg sent before its partner came.

use std::num::NonZeroU32;

use super::{buffer::Buffer, pipe::Pipe, pump::Digest};

enum Store {
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

/// Bytes ready for the other leg. Memory is given back when the last of them is taken: sessions are many, and few have some.
#[derive(Default)]
pub(super) struct Pending(Option<Box<Rest>>);

/// At least one byte.
struct Rest {
    store: Store,
    start: u32,
    end: u32,
    /// The last place at which a frame of ours may be put.
    boundary: Option<Place>,
    /// The last place at which a message of ours may be put.
    gap: Option<Place>,
}

/// How much may be written at once, if it is known what waits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// All that there is.
    End,
    /// Up to where a frame of ours may be put.
    Boundary,
    /// Up to where a message of ours may be put.
    Gap,
}

/// A place among the bytes: there are at most as many as a buffer, a pipe or a `hold` has, megabytes.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// A place that there may not be, in no more room.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(NonZeroU32);

impl Place {
    fn new(at: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(place(at)))
    }

    const fn at(self) -> u32 {
        self.0.get() - 1
    }
}

impl Pending {
    /// Takes over a buffer whose output stands where `digest` says; gives it back at once if there is none.
    pub(super) fn put(&mut self, buffer: Buffer, digest: &Digest) {
        debug_assert!(self.is_empty(), "one buffer for each direction");
        if digest.out.is_empty() {
            return;
        }
        self.0 = Some(Box::new(Rest {
            store: Store::Pooled(buffer),
            start: place(digest.out.start),
            end: place(digest.out.end),
            boundary: digest.boundary.map(Place::new),
            gap: digest.gap.map(Place::new),
        }));
    }

    /// Takes over a pipe with a part of one frame, which is the first of it if there is a boundary before it, and the
    /// first of its message if there is a gap.
    pub(super) fn put_pipe(&mut self, pipe: Pipe, boundary: bool, gap: bool) {
        debug_assert!(self.is_empty(), "one pipe for each direction");
        let end = place(pipe.len());
        if end == 0 {
            return;
        }
        let [boundary, gap] = [boundary, gap].map(|begins| begins.then(|| Place::new(0)));
        self.0 = Some(Box::new(Rest { start: 0, end, store: Store::Piped(pipe), boundary, gap }));
    }

    /// Appends a copy of the output, for a leg that has no partner yet.
    pub(super) fn hold(&mut self, buffer: &[u8], digest: &Digest) {
        let within = |place: Option<usize>| place.map(|place| place - digest.out.start);
        self.append(&buffer[digest.out.clone()], within(digest.boundary), within(digest.gap));
    }

    /// Appends a copy of these bytes; `boundary` and `gap` are places within them.
    pub(super) fn append(&mut self, out: &[u8], boundary: Option<usize>, gap: Option<usize>) {
        if out.is_empty() {
            return;
        }
        let rest = self.0.get_or_insert_with(|| {
            Box::new(Rest { store: Store::Held(Vec::new()), start: 0, end: 0, boundary: None, gap: None })
        });
        debug_assert!(matches!(rest.store, Store::Held(_)), "nothing is appended to what was read");
        if let Store::Held(held) = &mut rest.store {
            let within = |at: usize| Place::new(held.len() + at);
            rest.boundary = boundary.map(within).or(rest.boundary);
            rest.gap = gap.map(within).or(rest.gap);
            held.extend_from_slice(out);
            rest.end = place(held.len());
        }
    }

    /// Takes what was held, unless some of it is out already.
    pub(super) fn take_held(&mut self) -> Option<Vec<u8>> {
        match self.0.take()?.store {
            Store::Held(held) => Some(held),
            _ => None,
        }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |rest| (rest.end - rest.start) as usize)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a frame of ours may stand right before the next byte.
    pub(super) fn at_boundary(&self) -> bool {
        self.0.as_ref().is_some_and(|rest| rest.boundary.map(Place::at) == Some(rest.start))
    }

    /// Whether a message of ours may stand right before the next byte.
    pub(super) fn at_gap(&self) -> bool {
        self.0.as_ref().is_some_and(|rest| rest.gap.map(Place::at) == Some(rest.start))
    }

    /// What may be written now, up to where something waits for its place. What is written must be
    /// [told](Pending::advance).
    pub(super) fn writable(&mut self, until: Until) -> Writable<'_> {
        let Some(rest) = &mut self.0 else { return Writable::Bytes(&[]) };
        let place = match until {
            Until::End => None,
            Until::Boundary => rest.boundary.map(Place::at),
            Until::Gap => rest.gap.map(Place::at),
        };
        let end = place.filter(|place| *place > rest.start).unwrap_or(rest.end);
        let range = rest.start as usize..end as usize;
        match &mut rest.store {
            Store::Pooled(buffer) => Writable::Bytes(&buffer[range]),
            Store::Held(held) => Writable::Bytes(&held[range]),
            // The part of one frame has no boundary inside.
            Store::Piped(pipe) => Writable::Pipe(pipe),
        }
    }

    /// Takes `bytes` of them off.
    pub(super) fn advance(&mut self, bytes: usize) {
        if let Some(rest) = &mut self.0 {
            rest.start += place(bytes);
            self.0.take_if(|rest| rest.start >= rest.end);
        }
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

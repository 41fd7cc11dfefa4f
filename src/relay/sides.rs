//! The legs of a session: one, or two.

use std::{
    iter,
    ops::{Index, IndexMut},
    option,
};

use super::side::Side;

/// In one piece, with room for the second from the beginning, which most sessions get. There may be a hundred thousand, so it
/// is a third of what a `Vec` takes, which keeps a length and a capacity.
pub(super) struct Sides<I>(Box<(Side<I>, Option<Side<I>>)>);

type Iter<'a, I> = iter::Chain<iter::Once<&'a Side<I>>, option::Iter<'a, Side<I>>>;

impl<I> Sides<I> {
    pub(super) fn one(first: Side<I>) -> Self {
        Self(Box::new((first, None)))
    }

    /// The second comes, where there is none yet.
    pub(super) fn add(&mut self, second: Side<I>) {
        self.0.1 = Some(second);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        1 + usize::from(self.0.1.is_some())
    }

    /// Both, if there are two.
    #[inline]
    pub(super) fn both(&mut self) -> Option<[&mut Side<I>; 2]> {
        let (first, second) = &mut *self.0;
        Some([first, second.as_mut()?])
    }

    /// One and the other, if there is one.
    ///
    /// # Panics
    /// Where there is no such leg.
    #[inline]
    pub(super) fn with_other(&mut self, at: usize) -> (&mut Side<I>, Option<&mut Side<I>>) {
        match (at, &mut *self.0) {
            (0, (first, second)) => (first, second.as_mut()),
            (1, (first, Some(second))) => (second, Some(first)),
            _ => missing(at),
        }
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Side<I>> {
        match at {
            0 => Some(&mut self.0.0),
            1 => self.0.1.as_mut(),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn iter(&self) -> Iter<'_, I> {
        iter::once(&self.0.0).chain(&self.0.1)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Side<I>> {
        let (first, second) = &mut *self.0;
        iter::once(first).chain(second)
    }
}

impl<'a, I> IntoIterator for &'a Sides<I> {
    type Item = &'a Side<I>;
    type IntoIter = Iter<'a, I>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// # Panics
/// Where there is no such leg, as a slice.
impl<I> Index<usize> for Sides<I> {
    type Output = Side<I>;

    #[inline]
    fn index(&self, at: usize) -> &Side<I> {
        match (at, &*self.0) {
            (0, (first, _)) => first,
            (1, (_, Some(second))) => second,
            _ => missing(at),
        }
    }
}

impl<I> IndexMut<usize> for Sides<I> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut Side<I> {
        match (at, &mut *self.0) {
            (0, (first, _)) => first,
            (1, (_, Some(second))) => second,
            _ => missing(at),
        }
    }
}

#[cold]
#[inline(never)]
#[allow(clippy::panic)] // a mistake of ours, as an index beyond a slice; its lane ends that one session
fn missing(at: usize) -> ! {
    panic!("a session has no leg {at}")
}

//! JSON Pointers (RFC 6901) with a wildcard.

use std::borrow::Cow;

use super::{Value, is_named, quote};

/// Where in a JSON text: `/user/name`, `/cards/0`, `/cards/*/number`; the empty pointer is the whole text.
///
/// A segment names a member or counts elements from 0; `~1` stands for `/` and `~0` for `~`. The segment `*` is every
/// member and every element. Where a name stands twice in an object, both are meant: readers differ in which one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Each,
    /// A member's name, and the element's place where it is one.
    Named(String, Option<usize>),
}

impl Segment {
    fn is_member(&self, raw: &str) -> bool {
        match self {
            Self::Each => true,
            Self::Named(name, _) => is_named(raw, name),
        }
    }

    fn is_element(&self, index: usize) -> bool {
        match self {
            Self::Each => true,
            Self::Named(_, place) => *place == Some(index),
        }
    }
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// It is not empty and does not begin with `/`, or has a `~` that neither `0` nor `1` follows.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Self { segments: Vec::new() })
            } else {
                Err(format!("{text:?} is no JSON Pointer: it does not begin with \"/\""))
            };
        };
        let segments = rest.split('/').map(|segment| {
            if segment == "*" {
                return Ok(Segment::Each);
            }
            if segment.split('~').skip(1).any(|after| !after.starts_with(['0', '1'])) {
                return Err(format!(
                    "{text:?} is no JSON Pointer: \"~\" is written \"~0\", and \"/\" in a name \"~1\""
                ));
            }
            // Only as it is counted: "00" and "+0" are names.
            let place = segment.parse::<usize>().ok().filter(|place| place.to_string() == segment);
            Ok(Segment::Named(segment.replace("~1", "/").replace("~0", "~"), place))
        });
        Ok(Self { segments: segments.collect::<Result<_, _>>()? })
    }

    /// Whether it is the empty one, which is the whole text.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// Calls the function on every value there is at the pointer.
    pub fn each<'t>(&self, value: &mut Value<'t>, mut edit: impl FnMut(&mut Value<'t>)) {
        each(&self.segments, value, &mut edit);
    }

    /// Removes what is there from its array or object, and says whether there was something. The whole text stays.
    pub fn remove(&self, value: &mut Value<'_>) -> bool {
        let Some((last, parents)) = self.segments.split_last() else { return false };
        let mut removed = false;
        each(parents, value, &mut |parent| match parent {
            Value::Scalar(_) => {}
            Value::Array(elements) => {
                let before = elements.len();
                let mut index = 0;
                elements.retain(|_| {
                    index += 1;
                    !last.is_element(index - 1)
                });
                removed |= elements.len() < before;
            }
            Value::Object(members) => {
                let before = members.len();
                members.retain(|(name, _)| !last.is_member(name));
                removed |= members.len() < before;
            }
        });
        removed
    }

    /// Puts a value there, and says whether it could.
    ///
    /// A member that its object lacks is added at the end, with objects on the way to it. Elements are replaced; `-`
    /// after an array adds one at its end. Nothing is put under a string, number, `true`, `false` or `null`, nor beyond
    /// an array's end.
    pub fn set<'t>(&self, value: &mut Value<'t>, new: &Value<'t>) -> bool {
        set(&self.segments, value, new)
    }
}

fn each<'t>(segments: &[Segment], value: &mut Value<'t>, edit: &mut impl FnMut(&mut Value<'t>)) {
    let Some((first, rest)) = segments.split_first() else { return edit(value) };
    match value {
        Value::Scalar(_) => {}
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                if first.is_element(index) {
                    each(rest, element, edit);
                }
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if first.is_member(name) {
                    each(rest, member, edit);
                }
            }
        }
    }
}

fn set<'t>(segments: &[Segment], value: &mut Value<'t>, new: &Value<'t>) -> bool {
    let Some((first, rest)) = segments.split_first() else {
        value.clone_from(new);
        return true;
    };
    let mut done = false;
    match value {
        Value::Scalar(_) => {}
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                if first.is_element(index) {
                    done |= set(rest, element, new);
                }
            }
            if matches!(first, Segment::Named(name, _) if name == "-") {
                let made = made(rest, new);
                done |= made.is_some();
                elements.extend(made);
            }
        }
        Value::Object(members) => {
            let mut found = false;
            for (name, member) in members.iter_mut() {
                if first.is_member(name) {
                    found = true;
                    done |= set(rest, member, new);
                }
            }
            if let (false, Segment::Named(name, _), Some(made)) = (found, first, made(rest, new)) {
                members.push((Cow::Owned(quote(name)), made));
                done = true;
            }
        }
    }
    done
}

/// The value in the objects that lead to it; none behind a wildcard, which names nothing that could be made.
fn made<'t>(segments: &[Segment], new: &Value<'t>) -> Option<Value<'t>> {
    let Some((first, rest)) = segments.split_first() else { return Some(new.clone()) };
    match first {
        Segment::Each => None,
        Segment::Named(name, _) => Some(Value::Object(vec![(Cow::Owned(quote(name)), made(rest, new)?)])),
    }
}

//! A schema, ready to check messages by.

use std::{collections::BTreeSet, fmt};

use regex_lite::Regex;

use crate::number::Number;

/// A schema's parts, which refer to each other by their places.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) parts: Vec<Part>,
}

/// A place in [`Schema::parts`]. The whole schema is 0.
pub(crate) type Place = usize;

/// A schema within the schema: all of it must hold.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) rules: Vec<Rule>,
}

/// One keyword, or some that belong together.
#[derive(Debug)]
pub(crate) enum Rule {
    Never,
    Types(Vec<Type>),
    /// Canonical texts of what is allowed.
    Enum(BTreeSet<String>),
    Number(NumberRule, Number),
    /// `minLength` and `maxLength`
    Length(Counts),
    Pattern(Regex),
    Items(Items),
    /// How many of the elements fit.
    Contains(Place, Counts),
    ItemCount(Counts),
    Unique,
    Members(Members),
    MemberCount(Counts),
    Names(Place),
    Required(Vec<String>),
    /// With a member of this name, these must be there.
    DependentRequired(String, Vec<String>),
    /// With a member of this name, the whole must fit.
    DependentSchema(String, Place),
    /// `$ref` and `allOf`
    All(Vec<Place>),
    Any(Vec<Place>),
    One(Vec<Place>),
    Not(Place),
    If {
        condition: Place,
        then: Option<Place>,
        otherwise: Option<Place>,
    },
}

/// The types that JSON Schema knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Object,
    Array,
    Number,
    Integer,
    String,
}

impl Type {
    /// Their names.
    pub(crate) const ALL: [(&str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("object", Self::Object),
        ("array", Self::Array),
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("string", Self::String),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// What a number is compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberRule {
    Minimum,
    Maximum,
    ExclusiveMinimum,
    ExclusiveMaximum,
    MultipleOf,
}

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

/// What the elements of an array must fit: the first ones, and those after them.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) prefix: Vec<Place>,
    pub(crate) rest: Option<Place>,
}

/// What members must fit, by their names and by patterns of names; and those that neither names.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) named: Vec<(String, Place)>,
    pub(crate) patterns: Vec<(Regex, Place)>,
    pub(crate) others: Option<Place>,
}

/// Where a message breaks its schema, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// A JSON Pointer.
    pub(crate) at: String,
    pub(crate) why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { write!(f, "the message {}", self.why) } else { write!(f, "{} {}", self.at, self.why) }
    }
}

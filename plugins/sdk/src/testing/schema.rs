//! A policy's schema beside what its `init` reads.

use crate::{
    Plugin,
    json::{self, Value},
};

/// Asserts that the schema has the keys that the policy takes from its configuration and no others, and refuses others
/// as the policy does.
///
/// The policy reads with [`config::Object`](crate::config::Object), and takes all keys before it says what is wrong
/// with them.
///
/// # Panics
/// They differ.
pub fn assert_schema_names_the_keys<P: Plugin>(schema: &str) {
    let Err(told) = P::init(r#"{"?": 0}"#) else { panic!("the policy takes a key \"?\"") };
    let keys = told.strip_prefix("unknown key \"?\"; the keys are ");
    let mut keys: Vec<&str> =
        keys.unwrap_or_else(|| panic!("the policy does not tell its keys: {told}")).split(", ").collect();
    keys.sort_unstable();
    let schema = json::parse(schema).unwrap_or_else(|error| panic!("the schema is not JSON: {error}"));
    let Some(Value::Object(properties)) = schema.members("properties").last() else {
        panic!("the schema has no properties")
    };
    let mut named: Vec<_> = properties.iter().map(|(name, _)| json::unquote(name)).collect();
    named.sort_unstable();
    assert_eq!(named, keys, "the schema's properties are not the policy's keys");
    let others = schema.members("additionalProperties").last();
    assert_eq!(others, Some(&Value::Scalar("false".into())), "the schema lets other keys pass");
}

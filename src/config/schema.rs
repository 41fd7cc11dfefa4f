//! The JSON Schema of the file, for editors that complete and check it while it is written.
//!
//! It is made from what reads the file: keys and structure are those of the sections, types, ranges, words and defaults
//! are what the checks ask for when they are run over `config/reference.yaml`, and descriptions are its comments. Any
//! value may be a placeholder instead. What JSON Schema cannot say (bounds of durations and sizes, names that must be
//! there) stands in the descriptions. It refuses nothing that the proxy accepts.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    DEFAULT_ADMIN, Drain,
    check::Asked,
    file::File,
    part::Part as _,
    shape::{Form, Section},
    tree::{At, Node},
    validate, yaml,
};

const REFERENCE: &str = include_str!("../../config/reference.yaml");

/// The JSON Schema (draft 2020-12) of a configuration file.
#[must_use]
pub fn schema() -> Value {
    // A test reads it.
    let Ok(tree) = yaml::read(REFERENCE) else { unreachable!("the reference is a YAML file") };
    let mut maker =
        Maker { asked: validate::asked(&tree), comments: REFERENCE.lines().collect(), definitions: BTreeMap::new() };
    let root = [At::root(&tree)];
    let Form::Section(file) = File::form() else { unreachable!("the file is a section") };
    let Value::Object(mut schema) = maker.section(&file, &root) else { unreachable!("a section is an object") };
    let placeholder = json!({
        "description": "${NAME} or ${NAME:default}: from the values file, the environment, or the default",
        "type": "string",
        "pattern": "\\$\\{",
    });
    maker.definitions.insert("placeholder".to_owned(), placeholder);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("Configuration of Cordboard"));
    schema.insert("$defs".to_owned(), maker.definitions.into_iter().collect());
    Value::Object(schema)
}

struct Maker {
    asked: BTreeMap<String, Asked>,
    /// Lines of the reference.
    comments: Vec<&'static str>,
    definitions: BTreeMap<String, Value>,
}

impl Maker {
    fn section(&mut self, section: &Section, places: &[At<'_>]) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (key, form) in &section.fields {
            let places: Vec<_> = places.iter().map(|at| at.key(key)).collect();
            let (schema, must) = self.property(section.name, key, form, &places);
            properties.insert((*key).to_owned(), schema);
            if must {
                required.push(Value::from(*key));
            }
        }
        let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema
    }

    /// The schema of a key, and whether it must be there.
    fn property(&mut self, section: &str, key: &str, form: &Form, places: &[At<'_>]) -> (Value, bool) {
        let asked = places.iter().find_map(|at| self.asked.get(&at.to_string()));
        let mut about = places.iter().map(|at| self.comment(at)).find(|text| !text.is_empty()).unwrap_or_default();
        let mut must = matches!(asked, Some(Asked::Required));
        let mut default = None;
        let mut nullable = false;
        let mut add = |more: &str| {
            if !about.contains(more) {
                about = [&*about, more].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
            }
        };
        let value = match (section, key, asked) {
            ("DrainFile", "close_code", _) => {
                default = Some(json!(Drain::default().close_code));
                let application = json!({ "type": "integer", "minimum": 3000, "maximum": 4999 });
                json!({ "anyOf": [{ "enum": [1001, 1012] }, application, { "type": "string", "pattern": "^[0-9]{4}$" }] })
            }
            ("AdminFile", "address", _) => {
                (default, nullable) = (Some(json!(DEFAULT_ADMIN.to_string())), true);
                json!({ "type": "string" })
            }
            (_, _, Some(Asked::Later(off))) => {
                add("not in this version");
                json!({ "enum": if off.is_null() { json!([null]) } else { json!([off, null]) } })
            }
            (_, _, Some(Asked::Quantity { size, default: spelled, allowed, zero })) => {
                add(allowed);
                default = Some(if spelled == "0" { json!(0) } else { json!(spelled) });
                quantity(*size, *zero)
            }
            (_, _, Some(Asked::Count([spelled, min, max]))) => {
                let number = |text: &str| text.parse::<u64>().unwrap_or_default();
                default = Some(json!(number(spelled)));
                json!({
                    "type": ["integer", "string"],
                    "minimum": number(min),
                    "maximum": number(max),
                    "pattern": "^[0-9]+$",
                })
            }
            (_, _, Some(Asked::Choice { names, default: word })) => {
                let flag = names == &["true", "false"];
                must = word.is_none();
                default = word.as_ref().map(|word| if flag { json!(word == "true") } else { json!(word) });
                if flag { json!({ "enum": [true, false, "true", "false"] }) } else { json!({ "enum": names }) }
            }
            _ => {
                // Where a text is all that is asked for, null is "none" in two places.
                nullable = matches!(
                    (section, key),
                    ("PluginFile", "sha256" | "signature")
                        | ("EndpointMap", "env_tag")
                        | ("FetchFile", "ca_file" | "docker_config")
                );
                must |= matches!(
                    (section, key),
                    ("File", "listeners")
                        | ("RouteFile", "match")
                        | ("ServiceFile", "endpoints")
                        | ("HttpClientFile", "allow")
                );
                let on_its_own = (section, key) == ("File", "admin");
                nullable |= !must && !on_its_own && !matches!(form, Form::Scalar | Form::Text);
                if matches!(form, Form::List(_)) && !must {
                    default = Some(json!([]));
                }
                let mut value = self.form(form, places);
                if must && matches!(form, Form::List(_)) {
                    value["minItems"] = json!(1);
                }
                value
            }
        };
        let mut any = vec![value, json!({ "$ref": "#/$defs/placeholder" })];
        if nullable {
            any.insert(1, json!({ "type": "null" }));
        }
        let mut schema = Map::new();
        if !about.is_empty() {
            schema.insert("description".to_owned(), about.into());
        }
        if let Some(default) = default {
            schema.insert("default".to_owned(), default);
        }
        schema.insert("anyOf".to_owned(), any.into());
        (schema.into(), must)
    }

    fn form(&mut self, form: &Form, places: &[At<'_>]) -> Value {
        match form {
            Form::Scalar => json!({ "type": ["string", "number", "boolean"] }),
            Form::Text => json!({ "type": "string" }),
            Form::List(item) => {
                let items = places.iter().flat_map(|at| {
                    let count = at.node().and_then(Node::list).unwrap_or_default().len();
                    (0..count).map(|index| at.index(index))
                });
                let items: Vec<_> = items.collect();
                json!({ "type": "array", "items": self.or_placeholder(item, &items) })
            }
            Form::Map(value) => {
                let values = places.iter().flat_map(|at| {
                    let keys = at.node().and_then(Node::map).into_iter().flat_map(BTreeMap::keys);
                    keys.map(|key| at.key(key))
                });
                let values: Vec<_> = values.collect();
                let mut schema = self.or_placeholder(value, &values);
                // Blank is a section of nothing but defaults, where that can be.
                if let Form::Section(section) = &**value
                    && self.definitions.get(&name(section)).is_some_and(|known| known.get("required").is_none())
                    && let Some(any) = schema["anyOf"].as_array_mut()
                {
                    any.insert(1, json!({ "type": "null" }));
                }
                json!({ "type": "object", "additionalProperties": schema })
            }
            Form::Section(section) => {
                let name = name(section);
                let mut definition = self.section(section, places);
                if let Some(other) = self.definitions.remove(&name) {
                    merge(&mut definition, &other);
                }
                self.definitions.insert(name.clone(), definition);
                json!({ "$ref": format!("#/$defs/{name}") })
            }
            Form::Object => json!({ "type": "object" }),
            Form::Later | Form::Any => json!(true),
            Form::Either(_, forms) => {
                let any: Vec<_> = forms.iter().map(|form| self.form(form, places)).collect();
                json!({ "anyOf": any })
            }
        }
    }

    fn or_placeholder(&mut self, form: &Form, places: &[At<'_>]) -> Value {
        let value = self.form(form, places);
        match form {
            // A placeholder is one of these anyway.
            Form::Scalar | Form::Text | Form::Either(..) => value,
            _ => json!({ "anyOf": [value, { "$ref": "#/$defs/placeholder" }] }),
        }
    }

    /// The comment beside a key of the reference, with the lines that go on below it.
    fn comment(&self, at: &At<'_>) -> String {
        let Some(index) = at.node().and_then(|_| at.name().line.checked_sub(1)) else { return String::new() };
        let Some((_, first)) = self.comments.get(index).and_then(|line| line.split_once(" # ")) else {
            return String::new();
        };
        let more = self.comments.get(index + 1..).unwrap_or_default().iter();
        let more = more.map_while(|line| line.strip_prefix("  ").and_then(|line| line.trim_start().strip_prefix("# ")));
        std::iter::once(first).chain(more).map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

/// What a section is called in the schema.
fn name(section: &Section) -> String {
    section.name.trim_end_matches("File").to_lowercase()
}

/// Takes over what another place of the same section shows and this one does not.
fn merge(definition: &mut Value, other: &Value) {
    let Some(properties) = definition["properties"].as_object_mut() else { return };
    for (key, property) in properties {
        let known = |property: &Value| property.as_object().map_or(0, Map::len);
        if known(&other["properties"][key]) > known(property) {
            *property = other["properties"][key].clone();
        }
    }
    if definition.get("required").is_none() && other.get("required").is_some() {
        definition["required"] = other["required"].clone();
    }
}

fn quantity(size: bool, zero: bool) -> Value {
    let units = if size { "B|KiB|MiB|GiB" } else { "ms|s|m|h" };
    if zero {
        json!({ "type": ["string", "integer"], "pattern": format!("^([0-9]+({units})|0+)$"), "minimum": 0, "maximum": 0 })
    } else {
        json!({ "type": "string", "pattern": format!("^[0-9]+({units})$") })
    }
}

//! From a JSON Schema's text to [`Schema`]. What is not supported is refused, never left out.

mod keywords;

use std::collections::BTreeMap;

use cordboard_plugin_sdk::{
    json::{Value, unquote},
    query,
};
use keywords::{counts, get, numbers, pattern, refuse_unsupported, strings, types};

use crate::{
    check::canonical,
    schema::{Counts, Items, Members, Part, Place, Rule, Schema, Type},
};

/// An error begins with its place in the schema, a JSON Pointer.
type Compiled<T> = Result<T, String>;

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Begins with the place of what is wrong, as a JSON Pointer.
    pub(crate) fn compile(root: &Value<'_>) -> Compiled<Self> {
        let mut compiler = Compiler { root, places: BTreeMap::new(), parts: Vec::new() };
        compiler.part("", root)?;
        compiler.refuse_circles()?;
        Ok(Self { parts: compiler.parts })
    }
}

struct Compiler<'s, 't> {
    root: &'s Value<'t>,
    /// By their pointers, so that references meet, also in a circle.
    places: BTreeMap<String, Place>,
    parts: Vec<Part>,
}

impl<'s, 't> Compiler<'s, 't> {
    /// The place of the part at a pointer.
    fn part(&mut self, at: &str, value: &'s Value<'t>) -> Compiled<Place> {
        if let Some(place) = self.places.get(at) {
            return Ok(*place);
        }
        let place = self.parts.len();
        self.places.insert(at.to_owned(), place);
        self.parts.push(Part::default());
        let rules = match value {
            Value::Scalar(raw) if raw == "true" => Vec::new(),
            Value::Scalar(raw) if raw == "false" => vec![Rule::Never],
            Value::Object(_) => self.rules(at, value)?,
            _ => return Err(format!("{at}: a schema is an object, true or false")),
        };
        self.parts[place] = Part { rules };
        Ok(place)
    }

    fn rules(&mut self, at: &str, schema: &'s Value<'t>) -> Compiled<Vec<Rule>> {
        refuse_unsupported(at, schema)?;
        let mut rules = Vec::new();
        if let Some(value) = get(schema, "type") {
            rules.push(Rule::Types(types(value).ok_or_else(|| {
                let names = Type::ALL.map(|(name, _)| name).join(", ");
                format!("{at}/type: it is one or some of {names}")
            })?));
        }
        if let Some(value) = get(schema, "enum") {
            let Value::Array(all) = value else { return Err(format!("{at}/enum: it is not an array")) };
            rules.push(Rule::Enum(all.iter().map(canonical).collect()));
        }
        rules.extend(get(schema, "const").map(|value| Rule::Enum([canonical(value)].into())));
        numbers(at, schema, &mut rules)?;
        rules.extend(counts(at, schema, "minLength", "maxLength")?.map(Rule::Length));
        if let Some(value) = get(schema, "pattern") {
            rules.push(Rule::Pattern(pattern(&format!("{at}/pattern"), value.as_string().as_deref())?));
        }
        self.array(at, schema, &mut rules)?;
        self.object(at, schema, &mut rules)?;
        self.combined(at, schema, &mut rules)?;
        // What nobody refers to must be right, too.
        self.map(at, schema, "$defs")?;
        self.map(at, schema, "definitions")?;
        Ok(rules)
    }

    fn array(&mut self, at: &str, schema: &'s Value<'t>, rules: &mut Vec<Rule>) -> Compiled<()> {
        let prefix = self.list(at, schema, "prefixItems")?.unwrap_or_default();
        let rest = self.one(at, schema, "items")?;
        if !prefix.is_empty() || rest.is_some() {
            rules.push(Rule::Items(Items { prefix, rest }));
        }
        let counted = counts(at, schema, "minContains", "maxContains")?;
        if let Some(contains) = self.one(at, schema, "contains")? {
            let counted = counted.unwrap_or(Counts { least: 1, most: usize::MAX });
            let least = if get(schema, "minContains").is_some() { counted.least } else { 1 };
            rules.push(Rule::Contains(contains, Counts { least, ..counted }));
        }
        rules.extend(counts(at, schema, "minItems", "maxItems")?.map(Rule::ItemCount));
        match get(schema, "uniqueItems") {
            None => {}
            Some(Value::Scalar(raw)) if raw == "false" => {}
            Some(Value::Scalar(raw)) if raw == "true" => rules.push(Rule::Unique),
            Some(_) => return Err(format!("{at}/uniqueItems: it is neither true nor false")),
        }
        Ok(())
    }

    fn object(&mut self, at: &str, schema: &'s Value<'t>, rules: &mut Vec<Rule>) -> Compiled<()> {
        let named = self.map(at, schema, "properties")?.unwrap_or_default();
        let mut patterns = Vec::new();
        for (text, place) in self.map(at, schema, "patternProperties")?.unwrap_or_default() {
            patterns.push((pattern(&format!("{at}/patternProperties"), Some(&text))?, place));
        }
        let others = self.one(at, schema, "additionalProperties")?;
        if !named.is_empty() || !patterns.is_empty() || others.is_some() {
            rules.push(Rule::Members(Members { named, patterns, others }));
        }
        rules.extend(counts(at, schema, "minProperties", "maxProperties")?.map(Rule::MemberCount));
        rules.extend(self.one(at, schema, "propertyNames")?.map(Rule::Names));
        if let Some(value) = get(schema, "required") {
            rules.push(Rule::Required(strings(value).ok_or_else(|| format!("{at}/required: it is no list of names"))?));
        }
        if let Some(value) = get(schema, "dependentRequired") {
            let bad = || format!("{at}/dependentRequired: it is no object of lists of names");
            let Value::Object(members) = value else { return Err(bad()) };
            for (name, value) in members {
                rules.push(Rule::DependentRequired(unquote(name).into_owned(), strings(value).ok_or_else(bad)?));
            }
        }
        Ok(())
    }

    /// Keywords that apply schemas to the very same value.
    fn combined(&mut self, at: &str, schema: &'s Value<'t>, rules: &mut Vec<Rule>) -> Compiled<()> {
        if let Some(value) = get(schema, "$ref") {
            rules.push(Rule::All(vec![self.referred(at, value)?]));
        }
        rules.extend(self.list(at, schema, "allOf")?.map(Rule::All));
        rules.extend(self.list(at, schema, "anyOf")?.map(Rule::Any));
        rules.extend(self.list(at, schema, "oneOf")?.map(Rule::One));
        rules.extend(self.one(at, schema, "not")?.map(Rule::Not));
        let (then, otherwise) = (self.one(at, schema, "then")?, self.one(at, schema, "else")?);
        let condition = self.one(at, schema, "if")?;
        rules.extend(condition.map(|condition| Rule::If { condition, then, otherwise }));
        let dependent = self.map(at, schema, "dependentSchemas")?.unwrap_or_default();
        rules.extend(dependent.into_iter().map(|(name, place)| Rule::DependentSchema(name, place)));
        Ok(())
    }

    /// The schema under a keyword.
    fn one(&mut self, at: &str, schema: &'s Value<'t>, name: &str) -> Compiled<Option<Place>> {
        get(schema, name).map(|value| self.part(&format!("{at}/{name}"), value)).transpose()
    }

    /// The schemas in the array under a keyword.
    fn list(&mut self, at: &str, schema: &'s Value<'t>, name: &str) -> Compiled<Option<Vec<Place>>> {
        match get(schema, name) {
            None => Ok(None),
            Some(Value::Array(all)) if !all.is_empty() => {
                let each = all.iter().enumerate();
                each.map(|(index, value)| self.part(&format!("{at}/{name}/{index}"), value))
                    .collect::<Result<_, _>>()
                    .map(Some)
            }
            Some(_) => Err(format!("{at}/{name}: it is no array of schemas, of one at least")),
        }
    }

    /// The schemas in the object under a keyword.
    fn map(&mut self, at: &str, schema: &'s Value<'t>, name: &str) -> Compiled<Option<Vec<(String, Place)>>> {
        match get(schema, name) {
            None => Ok(None),
            Some(Value::Object(members)) => {
                let each = members.iter().map(|(key, value)| {
                    let key = unquote(key).into_owned();
                    let place =
                        self.part(&format!("{at}/{name}/{}", key.replace('~', "~0").replace('/', "~1")), value)?;
                    Ok((key, place))
                });
                each.collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(format!("{at}/{name}: it is no object of schemas")),
        }
    }

    fn referred(&mut self, at: &str, value: &Value<'_>) -> Compiled<Place> {
        let bad = |why: &str| format!("{at}/$ref: {value} {why}");
        let text = value.as_string().ok_or_else(|| bad("is no text"))?;
        let fragment = text.strip_prefix('#').ok_or_else(|| bad("is not supported; only # and a JSON Pointer is"))?;
        let pointer = query::decode(fragment).map_err(|_| bad("is not UTF-8"))?;
        let mut found = Some(self.root);
        for segment in pointer.split('/').skip(1) {
            let name = segment.replace("~1", "/").replace("~0", "~");
            found = match found {
                Some(Value::Array(all)) => name.parse::<usize>().ok().and_then(|index| all.get(index)),
                Some(object) => get(object, &name),
                None => None,
            };
        }
        match found {
            Some(found) if pointer.is_empty() || pointer.starts_with('/') => self.part(&pointer, found),
            _ => Err(bad("is nowhere in the schema")),
        }
    }

    /// A part that applies itself to the very same value would never end.
    fn refuse_circles(&self) -> Compiled<()> {
        // 0: not seen, 1: on the way, 2: done.
        let mut seen = vec![0_u8; self.parts.len()];
        let mut stack: Vec<(Place, Vec<Place>)> = Vec::new();
        for start in 0..self.parts.len() {
            let mut next = Some(start).filter(|start| seen[*start] == 0);
            loop {
                if let Some(place) = next {
                    seen[place] = 1;
                    stack.push((place, self.parts[place].rules.iter().flat_map(same_value).collect()));
                }
                let Some((place, left)) = stack.last_mut() else { break };
                next = left.pop();
                match next {
                    None => {
                        seen[*place] = 2;
                        stack.pop();
                    }
                    Some(other) if seen[other] == 1 => {
                        let at = self.places.iter().find(|(_, place)| **place == other).map_or("", |(at, _)| at);
                        return Err(format!("{at}: it refers to itself without going deeper into the message"));
                    }
                    Some(other) => next = Some(other).filter(|other| seen[*other] == 0),
                }
            }
        }
        Ok(())
    }
}

/// The parts that a rule applies to the same value.
fn same_value(rule: &Rule) -> Vec<Place> {
    match rule {
        Rule::All(places) | Rule::Any(places) | Rule::One(places) => places.clone(),
        Rule::Not(place) | Rule::DependentSchema(_, place) => vec![*place],
        Rule::If { condition, then, otherwise } => {
            [Some(*condition), *then, *otherwise].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

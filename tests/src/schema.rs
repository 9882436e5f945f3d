//! A JSON Schema that values are held against: as much of draft 2020-12 as `whydrop schema` uses, and strictly: a member that
//! the schema does not name is a fault. A keyword that is not known here is one, too, so that none is passed over in silence.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value};

use crate::binary::binary;

/// What says something to readers only. Cookies and addresses are texts here.
const TOLD: [&str; 6] = [
    "$schema",
    "title",
    "description",
    "format",
    "pattern",
    "default",
];

/// The schemas of lines, by their `type`.
pub struct Schema(BTreeMap<String, Vec<Node>>);

/// One schema, made ready: a value is held against it ten thousand times.
#[derive(Default)]
struct Node {
    /// Names of types, all where there is none.
    types: Vec<String>,
    properties: BTreeMap<String, Node>,
    required: Vec<String>,
    /// Of members that are not named.
    others: Option<Box<Node>>,
    items: Option<Box<Node>>,
    /// Any of these.
    choices: Vec<Node>,
    /// One of these.
    values: Vec<Value>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

impl Schema {
    /// That of the binary under test.
    pub fn of_binary() -> Result<&'static Self> {
        static OF_BINARY: OnceLock<Result<Schema, String>> = OnceLock::new();
        let made = OF_BINARY.get_or_init(|| ask().map_err(|error| format!("{error:#}")));
        made.as_ref().map_err(|why| anyhow!("{why}"))
    }

    pub fn of(schema: &Value) -> Result<Self> {
        let kinds = schema["$defs"].as_object().context("no $defs")?;
        let mut by_type: BTreeMap<String, Vec<Node>> = BTreeMap::new();
        for (name, kind) in kinds {
            let node = Node::of(kind).with_context(|| format!("the schema of {name}"))?;
            let of_type = kind["properties"]["type"]["const"].as_str();
            let of_type = of_type.with_context(|| format!("{name} has no type"))?;
            by_type.entry(of_type.to_owned()).or_default().push(node);
        }
        Ok(Self(by_type))
    }

    /// Whether a line is one of those that the schema has.
    pub fn check(&self, line: &Value) -> Result<()> {
        let of_type = line["type"].as_str().and_then(|name| self.0.get(name));
        let kinds = of_type.with_context(|| format!("no such type: {}", line["type"]))?;
        any_of(kinds, line)
    }
}

fn ask() -> Result<Schema> {
    let output = Command::new(binary()?).arg("schema").output()?;
    ensure!(output.status.success(), "`whydrop schema`: {output:?}");
    Schema::of(&serde_json::from_slice(&output.stdout)?)
}

/// The error is that of the last one: of the kinds of one line the most common comes first.
fn any_of(nodes: &[Node], value: &Value) -> Result<()> {
    let mut result = Err(anyhow!("nothing fits"));
    for node in nodes {
        result = node.check(value);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn texts(value: &Value) -> Result<Vec<String>> {
    let all = match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    all.into_iter()
        .map(|one| Ok(one.as_str().context("no text")?.to_owned()))
        .collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Node {
    fn of(schema: &Value) -> Result<Self> {
        // `true` lets everything pass.
        if schema == &Value::Bool(true) {
            return Ok(Self::default());
        }
        let mut node = Self::default();
        for (keyword, value) in schema.as_object().context("no object")? {
            match keyword.as_str() {
                "type" => node.types = texts(value)?,
                "properties" => node.properties = nodes(value.as_object().context("none")?)?,
                "required" => node.required = texts(value)?,
                "additionalProperties" => node.others = Some(Box::new(Self::of(value)?)),
                "items" => node.items = Some(Box::new(Self::of(value)?)),
                "anyOf" | "oneOf" => {
                    let all = value.as_array().context("no list")?;
                    node.choices = all.iter().map(Self::of).collect::<Result<_>>()?;
                }
                "enum" => node.values.clone_from(value.as_array().context("no list")?),
                "const" => node.values = vec![value.clone()],
                "minimum" => node.minimum = value.as_f64(),
                "maximum" => node.maximum = value.as_f64(),
                told if TOLD.contains(&told) => {}
                _ => bail!("the keyword {keyword} is not known here"),
            }
        }
        Ok(node)
    }

    fn check(&self, value: &Value) -> Result<()> {
        let found = type_of(value);
        let fits = |name: &String| name == found || name == "number" && found == "integer";
        ensure!(
            self.types.is_empty() || self.types.iter().any(fits),
            "{value} is no {}",
            self.types.join(" or ")
        );
        ensure!(
            self.values.is_empty() || self.values.contains(value),
            "{value} is none of {:?}",
            self.values
        );
        if !self.choices.is_empty() {
            any_of(&self.choices, value)?;
        }
        match value {
            Value::Object(members) => self.check_members(members),
            Value::Array(items) => self.items.as_ref().map_or(Ok(()), |node| {
                items.iter().try_for_each(|item| node.check(item))
            }),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                let is_in = self.minimum.is_none_or(|least| number >= least)
                    && self.maximum.is_none_or(|most| number <= most);
                ensure!(is_in, "{number} is out of its range");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_members(&self, members: &Map<String, Value>) -> Result<()> {
        if self.properties.is_empty() && self.others.is_none() {
            return Ok(());
        }
        for name in &self.required {
            ensure!(members.contains_key(name), "no {name}");
        }
        for (name, value) in members {
            let node = self.properties.get(name).or(self.others.as_deref());
            let node = node.with_context(|| format!("{name} is not in the schema"))?;
            node.check(value).with_context(|| name.clone())?;
        }
        Ok(())
    }
}

fn nodes(schemas: &Map<String, Value>) -> Result<BTreeMap<String, Node>> {
    schemas
        .iter()
        .map(|(name, schema)| {
            Ok((
                name.clone(),
                Node::of(schema).with_context(|| name.clone())?,
            ))
        })
        .collect()
}

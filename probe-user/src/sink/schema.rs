//! A JSON Schema of every line and object, made from the types that they are written from.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    answer::AnswerView,
    json::{self as lines, EventLine},
    listing,
    run::RanView,
    verify::VerifiedView,
};

/// Draft 2020-12. `$defs` has one schema a `type`; a line fits one of them. Members that a later version adds are no fault.
pub fn schema() -> Value {
    let mut kinds = Map::new();
    let objects = of::<lines::Object<'_>>();
    for object in objects["oneOf"].as_array().into_iter().flatten() {
        let name = object["properties"]["type"]["const"].as_str();
        match name.unwrap_or_default() {
            // Those of the counters tier, which tells of events by their number.
            "event" => kinds.insert("event-count".into(), object.clone()),
            name => kinds.insert(name.into(), object.clone()),
        };
    }
    kinds.insert("event".into(), named("event", of::<EventLine<'_>>()));
    kinds.insert("diagnosis".into(), of::<AnswerView<'_>>());
    kinds.insert("run".into(), of::<RanView<'_>>());
    kinds.insert("verify".into(), of::<VerifiedView<'_>>());
    kinds.insert("listener".into(), of::<listing::RowView<'_>>());
    kinds.insert("missing".into(), of::<listing::MissingView<'_>>());
    let one_of: Vec<Value> = kinds
        .keys()
        .map(|name| json!({"$ref": format!("#/$defs/{name}")}))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("JSON of whydrop, schema {}", lines::SCHEMA),
        "description": "One line; docs/output.md says what its members mean.",
        "oneOf": one_of,
        "$defs": kinds,
    })
}

/// As it is written, with everything where it is.
fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    // The name of a type of ours says nothing to others.
    schema.remove("title");
    let mut schema = schema.to_value();
    only_of_members(&mut schema);
    schema
}

/// What our types are is no matter of others: they see members, some of which stand in a type of their own only here.
fn only_of_members(schema: &mut Value) {
    if let Value::Object(all) = schema {
        if all.contains_key("properties") {
            all.remove("description");
        }
        all.values_mut().for_each(only_of_members);
    } else if let Value::Array(all) = schema {
        all.iter_mut().for_each(only_of_members);
    }
}

/// With its `type`.
fn named(name: &str, mut schema: Value) -> Value {
    schema["properties"]["type"] = json!({"type": "string", "const": name});
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("type".into());
    }
    schema
}

#[cfg(test)]
mod tests;

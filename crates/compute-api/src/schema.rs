//! JSON schemas: checking the bodies of requests by them, and pieces to write them with.

use cellzero::InvalidField;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::fault::Fault;

/// The validator of a schema of the table, which is our own and so a good one.
pub(crate) fn validator(schema: &Value) -> Validator {
    match jsonschema::draft202012::options().should_validate_formats(true).build(schema) {
        Ok(validator) => validator,
        Err(error) => panic!("a schema of the table is none: {error}: {schema}"),
    }
}

/// Checks a body.
///
/// # Errors
/// 400 that says where it is wrong, with the value and what would be right.
pub(crate) fn check(validator: &Validator, body: &Value) -> Result<(), Fault> {
    let Err(error) = validator.validate(body) else { return Ok(()) };
    let path = error.instance_path().to_string();
    let field = path.rsplit('/').next().unwrap_or_default();
    let field = if field.is_empty() { "body" } else { field };
    const SHOWN_MAX: usize = 200;
    let value: String = error.instance().to_string().chars().take(SHOWN_MAX).collect();
    let why: String = error.to_string().chars().take(SHOWN_MAX).collect();
    Err(Fault::bad_request(format!(
        "Invalid input for field/attribute {field}. Value: {value}. {why}"
    )))
}

/// An object with these properties and no others, of which these are required.
pub(crate) fn object(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// An object with one key.
pub(crate) fn wrapped(key: &str, schema: Value) -> Value {
    object(&[key], json!({key: schema}))
}

/// A name: 1 to 255 characters.
pub(crate) fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 255})
}

/// Yes or no as Nova takes it.
pub(crate) fn boolean() -> Value {
    let words = [
        "True", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "False", "false", "0", "OFF",
        "Off", "off", "NO", "No", "no",
    ];
    json!({"anyOf": [{"type": "boolean"}, {"type": "string", "enum": words}]})
}

/// Metadata: up to 255 characters for keys and values.
pub(crate) fn metadata() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 255},
        "propertyNames": {"pattern": "^[a-zA-Z0-9_:. -]{1,255}$"},
    })
}

/// Refuses a key that this microversion does not have yet.
pub(crate) fn refuse_key(object: &Value, key: &str) -> Result<(), Fault> {
    match object.get(key) {
        Some(value) => {
            let expected = "left out: this microversion does not have it";
            Err(InvalidField::new(key, value, expected).into())
        }
        None => Ok(()),
    }
}

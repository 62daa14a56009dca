//! The create-server bodies of `data/`: what unmodified OpenStack clients sent, and what each is
//! expected to come to.

use anyhow::{Context as _, bail};
use cellzero::{BootRequest, InvalidField, Microversion, create_body};
use serde_json::Value;

/// One body a line, with its microversion.
const BODIES: &str = include_str!("data/create-server-bodies.jsonl");
/// One row a line: number, outcome, instances, note.
const EXPECTED: &str = include_str!("data/expected.tsv");

/// One body, as it came.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The microversion that the client named.
    pub microversion: String,
    /// The JSON of the request.
    pub json: Value,
}

impl Body {
    /// The name that was asked for; one that is no text is given as JSON.
    pub fn name(&self) -> String {
        match &self.json["server"]["name"] {
            Value::String(name) => name.clone(),
            other => other.to_string(),
        }
    }

    /// The flavor that was asked for; one that is no text is given as JSON.
    pub fn flavor(&self) -> String {
        match &self.json["server"]["flavorRef"] {
            Value::String(flavor) => flavor.clone(),
            other => other.to_string(),
        }
    }

    /// Reads it with the library's parser.
    ///
    /// # Errors
    /// [`InvalidField`] naming the client's key, where the body breaks a rule of its microversion.
    pub fn request(&self) -> Result<BootRequest, InvalidField> {
        let microversion: Microversion = self.microversion.parse()?;
        Ok(create_body::parse(&self.json, microversion)?.request)
    }
}

/// All bodies, in the order of the file.
///
/// # Errors
/// A line that is not such a record.
pub fn all() -> anyhow::Result<Vec<Body>> {
    let body = |(line, text): (usize, &str)| -> anyhow::Result<Body> {
        let mut record: Value = serde_json::from_str(text)?;
        let microversion = record["microversion"].as_str().context("no microversion")?.to_owned();
        Ok(Body { line, microversion, json: record["body"].take() })
    };
    (1..)
        .zip(BODIES.lines())
        .map(|numbered| {
            body(numbered).with_context(|| format!("line {} of the bodies", numbered.0))
        })
        .collect()
}

/// What a body is expected to come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The line of the body.
    pub line: usize,
    /// `cell`, `cell0`, or `refused:` and the field.
    pub outcome: String,
    /// How many instances it makes.
    pub instances: usize,
}

/// The table of all expected outcomes, in the order of the bodies.
///
/// # Errors
/// A line that is not a row of four columns.
pub fn expected() -> anyhow::Result<Vec<Expected>> {
    let row = |text: &str| -> anyhow::Result<Expected> {
        let columns: Vec<&str> = text.split('\t').collect();
        let [line, outcome, instances, _note] = columns[..] else {
            bail!("{} columns in {text:?}", columns.len())
        };
        Ok(Expected {
            line: line.parse()?,
            outcome: outcome.to_owned(),
            instances: instances.parse()?,
        })
    };
    EXPECTED.lines().map(row).collect()
}

//! Planes that Nova itself made: what is shown and listed on them, and that nothing is written.
//!
//! What is expected are Nova's own answers on these very databases (`expected.json` of each
//! engine). Where ours differs on purpose a table says so, and the tests hold the table exactly.

mod answers;
mod list;
mod oracle;
mod query;
mod read_only;
pub(crate) mod show;

use cellzero::*;
use cellzero_test_support::{Engine, NovaPlane, nova_plane};
use serde_json::Value;

/// How Nova writes a field of an object that has no value.
const NOT_SET: &str = "<not set>";

/// A Nova-made plane, open.
pub(crate) struct Nova {
    pub(crate) files: NovaPlane,
    pub(crate) plane: ControlPlane,
}

impl Nova {
    /// A private copy, opened read-only; none where the backend is left out.
    pub(crate) async fn open(engine: Engine) -> Option<Nova> {
        let files = nova_plane(engine)?;
        let config = Config::new(&files.api_url).base_url(&files.base_url);
        let plane = ControlPlane::open_read_only(config).await.expect("a Nova-made plane opens");
        Some(Nova { files, plane })
    }

    pub(crate) fn expected(&self) -> &Value {
        &self.files.expected
    }

    /// The members of one part of the plan: `cell0`, `cell1`, `unscheduled`, …
    pub(crate) fn plan(&self, part: &str) -> Vec<InstanceUuid> {
        let members = self.expected()["_about"]["plan"][part].as_array();
        members.expect(part).iter().map(uuid_of).collect()
    }

    /// The cell that Nova calls by this name.
    pub(crate) fn cell(&self, name: &str) -> CellUuid {
        text_of(&self.expected()["_about"]["cells"][name]).parse().unwrap()
    }

    /// Who asked: `admin`, or `pN` for a member of a project.
    pub(crate) fn context(&self, name: &str) -> RequestContext {
        match name.strip_prefix('p') {
            Some(number) => {
                let number: usize = number.parse().unwrap();
                let project = text_of(&self.expected()["_about"]["projects"][number]);
                RequestContext::new(project, "a-member")
            }
            None => RequestContext::admin(),
        }
    }
}

pub(crate) fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub(crate) fn uuid_of(value: &Value) -> InstanceUuid {
    text_of(value).parse().unwrap()
}

/// A point in time as Nova's answers write it.
pub(crate) fn time_text(time: chrono::NaiveDateTime) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

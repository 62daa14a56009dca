//! Who asks, and how long they wait.

use std::time::Duration;

/// Who makes a request, on whose behalf, and how long it may take.
///
/// One who is not an admin never sees or touches another project's instance: it is "not found".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The project that owns what is made.
    pub project_id: String,
    /// The user within the project.
    pub user_id: String,
    /// Whether all projects may be seen and touched.
    pub is_admin: bool,
    /// The id of the request, for logs and for the instance action; `req-…` in Nova.
    pub request_id: String,
    /// The longest that one operation may take.
    pub timeout: Duration,
}

impl RequestContext {
    /// How long an operation may take when nothing else is said.
    pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

    /// A user of a project, with a fresh request id.
    pub fn new(project_id: impl Into<String>, user_id: impl Into<String>) -> RequestContext {
        RequestContext {
            project_id: project_id.into(),
            user_id: user_id.into(),
            is_admin: false,
            request_id: format!("req-{}", uuid::Uuid::new_v4()),
            timeout: Self::TIMEOUT_DEFAULT,
        }
    }

    /// An operator: sees and touches every project.
    pub fn admin() -> RequestContext {
        RequestContext { is_admin: true, ..RequestContext::new("admin", "admin") }
    }

    /// The same with another longest time for one operation.
    pub fn with_timeout(self, timeout: Duration) -> RequestContext {
        RequestContext { timeout, ..self }
    }

    /// Whether this caller may know that something of `project_id` exists.
    pub fn may_see(&self, project_id: &str) -> bool {
        self.is_admin || self.project_id == project_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_projects_things_are_hidden_from_all_but_an_admin() {
        assert!(!RequestContext::new("a", "u").may_see("b"));
        assert!(RequestContext::new("a", "u").may_see("a"));
        assert!(RequestContext::admin().may_see("b"));
    }
}

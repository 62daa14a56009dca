//! The quotas of projects.

use std::collections::BTreeMap;

use cellzero_api_db::quota::{self, LimitSource, QuotaLimits, QuotaOf, QuotaResource, Usage};
use cellzero_types::{InvalidField, text};

use crate::{AdminError, ControlPlane};

/// What a project may have, what it has, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The project.
    pub project_id: String,
    /// The limits that hold for it.
    pub limits: QuotaLimits,
    /// Where each of them comes from.
    pub sources: BTreeMap<QuotaResource, LimitSource>,
    /// What it uses. What is buried in cell0, or deleted, counts for nothing.
    pub used: Usage,
}

/// The quotas of projects.
#[derive(Debug)]
pub struct Quotas<'a>(pub(super) &'a ControlPlane);

impl Quotas<'_> {
    /// Sets one limit of a project; `None` says that there is none, whatever the class says.
    /// `auto_retry` is no amount: with 1 what is buried of the project is retried by itself, with 0
    /// it is not, where the request does not say. Up to four statements.
    ///
    /// What the project has beyond a lower limit stays; it gets nothing more.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a resource other than `instances`, `cores`, `ram` and
    /// `auto_retry`, a negative limit, or a project's id that is empty or too long.
    pub async fn set(
        &self,
        project_id: &str,
        resource: &str,
        limit: Option<i32>,
    ) -> Result<(), AdminError> {
        text::check_name("project", project_id)?;
        self.set_of(QuotaOf::Project(project_id.to_owned()), resource, limit).await
    }

    /// Sets one limit of the class `default`: it holds for every project without a limit of its
    /// own. Up to four statements.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn set_default(&self, resource: &str, limit: Option<i32>) -> Result<(), AdminError> {
        self.set_of(QuotaOf::DefaultClass, resource, limit).await
    }

    /// Takes away a project's own limit, so that the class's holds; says whether there was one.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn unset(&self, project_id: &str, resource: &str) -> Result<bool, AdminError> {
        self.unset_of(QuotaOf::Project(project_id.to_owned()), resource).await
    }

    /// Takes away a limit of the class `default`, so that the configuration's holds; says whether
    /// there was one.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn unset_default(&self, resource: &str) -> Result<bool, AdminError> {
        self.unset_of(QuotaOf::DefaultClass, resource).await
    }

    /// The limits of a project, what it uses, and where each limit comes from. A project that nobody
    /// has heard of has the limits that every one has. Two statements.
    ///
    /// # Errors
    /// The API database's.
    pub async fn show(&self, project_id: &str) -> Result<Quota, AdminError> {
        let project = project_id.to_owned();
        let fallback = self.0.quota_fallback();
        self.0
            .look("show_quota", move |conn| {
                let (limits, sources) = quota::limits_with_sources(conn, &project, fallback)?;
                let used = quota::usage(conn, &project)?;
                Ok(Quota { project_id: project, limits, sources, used })
            })
            .await
    }

    async fn set_of(
        &self,
        of: QuotaOf,
        resource: &str,
        limit: Option<i32>,
    ) -> Result<(), AdminError> {
        self.0.writer()?;
        let resource = known(resource)?;
        if let Some(limit) = limit.filter(|limit| *limit < 0) {
            return Err(InvalidField::new("limit", limit, "at least 0, or none").into());
        }
        self.0
            .change("set_quota", move |conn| {
                let now = conn.now();
                Ok(quota::set(conn, &of, resource, limit.unwrap_or(-1), now)?)
            })
            .await
    }

    async fn unset_of(&self, of: QuotaOf, resource: &str) -> Result<bool, AdminError> {
        self.0.writer()?;
        let resource = known(resource)?;
        self.0.change("unset_quota", move |conn| Ok(quota::unset(conn, &of, resource)?)).await
    }
}

fn known(resource: &str) -> Result<QuotaResource, AdminError> {
    QuotaResource::named(resource).ok_or_else(|| {
        let known = "instances, cores, ram or auto_retry";
        InvalidField::new("resource", resource, known).into()
    })
}

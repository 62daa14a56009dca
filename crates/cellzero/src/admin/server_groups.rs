//! The server groups of projects: instances with a common placement policy.

use cellzero_api_db::instance_group::{self, InstanceGroup};
use cellzero_types::{InstanceUuid, InvalidField, RequestContext, text};
use uuid::Uuid;

use crate::{AdminError, ControlPlane};

const KIND: &str = "server group";

/// The policies that a group may have.
const POLICIES: [&str; 4] = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"];

/// A server group with the instances in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupWithMembers {
    /// The group.
    pub group: InstanceGroup,
    /// Its members that are not deleted, in the order in which they joined.
    pub members: Vec<InstanceUuid>,
}

/// The server groups of projects.
#[derive(Debug)]
pub struct ServerGroups<'a>(pub(super) &'a ControlPlane);

impl ServerGroups<'_> {
    /// Adds a server group of the project of `ctx`. `max_server_per_host` counts for anti-affinity.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad name or an unknown policy.
    pub async fn create(
        &self,
        ctx: &RequestContext,
        name: &str,
        policy: &str,
        max_server_per_host: u32,
    ) -> Result<Uuid, AdminError> {
        self.0.writer()?;
        text::check_name("server group name", name)?;
        if !POLICIES.contains(&policy) {
            let expected = format!("one of {}", POLICIES.join(", "));
            return Err(InvalidField::new("policy", policy, expected).into());
        }
        if max_server_per_host == 0 {
            return Err(InvalidField::new("max_server_per_host", 0, "at least 1").into());
        }
        let uuid = Uuid::new_v4();
        let owner = (ctx.project_id.clone(), ctx.user_id.clone());
        let (name, policy) = (name.to_owned(), policy.to_owned());
        self.0
            .change("create_server_group", move |conn| {
                let now = conn.now();
                let rules = (policy.as_str(), max_server_per_host);
                let group = (uuid, name.as_str());
                instance_group::insert(conn, (&owner.0, &owner.1), group, rules, now)?;
                Ok(uuid)
            })
            .await
    }

    /// The groups of the project of `ctx`, in the order in which they were made. Two statements.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self, ctx: &RequestContext) -> Result<Vec<GroupWithMembers>, AdminError> {
        self.list_of(Some(ctx.project_id.clone())).await
    }

    /// The groups of all projects, for an admin. Two statements.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list_all(&self) -> Result<Vec<GroupWithMembers>, AdminError> {
        self.list_of(None).await
    }

    async fn list_of(&self, project: Option<String>) -> Result<Vec<GroupWithMembers>, AdminError> {
        self.0
            .look("list_server_groups", move |conn| {
                let groups = instance_group::all(conn, project.as_deref())?;
                let ids: Vec<i32> = groups.iter().map(|group| group.id).collect();
                let mut members = instance_group::living_members(conn, &ids)?;
                let groups = groups.into_iter().map(|group| {
                    let members = members.remove(&group.id).unwrap_or_default();
                    GroupWithMembers { group, members }
                });
                Ok(groups.collect())
            })
            .await
    }

    /// One group. Two statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], also for another project's, or the API database's.
    pub async fn show(
        &self,
        ctx: &RequestContext,
        uuid: Uuid,
    ) -> Result<GroupWithMembers, AdminError> {
        let ctx = ctx.clone();
        let find = move |conn: &mut _| {
            let found = instance_group::find(conn, uuid)?;
            let Some(group) = found.filter(|group| ctx.may_see(&group.project_id)) else {
                return Ok(None);
            };
            let members = instance_group::living_members(conn, &[group.id])?.remove(&group.id);
            Ok(Some(GroupWithMembers { group, members: members.unwrap_or_default() }))
        };
        let found = self.0.look("show_server_group", find).await?;
        found.ok_or_else(|| AdminError::not_found(KIND, &uuid.to_string()))
    }

    /// Deletes a group; its members stay where they are. Four statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], also for another project's, or the API database's.
    pub async fn delete(&self, ctx: &RequestContext, uuid: Uuid) -> Result<(), AdminError> {
        let ctx = ctx.clone();
        self.0
            .change("delete_server_group", move |conn| {
                let found = instance_group::find(conn, uuid)?;
                match found.filter(|group| ctx.may_see(&group.project_id)) {
                    Some(group) => Ok(instance_group::delete(conn, group.id)?),
                    None => Err(AdminError::not_found(KIND, &uuid.to_string())),
                }
            })
            .await
    }
}

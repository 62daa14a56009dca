//! The flavors of a plane: the sizes that can be asked for.

use cellzero_api_db::flavor;
use cellzero_types::{Flavor, InvalidField, RequestContext, text};

use crate::{AdminError, ControlPlane};

/// The flavors of a plane.
#[derive(Debug)]
pub struct Flavors<'a>(pub(super) &'a ControlPlane);

impl Flavors<'_> {
    /// Adds a flavor with its extra specs. Two statements, three with extra specs.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad field; [`AdminError::Exists`] where its name or its id is
    /// taken.
    pub async fn create(&self, flavor: &Flavor) -> Result<(), AdminError> {
        self.create_for(flavor, &[]).await
    }

    /// The same with projects that may use it, which only a private one has. One statement more.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`AdminError::Invalid`] for projects of a public flavor.
    pub async fn create_for(&self, flavor: &Flavor, projects: &[&str]) -> Result<(), AdminError> {
        self.0.writer()?;
        flavor.check()?;
        if flavor.is_public && !projects.is_empty() {
            let expected = "left out for a public flavor, which every project may use";
            return Err(InvalidField::new("projects", projects.join(","), expected).into());
        }
        projects.iter().try_for_each(|project| text::check_name("project", project))?;
        let (flavor, taken) = (flavor.clone(), flavor.clone());
        let projects: Vec<String> = projects.iter().map(|&project| project.to_owned()).collect();
        self.0
            .change("create_flavor", move |conn| {
                let now = conn.now();
                let id = flavor::insert(conn, &flavor, now)?;
                Ok(flavor::allow(conn, id, &projects, now)?)
            })
            .await
            .map_err(|error| error.or_exists("flavor", &taken.flavorid))
    }

    /// Lets a project use a private flavor. Two statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for a flavor that does not exist; [`AdminError::Exists`] where the
    /// project may use it already.
    pub async fn allow(&self, flavorid: &str, project_id: &str) -> Result<(), AdminError> {
        self.0.writer()?;
        text::check_name("project", project_id)?;
        let (flavorid, project) = (flavorid.to_owned(), project_id.to_owned());
        self.0
            .change("allow_flavor", move |conn| {
                let now = conn.now();
                let Some(found) = flavor::find(conn, &flavorid)? else {
                    return Err(AdminError::not_found("flavor", &flavorid));
                };
                Ok(flavor::allow(conn, found.id, std::slice::from_ref(&project), now)?)
            })
            .await
            .map_err(|error| error.or_exists("access of project", project_id))
    }

    /// Deletes a flavor. Instances keep the copy that they were made with, also those that are
    /// buried and retried; new ones cannot ask for it. Four statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for a flavor that does not exist.
    pub async fn delete(&self, flavorid: &str) -> Result<(), AdminError> {
        self.0.writer()?;
        let flavorid = flavorid.to_owned();
        self.0
            .change("delete_flavor", move |conn| match flavor::delete(conn, &flavorid)? {
                true => Ok(()),
                false => Err(AdminError::not_found("flavor", &flavorid)),
            })
            .await
    }

    /// The projects that may use a private flavor, sorted. Two statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for a flavor that does not exist.
    pub async fn projects(&self, flavorid: &str) -> Result<Vec<String>, AdminError> {
        let name = flavorid.to_owned();
        let read = move |conn: &mut _| match flavor::find(conn, &name)? {
            Some(found) => flavor::projects(conn, found.id).map(Some),
            None => Ok(None),
        };
        let found = self.0.look("list_flavor_projects", read).await?;
        found.ok_or_else(|| AdminError::not_found("flavor", flavorid))
    }

    /// The flavor with the id that clients use, where there is one.
    ///
    /// # Errors
    /// The API database's.
    pub async fn find(&self, flavorid: &str) -> Result<Option<Flavor>, AdminError> {
        let flavorid = flavorid.to_owned();
        self.0.look("find_flavor", move |conn| flavor::find(conn, &flavorid)).await
    }

    /// The flavor that a project may ask for: public, or private and its own. An admin finds any.
    /// One statement, two for a private one.
    ///
    /// # Errors
    /// The API database's.
    pub async fn find_for(
        &self,
        ctx: &RequestContext,
        flavorid: &str,
    ) -> Result<Option<Flavor>, AdminError> {
        let (flavorid, ctx) = (flavorid.to_owned(), ctx.clone());
        let find = move |conn: &mut _| match flavor::find(conn, &flavorid)? {
            Some(found) if found.is_public || ctx.is_admin => Ok(Some(found)),
            Some(found) => Ok(flavor::may_use(conn, &found, &ctx.project_id)?.then_some(found)),
            None => Ok(None),
        };
        self.0.look("find_flavor", find).await
    }

    /// All flavors that a project may ask for; an admin may for all. Two statements.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list_for(&self, ctx: &RequestContext) -> Result<Vec<Flavor>, AdminError> {
        let ctx = ctx.clone();
        self.0
            .look("list_flavors", move |conn| {
                let own = flavor::of_project(conn, &ctx.project_id)?;
                let mut all = flavor::all(conn)?;
                all.retain(|one| ctx.is_admin || one.is_public || own.contains(&one.id));
                Ok(all)
            })
            .await
    }

    /// Takes a private flavor from a project. Two statements.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for a flavor that does not exist or that the project may not use.
    pub async fn deny(&self, flavorid: &str, project_id: &str) -> Result<(), AdminError> {
        let (flavorid, project) = (flavorid.to_owned(), project_id.to_owned());
        self.0
            .change("deny_flavor", move |conn| {
                let found = flavor::find(conn, &flavorid)?;
                let found = found.ok_or_else(|| AdminError::not_found("flavor", &flavorid))?;
                match flavor::deny(conn, found.id, &project)? {
                    true => Ok(()),
                    false => Err(AdminError::not_found("access of project", &project)),
                }
            })
            .await
    }

    /// All flavors.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self) -> Result<Vec<Flavor>, AdminError> {
        self.0.look("list_flavors", flavor::all).await
    }
}

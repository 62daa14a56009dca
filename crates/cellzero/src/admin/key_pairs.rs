//! The key pairs of users.

use cellzero_api_db::key_pair;
use cellzero_types::key_pair::fingerprint;
use cellzero_types::{KeyPair, RequestContext, text};

use crate::{AdminError, ControlPlane};

/// The longest public key, in characters.
const PUBLIC_KEY_LENGTH_MAX: usize = 16_384;

const KIND: &str = "key pair";

/// The key pairs of users. Each operation is about those of the user of its context.
#[derive(Debug)]
pub struct KeyPairs<'a>(pub(super) &'a ControlPlane);

impl KeyPairs<'_> {
    /// Imports an SSH public key. Two statements.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad name or key; [`AdminError::Exists`] where the user has one of
    /// this name.
    pub async fn create(
        &self,
        ctx: &RequestContext,
        name: &str,
        public_key: &str,
    ) -> Result<KeyPair, AdminError> {
        self.0.writer()?;
        text::check_name("key_name", name)?;
        text::check("public_key", public_key, PUBLIC_KEY_LENGTH_MAX)?;
        let of_key = fingerprint(public_key)?;
        let (user, key) = (ctx.user_id.clone(), public_key.to_owned());
        let wanted = name.to_owned();
        self.0
            .change("create_key_pair", move |conn| {
                let now = conn.now();
                key_pair::insert(conn, (&user, &wanted), (&key, &of_key), now)?;
                let made = key_pair::find(conn, &user, &wanted)?;
                made.ok_or_else(|| AdminError::not_found(KIND, &wanted))
            })
            .await
            .map_err(|error| error.or_exists(KIND, name))
    }

    /// All of the user's, by name. One statement.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self, ctx: &RequestContext) -> Result<Vec<KeyPair>, AdminError> {
        let user = ctx.user_id.clone();
        self.0.look("list_key_pairs", move |conn| key_pair::of_user(conn, &user)).await
    }

    /// The one of this name. One statement.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or the API database's.
    pub async fn show(&self, ctx: &RequestContext, name: &str) -> Result<KeyPair, AdminError> {
        let (user, wanted) = (ctx.user_id.clone(), name.to_owned());
        let find = move |conn: &mut _| key_pair::find(conn, &user, &wanted);
        let found = self.0.look("show_key_pair", find).await?;
        found.ok_or_else(|| AdminError::not_found(KIND, name))
    }

    /// Deletes one; instances keep the copy that they were made with. One statement.
    ///
    /// # Errors
    /// [`AdminError::NotFound`], or the API database's.
    pub async fn delete(&self, ctx: &RequestContext, name: &str) -> Result<(), AdminError> {
        let (user, name) = (ctx.user_id.clone(), name.to_owned());
        self.0
            .change("delete_key_pair", move |conn| match key_pair::delete(conn, &user, &name)? {
                true => Ok(()),
                false => Err(AdminError::not_found(KIND, &name)),
            })
            .await
    }
}

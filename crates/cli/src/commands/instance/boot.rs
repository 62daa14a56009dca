//! `instance boot`.

use anyhow::Context as _;
use cellzero::{BootError, BootRequest, ControlPlane, InvalidField, Write};
use uuid::Uuid;

use super::homes::follow;
use super::list::filters::pair;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::session::Session;

/// Boots instances and waits until each lives in a cell or is buried in cell0.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Boot>())]
pub(crate) struct Boot {
    /// The name; several instances get -1, -2, … behind it
    name: String,

    /// The flavor, by its id or name
    #[arg(long)]
    flavor: String,

    /// The image; the settings may name one for all boots
    #[arg(long, value_name = "UUID", env = "CELLZERO_IMAGE", hide_env_values = true)]
    image: Option<String>,

    /// How many
    #[arg(long, default_value_t = 1)]
    count: u32,

    /// How many at least: where fewer fit, all are buried [default: as many as --count]
    #[arg(long)]
    min_count: Option<u32>,

    /// Only hosts of this availability zone
    #[arg(long)]
    availability_zone: Option<String>,

    /// Only this host
    #[arg(long, value_name = "HOST")]
    force_host: Option<String>,

    /// A server group
    #[arg(long, value_name = "UUID")]
    server_group: Option<Uuid>,

    /// A key pair of the user
    #[arg(long)]
    key_name: Option<String>,

    /// A label; may be given several times
    #[arg(long)]
    tag: Vec<String>,

    /// What is to be kept with it; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// Whether it is retried by itself where it is buried, once it may fit
    #[arg(long, value_name = "BOOL")]
    auto_retry: Option<bool>,

    /// Repeated with the same token, the command answers with the first run's instances
    #[arg(long, value_name = "TOKEN")]
    client_token: Option<String>,

    /// Do not wait for a home
    #[arg(long)]
    no_wait: bool,
}

impl Run for Boot {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "cellzero instance boot web --flavor m1.tiny --image 70a599e0-31e7-49b7-b260-868f441e862b",
            "one instance",
        ),
        (
            "cellzero instance boot db --flavor m1.large --count 3 --min-count 2 --tag prod",
            "three, or at least two, of the image that the settings name",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::Refused, Exit::Buried, Exit::Waiting];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let ctx = session.context()?;
        let image = match &self.image {
            Some(image) => image.clone(),
            None => session.settings()?.image.unwrap_or_default(),
        };
        let wait = !self.no_wait;
        let flavor = find_flavor(plane, &self.flavor).await?;
        let request = self.request(flavor, image).exits(Exit::Refused)?;
        let accepted = match plane.boot(&ctx, request).await {
            Ok(accepted) => accepted,
            Err(error) if is_refusal(&error) => return Err(error).exits(Exit::Refused),
            Err(error) => return Err(error.into()),
        };
        follow(session, plane, &ctx, &accepted, wait).await
    }
}

/// Whether the request is at fault.
pub(super) fn is_refusal(error: &Write<BootError>) -> bool {
    error.failed().is_some_and(|error| {
        matches!(
            error,
            BootError::Invalid(_)
                | BootError::AdminOnly { .. }
                | BootError::TokenReused { .. }
                | BootError::QuotaExceeded { .. }
        )
    })
}

/// The id of the flavor with this id or name.
async fn find_flavor(plane: &ControlPlane, text: &str) -> anyhow::Result<String> {
    let flavors = plane.flavors().list().await.context("the flavors could not be read")?;
    let by_id = flavors.iter().find(|flavor| flavor.flavorid == text);
    let found = by_id.or_else(|| flavors.iter().find(|flavor| flavor.name == text));
    found.map(|flavor| flavor.flavorid.clone()).ok_or_else(|| {
        let names: Vec<&str> = flavors.iter().map(|flavor| flavor.name.as_str()).collect();
        ended(
            Exit::Refused,
            format!("there is no flavor {text:?}; there are: {}", names.join(", ")),
        )
    })
}

impl Boot {
    fn request(self, flavor: String, image: String) -> Result<BootRequest, InvalidField> {
        let least = self.min_count.unwrap_or(self.count);
        let mut builder = BootRequest::builder(self.name, flavor, image).counts(least, self.count);
        for tag in self.tag {
            builder = builder.tag(tag);
        }
        for (key, value) in self.metadata {
            builder = builder.metadata(key, value);
        }
        builder
            .with(|request| {
                request.availability_zone = self.availability_zone;
                request.force_host = self.force_host;
                request.server_group = self.server_group;
                request.key_name = self.key_name;
                request.auto_retry = self.auto_retry;
                request.client_token = self.client_token;
            })
            .build()
    }
}

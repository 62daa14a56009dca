//! `serve`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cellzero_amqp::{AmqpOptions, ReportConsumer};
use cellzero_compute_api::{
    Api, ApiOptions, FixedTokens, Identity, Keystone, KeystoneOptions, NoAuth, Role,
};
use clap::ValueEnum;
use tokio::net::TcpListener;

use crate::command::{Run, help};
use crate::commands::worker::Signals;
use crate::exit::Exit;
use crate::session::Session;

/// How clients show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// Not at all: everybody is --user of --project, as an admin unless --admin=false. For
    /// development
    None,
    /// By the one token of CELLZERO_API_TOKEN, for --user of --project
    Token,
    /// By tokens of Keystone
    Keystone,
}

/// Serves the compute API that OpenStack clients speak, at /v2.1, until SIGTERM or SIGINT; its
/// document is at /openapi.json, and a page about cells and cell0 at /ui.
///
/// Workers run in the same process. At the first signal it accepts no more, ends the requests that
/// run, and hands leases back; at the second it stops there. Any number of them share a plane
/// (docs/compute-api.md).
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Serve>())]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8774",
        env = "CELLZERO_LISTEN",
        hide_env_values = true
    )]
    listen: SocketAddr,

    /// Where clients find it, such as https://compute.example.org; by default what each request says
    #[arg(long, value_name = "URL", env = "CELLZERO_PUBLIC_URL", hide_env_values = true)]
    public_url: Option<String>,

    /// How clients show who they are
    #[arg(
        long,
        value_name = "WAY",
        default_value = "none",
        env = "CELLZERO_AUTH",
        hide_env_values = true
    )]
    auth: Auth,

    /// The token of --auth token
    #[arg(long, value_name = "TOKEN", env = "CELLZERO_API_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Where Keystone is, such as https://keystone.example.org/identity
    #[arg(long, value_name = "URL", env = "CELLZERO_KEYSTONE", hide_env_values = true)]
    keystone: Option<String>,

    /// The user that checks tokens with Keystone, in its project `service`
    #[arg(
        long,
        value_name = "NAME",
        default_value = "nova",
        env = "CELLZERO_KEYSTONE_USER",
        hide_env_values = true
    )]
    keystone_user: String,

    /// The password of that user
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "CELLZERO_KEYSTONE_PASSWORD",
        hide_env_values = true
    )]
    keystone_password: Option<String>,

    /// How many workers in this process; 0 where others run them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    workers: u16,

    /// The most requests that are worked on at once; more are refused with 503
    #[arg(long, value_name = "COUNT", default_value_t = 512)]
    max_requests: usize,

    /// The largest body of a request, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 114_688)]
    max_body: usize,
}

impl Run for Serve {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "cellzero serve --simulated-compute",
            "for development: no authentication, at http://127.0.0.1:8774/v2.1",
        ),
        (
            "cellzero serve --listen 0.0.0.0:8774 --auth keystone --keystone https://keystone/identity",
            "in earnest; the password is in CELLZERO_KEYSTONE_PASSWORD",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::Interrupted];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let mut signals = Signals::new()?;
        let options = self.options(session)?;
        let listener = TcpListener::bind(self.listen).await;
        let listener =
            listener.with_context(|| format!("the API cannot be served at {}", self.listen))?;
        let plane = session.plane().await?;
        let background = match self.workers {
            0 => None,
            count => {
                let workers = plane.run_workers(count.into())?;
                Some((workers, ReportConsumer::start(plane, AmqpOptions::default())))
            }
        };
        let api = Api::new(plane.clone(), options);
        let address = listener.local_addr()?;
        eprintln!("compute API: http://{address}/v2.1");
        if self.auth == Auth::None && !address.ip().is_loopback() {
            eprintln!(
                "warning: --auth none: whoever reaches {address} acts as --user, and needs no token"
            );
        }
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = api.serve(listener, async {
            // An error means that nobody will say it any more, which is the same.
            let _ = stopped.await;
        });
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            () = signals.next() => {}
            () = &mut serving => unreachable!("it serves until it is asked to end"),
        }
        eprintln!("ending; a second signal stops at once");
        // It listens, since it serves still.
        let _ = stop.send(());
        let end = async {
            serving.await;
            if let Some((workers, reports)) = background {
                reports.stop().await;
                workers.shutdown().await?;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            ended = end => ended?,
            () = signals.next() => {
                session.leave_open();
                let message = "stopped before all requests were answered";
                return Err(crate::failure::ended(Exit::Interrupted, message));
            }
        }
        Ok(Exit::Success)
    }
}

impl Serve {
    fn options(&self, session: &Session) -> anyhow::Result<ApiOptions> {
        let ctx = session.context()?;
        let role = if ctx.is_admin { Role::Admin } else { Role::Member };
        let one = Identity::new(ctx.project_id, ctx.user_id, role);
        let mut options = match self.auth {
            Auth::None => ApiOptions::new(NoAuth::new(one)),
            Auth::Token => {
                let Some(token) = self.token.as_deref().filter(|token| !token.is_empty()) else {
                    bail!("--auth token needs a token in CELLZERO_API_TOKEN");
                };
                ApiOptions::new(FixedTokens::default().with(token, one))
            }
            Auth::Keystone => {
                let (Some(url), Some(password)) = (&self.keystone, &self.keystone_password) else {
                    bail!("--auth keystone needs --keystone and CELLZERO_KEYSTONE_PASSWORD");
                };
                let mut options = KeystoneOptions::new(url, password);
                options.user.clone_from(&self.keystone_user);
                ApiOptions::new(Keystone::new(options)?)
            }
        };
        options.public_url.clone_from(&self.public_url);
        options.request_timeout = ctx.timeout.max(Duration::from_secs(1));
        options.requests_max = self.max_requests;
        options.body_bytes_max = self.max_body;
        Ok(options)
    }
}

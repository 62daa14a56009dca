//! One run of a command: its settings, and the plane once it is needed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cellzero::{Config, ControlPlane, FilterSchedulerOptions, InProcessDispatch, RequestContext};
use cellzero_amqp::{AmqpDispatch, AmqpOptions};
use tokio::sync::OnceCell;

use crate::args::Global;
use crate::output::Output;
use crate::settings::Settings;

/// Who acts where nothing says it.
const OPERATOR: &str = "admin";

/// One run of a command.
#[derive(Debug)]
pub(crate) struct Session {
    global: Global,
    /// Where results go.
    pub(crate) out: Output,
    plane: OnceCell<ControlPlane>,
    left_open: AtomicBool,
}

impl Session {
    pub(crate) fn new(global: Global, out: Output) -> Session {
        Session { global, out, plane: OnceCell::new(), left_open: AtomicBool::new(false) }
    }

    /// The settings: of the file, the environment and the flags.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::read(&self.global)?)
    }

    /// The same without the file, for what makes one.
    pub(crate) fn settings_of_flags(&self) -> anyhow::Result<Settings> {
        Ok(Settings::without_file(&self.global)?)
    }

    /// Who acts: an admin, unless something else is said.
    pub(crate) fn context(&self) -> anyhow::Result<RequestContext> {
        let settings = self.settings()?;
        let project = settings.project.as_deref().unwrap_or(OPERATOR);
        let user = settings.user.as_deref().unwrap_or(OPERATOR);
        let mut ctx = RequestContext::new(project, user).with_timeout(settings.timeout);
        ctx.is_admin = settings.admin;
        Ok(ctx)
    }

    /// Where this process plays the compute hosts: drives everything that is due to its end. Else
    /// nothing: workers do it.
    pub(crate) async fn play_compute(&self, plane: &ControlPlane) -> anyhow::Result<()> {
        if self.settings()?.simulated_compute {
            plane.settle().await?;
        }
        Ok(())
    }

    /// How the plane is opened, without workers in this process.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let settings = self.settings()?;
        let mut config = Config::new(settings.api_database()?).without_worker();
        if let Some(url) = &settings.cell0_database {
            config = config.cell0(url);
        }
        if let Some(url) = &settings.base_database {
            config = config.base_url(url);
        }
        let dispatch = AmqpDispatch::new(AmqpOptions::default());
        config = match settings.simulated_compute {
            // Hosts that are played never go silent, and do at once what they are asked for.
            true => config.dispatch(dispatch.without_broker(InProcessDispatch)).filter_scheduler(
                FilterSchedulerOptions {
                    service_down_after: Duration::MAX,
                    ..FilterSchedulerOptions::default()
                },
            ),
            false => config.dispatch(dispatch),
        };
        let longest = settings.timeout.max(Duration::from_secs(1));
        Ok(config.admin_timeout(longest))
    }

    /// The plane of the settings. It must exist: a typing error makes no new one.
    pub(crate) async fn plane(&self) -> anyhow::Result<&ControlPlane> {
        self.plane_with(Ok).await
    }

    /// The same with more in its configuration.
    pub(crate) async fn plane_with(
        &self,
        more: impl FnOnce(Config) -> anyhow::Result<Config>,
    ) -> anyhow::Result<&ControlPlane> {
        let read_only = self.settings()?.read_only;
        let open = async {
            let config = more(self.config()?.existing())?;
            let plane = match read_only {
                true => ControlPlane::open_read_only(config).await?,
                false => ControlPlane::open(config).await?,
            };
            anyhow::Ok(plane)
        };
        self.plane.get_or_try_init(|| open).await
    }

    /// The plane that was opened in this way, instead of by [`plane`](Self::plane).
    pub(crate) fn use_plane(&self, plane: ControlPlane) -> &ControlPlane {
        assert!(self.plane.set(plane).is_ok(), "a session opens one plane");
        match self.plane.get() {
            Some(plane) => plane,
            None => unreachable!("it was set just now"),
        }
    }

    /// Lets what was opened end with the process, since closing it would wait.
    pub(crate) fn leave_open(&self) {
        self.left_open.store(true, Ordering::Relaxed);
    }

    /// Closes what was opened.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        if let Some(plane) = self.plane.get().filter(|_| !self.left_open.load(Ordering::Relaxed)) {
            plane.close().await?;
        }
        Ok(())
    }
}

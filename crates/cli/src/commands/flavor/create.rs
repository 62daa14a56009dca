//! `flavor create`.

use cellzero::Flavor;

use super::{item, refused, show::Shown};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::session::Session;

/// Adds a flavor: a size that can be asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Create>())]
pub(crate) struct Create {
    /// Its name, such as m1.small
    name: String,

    /// The id that clients use; by default its name
    #[arg(long)]
    id: Option<String>,

    /// Virtual processors
    #[arg(long)]
    vcpus: i32,

    /// Memory, in MiB
    #[arg(long, value_name = "MIB")]
    ram: i32,

    /// The root disk, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 0)]
    disk: i32,

    /// A second disk, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 0)]
    ephemeral: i32,

    /// Swap space, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    swap: i32,

    /// An extra spec, such as trait:HW_CPU_X86_AVX2=required; may be given often
    #[arg(long, value_name = "KEY=VALUE", value_parser = item)]
    property: Vec<(String, String)>,

    /// Only for the projects that are named
    #[arg(long)]
    private: bool,

    /// A project that may use a private flavor; may be given often
    #[arg(long = "for-project", value_name = "PROJECT", requires = "private")]
    projects: Vec<String>,

    /// A sentence for people
    #[arg(long)]
    description: Option<String>,
}

impl Run for Create {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero flavor create m1.small --id 2 --vcpus 1 --ram 2048 --disk 20", "for everybody"),
        (
            "cellzero flavor create gpu --vcpus 8 --ram 65536 --property trait:HW_GPU=required \
             --private --for-project 1e2feb89414c343c1027c4d1c386bbc4",
            "for one project, on hosts with a trait",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::AlreadyThere];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let id = self.id.unwrap_or_else(|| self.name.clone());
        let mut flavor = Flavor::new(&id, &self.name, self.vcpus, self.ram, self.disk);
        flavor.ephemeral_gb = self.ephemeral;
        flavor.swap = self.swap;
        flavor.is_public = !self.private;
        flavor.description = self.description;
        flavor.extra_specs.extend(self.property);
        let projects: Vec<&str> = self.projects.iter().map(String::as_str).collect();
        refused(plane.flavors().create_for(&flavor, &projects).await)?;
        let shown = Shown { flavor: flavor.into(), projects: self.projects };
        session.out.show(&shown)?;
        Ok(Exit::Success)
    }
}

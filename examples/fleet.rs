//! The cells, hosts and flavors of the examples: four hosts of three sizes in two cells, and one
//! flavor that fits on none of them.

use cellzero::{CellUuid, ComputeNode, ControlPlane, DatabaseUrl, Flavor, Home, NewCell};

/// The sizes of hosts: vcpus, memory in GiB, disk in GiB.
const SMALL: (i32, i32, i32) = (16, 64, 500);
const MEDIUM: (i32, i32, i32) = (64, 256, 2_000);
const LARGE: (i32, i32, i32) = (128, 512, 4_000);

/// A live cell and its hosts.
#[derive(Debug, Clone)]
pub struct LiveCell {
    /// Its uuid.
    pub uuid: CellUuid,
    /// Its name.
    pub name: String,
    /// Its database.
    pub url: DatabaseUrl,
    /// Its hosts.
    pub hosts: Vec<ComputeNode>,
}

/// The hosts of the cell with this index. Both kinds of cell have a large one, so that a scheduler
/// that prefers free memory uses them both.
fn hosts(index: usize, cell: &str) -> Vec<ComputeNode> {
    let sizes = if index.is_multiple_of(2) { [SMALL, LARGE] } else { [MEDIUM, LARGE] };
    (1..)
        .zip(sizes)
        .map(|(number, (vcpus, memory_gb, disk_gb))| {
            ComputeNode::new(format!("{cell}-host{number}"), vcpus, memory_gb * 1024, disk_gb)
        })
        .collect()
}

/// Makes a live cell in each of these databases, and has its hosts report.
///
/// # Errors
/// The plane's.
pub async fn add_cells(
    plane: &ControlPlane,
    databases: &[DatabaseUrl],
) -> anyhow::Result<Vec<LiveCell>> {
    let mut cells = Vec::new();
    for (index, url) in databases.iter().enumerate() {
        let name = format!("cell{}", index + 1);
        let uuid = plane.cells().create(NewCell::new(&name, url.reveal())).await?;
        let hosts = hosts(index, &name);
        for host in &hosts {
            plane.hosts().report(uuid, host).await?;
        }
        cells.push(LiveCell { uuid, name, url: url.clone(), hosts });
    }
    Ok(cells)
}

/// The flavors that the bodies name. `huge` is larger than every host.
pub fn flavors() -> [Flavor; 3] {
    [
        Flavor::new("1", "m1.tiny", 1, 512, 1),
        Flavor::new("2", "m1.small", 1, 1_024, 1),
        Flavor::new("huge", "x9.huge", 9_999, 9_999_999, 1),
    ]
}

/// Adds the flavors to the plane.
///
/// # Errors
/// The plane's.
pub async fn add_flavors(plane: &ControlPlane) -> anyhow::Result<()> {
    for flavor in flavors() {
        plane.flavors().create(&flavor).await?;
    }
    Ok(())
}

/// The name of an instance's home.
pub fn home_name(home: Home, cells: &[LiveCell]) -> String {
    match home {
        Home::BuildRequest => "no cell yet".to_owned(),
        Home::Cell(cell) if cell.is_cell0() => "cell0".to_owned(),
        Home::Cell(cell) => cells
            .iter()
            .find(|known| known.uuid == cell)
            .map_or_else(|| cell.to_string(), |known| known.name.clone()),
    }
}

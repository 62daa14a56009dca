//! The classes of violations, and what a repair of each does.

use cellzero_types::CellUuid;
use serde::Serialize;

/// What is wrong. The code of a class is stable: `docs/fsck.md` has a row for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Class {
    /// The mapping names a cell where no row stands, and none stands elsewhere.
    InNoPlace,
    /// Live rows stand in two cells.
    InTwoCells,
    /// A live row stands in another cell than the one that the mapping names, where none stands.
    InUnnamedCell,
    /// A live row stands in a cell, and there is no mapping.
    RowWithoutMapping,
    /// A live row stands in a cell, the mapping names none, and no build request is left.
    UndecidedRow,
    /// A live row stands beside a build request, and no intent explains it.
    RowBesideBuildRequest,
    /// The mapping names no cell, and there is neither build request nor row.
    MappingWithoutAnything,
    /// A build request is left behind, though the instance has its home or is deleted.
    BuildRequestBesideMapping,
    /// A build request has no mapping.
    BuildRequestWithoutMapping,
    /// A request spec has no mapping, no build request and no row.
    RequestSpecWithoutMapping,
    /// A build request has no request spec, so that it cannot be placed.
    BuildRequestWithoutSpec,
    /// The instance has no boot state, so that nobody can boot or delete it.
    NoBootState,
    /// The row is deleted, but the mapping is not queued for delete.
    DeletedRowLiveMapping,
    /// The mapping is queued for delete, but the row is live and no delete is under way.
    LiveRowDeadMapping,
    /// A row of cell0 is not in vm_state ERROR, or has no fault.
    HalfBuried,
    /// A live row lacks what belongs to it.
    HalfWritten,
    /// The row's host belongs to another cell.
    HostInAnotherCell,
    /// A live instance has no claim on its host.
    InstanceWithoutClaim,
    /// A claim is held by nobody who is alive.
    ClaimWithoutInstance,
    /// A claim is on a host that never reported.
    ClaimOfUnknownHost,
    /// A claim is on another host than the one that the instance is on.
    ClaimOnAnotherHost,
    /// What a host counts as claimed is not what its claims come to.
    ClaimsMiscounted,
    /// The claims of a host come to more than it may take.
    HostOverCapacity,
    /// Cell0 has a compute node, a compute service or a mapped host.
    HostInCell0,
    /// A host is mapped to a cell that has no compute node of it.
    HostMappingWithoutNode,
    /// A compute node has no host mapping, on a plane that Nova made.
    NodeWithoutHostMapping,
    /// An effect has waited in an outbox for too long.
    UndeliveredDispatch,
    /// A database is another plane's or another cell's.
    WrongIdentity,
}

impl Class {
    /// The stable code, such as `in-two-cells`.
    pub fn code(self) -> String {
        serde_json::json!(self).as_str().unwrap_or_default().to_owned()
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.code())
    }
}

/// What a repair does. It destroys only with an intent, a fence or a tombstone as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Plan {
    /// The mapping is made to name the cell of the row; a build request beside it goes.
    AdoptRow {
        /// Where the row stands.
        cell: CellUuid,
    },
    /// Mapping and boot state are made from the build request, so that it is booted.
    AdoptRequest,
    /// It is buried in cell0 from what its build request or request spec says; where there is
    /// neither, its mapping becomes a tombstone.
    Bury,
    /// The mapping is queued for delete, since the row is deleted.
    QueueForDelete,
    /// The delete that the mapping says was decided is ended.
    FinishDelete {
        /// Where the row stands.
        cell: CellUuid,
    },
    /// The rows of a cell are erased: a fence or a tombstone says that they are nobody's.
    EraseRows {
        /// Where they stand.
        cell: CellUuid,
        /// The epoch that wrote them.
        written_epoch: Option<i64>,
    },
    /// The build request is deleted.
    DeleteBuildRequest,
    /// The request spec is deleted.
    DeleteRequestSpec,
    /// vm_state ERROR and a fault are written.
    CompleteBurial,
    /// The rows that are missing beside the instance's own are written.
    CompleteRows {
        /// Where it stands.
        cell: CellUuid,
    },
    /// The row gets the host of its claim.
    TakeHostFromClaim {
        /// Where the row stands.
        cell: CellUuid,
    },
    /// The claim is made anew from the row.
    ClaimFromRow {
        /// Where the row stands.
        cell: CellUuid,
    },
    /// The claim is freed.
    FreeClaim,
    /// What the host counts as claimed is counted again.
    CountClaims,
    /// Compute node and service are deleted from cell0, and the host's mapping to it.
    RemoveFromCell0,
    /// The host mapping is deleted.
    DeleteHostMapping,
    /// The effects are sent now.
    Send {
        /// The cell of the outbox; none for the API database's.
        cell: Option<CellUuid>,
    },
    /// Nothing that can be done without knowing more.
    ByHand {
        /// What to look at.
        what: String,
    },
}

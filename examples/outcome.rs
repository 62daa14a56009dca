//! What becomes of each body: refused by the parser or by the plane, built in a live cell, or
//! buried in cell0.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, ensure};
use cellzero::{Accepted, BootError, ControlPlane, Home, Instance, InstanceUuid, RequestContext};

use crate::bodies::Body;

/// Who refused a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBy {
    /// The parser: it breaks a rule that needs no plane.
    Parser,
    /// The plane, at accept: it names what the plane does not have.
    Accept,
}

/// A body that was refused. Nothing of it is stored.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Who refused it.
    pub by: RefusedBy,
    /// The field that cannot be used.
    pub field: String,
    /// The whole error: the field, its value, and what would be right.
    pub message: String,
}

/// What came of a body.
#[derive(Debug, Clone)]
pub enum End {
    /// Nothing: it was refused.
    Refused(Refusal),
    /// These instances, each shown from its home.
    Booted(Vec<Instance>),
}

/// A body and what came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The body.
    pub body: Body,
    /// What came of it.
    pub end: End,
}

impl Outcome {
    /// Its instances; none where it was refused.
    pub fn instances(&self) -> &[Instance] {
        match &self.end {
            End::Refused(_) => &[],
            End::Booted(instances) => instances,
        }
    }

    /// The outcome as the table of expected ones says it: `cell`, `cell0` or `refused:<field>`.
    /// None of the bodies should come to `mixed`, one request with instances in both, or to
    /// `waiting`, an instance that has no home yet.
    pub fn kind(&self) -> String {
        let instances = match &self.end {
            End::Refused(refusal) => return format!("refused:{}", refusal.field),
            End::Booted(instances) => instances,
        };
        let all = |is: fn(Home) -> bool| instances.iter().all(|instance| is(instance.home));
        let kind = if all(|home| home.is_cell0()) {
            "cell0"
        } else if all(is_live) {
            "cell"
        } else if instances.iter().any(|instance| instance.home == Home::BuildRequest) {
            "waiting"
        } else {
            "mixed"
        };
        kind.to_owned()
    }
}

/// Whether this home is a live cell.
fn is_live(home: Home) -> bool {
    matches!(home, Home::Cell(cell) if !cell.is_cell0())
}

/// Parses a body and has the plane accept it, or says who refused it and why.
///
/// # Errors
/// A plane that fails; a refusal is an answer.
pub async fn accept(
    plane: &ControlPlane,
    ctx: &RequestContext,
    body: &Body,
) -> anyhow::Result<Result<Accepted, Refusal>> {
    let refusal = |by, error: &cellzero::InvalidField| Refusal {
        by,
        field: error.field.clone(),
        message: error.to_string(),
    };
    let request = match body.request() {
        Ok(request) => request,
        Err(error) => return Ok(Err(refusal(RefusedBy::Parser, &error))),
    };
    match plane.boot(ctx, request).await {
        Ok(accepted) => Ok(Ok(accepted)),
        Err(error) => match error.failed() {
            Some(BootError::Invalid(invalid)) => Ok(Err(refusal(RefusedBy::Accept, invalid))),
            _ => Err(error)
                .with_context(|| format!("line {} was neither taken nor refused", body.line)),
        },
    }
}

/// Shows each instance of an accepted request from wherever it lives.
///
/// # Errors
/// An instance that cannot be shown: it would be lost.
pub async fn show_all(
    plane: &ControlPlane,
    ctx: &RequestContext,
    accepted: &Accepted,
) -> anyhow::Result<Vec<Instance>> {
    let mut instances = Vec::new();
    for uuid in &accepted.instances {
        instances.push(plane.show(ctx, *uuid).await?);
    }
    Ok(instances)
}

/// Boots one body and drives it to its end.
///
/// # Errors
/// A plane that fails, or loses an instance.
pub async fn boot(
    plane: &ControlPlane,
    ctx: &RequestContext,
    body: Body,
) -> anyhow::Result<Outcome> {
    let end = match accept(plane, ctx, &body).await? {
        Err(refusal) => End::Refused(refusal),
        Ok(accepted) => {
            plane.settle().await?;
            End::Booted(show_all(plane, ctx, &accepted).await?)
        }
    };
    Ok(Outcome { body, end })
}

/// Boots these bodies, one after another, each to its end.
///
/// # Errors
/// A plane that fails, or loses an instance.
pub async fn boot_all(
    plane: &ControlPlane,
    ctx: &RequestContext,
    bodies: Vec<Body>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(bodies.len());
    for body in bodies {
        outcomes.push(boot(plane, ctx, body).await?);
    }
    Ok(outcomes)
}

/// The counts over all bodies: instances, and requests for those that were refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Instances that were accepted.
    pub accepted: usize,
    /// Of them, those that live in cells.
    pub in_cells: usize,
    /// Of them, those that are buried in cell0.
    pub in_cell0: usize,
    /// Requests that were refused.
    pub refused: usize,
}

impl Summary {
    /// Counts outcomes.
    pub fn of(outcomes: &[Outcome]) -> Summary {
        let mut summary = Summary::default();
        for outcome in outcomes {
            if matches!(outcome.end, End::Refused(_)) {
                summary.refused += 1;
            }
            for instance in outcome.instances() {
                summary.accepted += 1;
                summary.in_cell0 += usize::from(instance.home.is_cell0());
                summary.in_cells += usize::from(is_live(instance.home));
            }
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { accepted, in_cells, in_cell0, refused } = self;
        write!(
            f,
            "accepted {accepted}, in cells {in_cells}, in cell0 {in_cell0}, refused {refused}"
        )
    }
}

/// Checks that a list gives what was accepted: every instance, each exactly once.
///
/// # Errors
/// One that is missing, listed twice, or was never accepted.
pub fn check_listed(outcomes: &[Outcome], listed: &[InstanceUuid]) -> anyhow::Result<()> {
    let all = outcomes.iter().flat_map(Outcome::instances).map(|instance| instance.uuid);
    let accepted: BTreeSet<InstanceUuid> = all.collect();
    let distinct: BTreeSet<InstanceUuid> = listed.iter().copied().collect();
    ensure!(
        listed.len() == distinct.len(),
        "{} instances are listed, and only {} of them are different",
        listed.len(),
        distinct.len()
    );
    ensure!(
        distinct == accepted,
        "{} instances were accepted and {} are listed; missing: {:?}, never accepted: {:?}",
        accepted.len(),
        distinct.len(),
        accepted.difference(&distinct).collect::<Vec<_>>(),
        distinct.difference(&accepted).collect::<Vec<_>>()
    );
    Ok(())
}

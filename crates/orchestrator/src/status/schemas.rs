//! The checks of versions, identities and drift, by the state of the databases that was read.

use cellzero_database::{ErrorKind, Fit};

use super::{Check, Level, chain};
use crate::sync::{PlaneDatabase, PlaneState, SchemaError, ShownDatabase};

/// The checks of the databases' schemas.
pub(super) fn of_schemas(state: &PlaneState) -> Vec<Check> {
    let all = &state.databases;
    let api = all.iter().find(|one| one.database == PlaneDatabase::Api);
    let mut checks = vec![api_check(api)];
    if api.is_none_or(|api| !api.is_sound()) {
        return checks;
    }
    checks.push(cell0_check(state));
    let away = all.iter().filter_map(|one| match &one.state {
        Err(error) if !is_wrong_identity(error) => Some(named(one, &chain(error))),
        _ => None,
    });
    let wrong = "cells do not answer: what lives there is shown as unknown until they do";
    checks.push(Check::of(
        "cells_reachable",
        away.collect(),
        ("every cell answers", Level::Failure, wrong),
    ));
    let strangers = all.iter().filter_map(|one| match &one.state {
        Err(error) if is_wrong_identity(error) => Some(named(one, &chain(error))),
        _ => None,
    });
    let wrong = "a URL leads to another database: correct it with cell update";
    let fine = "every database is the cell that its mapping says";
    checks.push(Check::of("identities", strangers.collect(), (fine, Level::Failure, wrong)));
    checks.push(versions_check(all));
    let drifted = all.iter().filter_map(|one| {
        let drift = one.state.as_ref().ok()?.drift.as_ref()?;
        Some(named(one, &drift.to_string()))
    });
    let wrong = "tables differ from what the migrations make: they were changed by hand, or a \
                 migration was interrupted and db sync will end it";
    let fine = "every schema is what its migrations make";
    checks.push(Check::of("drift", drifted.collect(), (fine, Level::Failure, wrong)));
    checks
}

fn api_check(api: Option<&ShownDatabase>) -> Check {
    let name = "api_database";
    match api.map(|api| &api.state) {
        None => Check::new(name, Level::Failure, "the API database was not looked at"),
        Some(Err(error)) => Check::new(
            name,
            Level::Failure,
            format!("the API database cannot be used: {}", chain(error)),
        ),
        Some(Ok(state)) => {
            let says = match (state.fit, &state.drift) {
                (Fit::Empty, None) => "the API database is empty: run db sync".to_owned(),
                (Fit::Behind, None) => "the API database is behind: run db sync".to_owned(),
                (Fit::Empty | Fit::Behind, Some(drift)) => format!(
                    "the API database has tables of another program, or of a db sync that was \
                     interrupted: {drift}"
                ),
                (Fit::TooNew, _) => {
                    "the API database was migrated by a newer binary that admits this one no more"
                        .to_owned()
                }
                (Fit::Equal | Fit::Newer, Some(drift)) => {
                    format!("the API database has drifted: {drift}")
                }
                (Fit::Equal | Fit::Newer, None) => {
                    return Check::new(name, Level::Ok, "the API database answers");
                }
            };
            Check::new(name, Level::Failure, says)
        }
    }
}

fn cell0_check(state: &PlaneState) -> Check {
    if !state.cell0_is_mapped {
        let says = "cell0 is not mapped: what fits nowhere waits; run cell map-cell0";
        return Check::new("cell0", Level::Failure, says);
    }
    let cell0 = state.databases.iter().find(|one| match &one.database {
        PlaneDatabase::Cell { uuid, .. } => uuid.is_cell0(),
        PlaneDatabase::Api => false,
    });
    match cell0.map(|cell0| &cell0.state) {
        Some(Err(error)) => {
            let says = format!("cell0 cannot be used, what fits nowhere waits: {}", chain(error));
            Check::new("cell0", Level::Failure, says)
        }
        _ => Check::new("cell0", Level::Ok, "cell0 is mapped and answers"),
    }
}

fn versions_check(all: &[ShownDatabase]) -> Check {
    let mut level = Level::Failure;
    let mut details = Vec::new();
    for one in all {
        let Ok(state) = &one.state else { continue };
        let version = state.recorded.map_or(0, |recorded| recorded.schema_version);
        let beside = format!("schema version {version}, this binary {}", state.binary_version);
        match state.fit {
            Fit::Equal => {}
            Fit::Newer => details.push(named(one, &beside)),
            Fit::Behind | Fit::Empty => details.push(named(one, &format!("{beside}: behind"))),
            Fit::TooNew => details.push(named(one, &format!("{beside}: too new for it"))),
        }
    }
    let sound = |one: &ShownDatabase| one.state.as_ref().is_ok_and(|state| state.fit == Fit::Newer);
    let unequal =
        all.iter().filter(|one| one.state.as_ref().is_ok_and(|state| state.fit != Fit::Equal));
    if unequal.clone().all(sound) {
        level = Level::Warning;
    }
    let wrong = "versions differ: run db sync with the newest binary, then replace the old ones";
    let fine = "every database has the schema of this binary";
    Check::of("schema_versions", details, (fine, level, wrong))
}

fn is_wrong_identity(error: &SchemaError) -> bool {
    matches!(error, SchemaError::Database(error) if error.kind() == ErrorKind::WrongIdentity)
}

fn named(one: &ShownDatabase, what: &str) -> String {
    format!("{}: {what}", one.database)
}

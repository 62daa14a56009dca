//! What the texts of servers and drivers mean. Real conflicts are tested on real databases.

use super::*;
use rstest::rstest;
use std::time::Duration;

fn unknown(text: &str) -> DieselError {
    DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(text.to_owned()))
}

#[rstest]
#[case("deadlock detected", ErrorKind::Conflict)]
#[case("Deadlock found when trying to get lock; try restarting transaction", ErrorKind::Conflict)]
#[case("Record has changed since last read in table 'things'", ErrorKind::Conflict)]
#[case("database is locked", ErrorKind::Conflict)]
#[case("database table is locked: things", ErrorKind::Conflict)]
#[case("canceling statement due to statement timeout", ErrorKind::DeadlineExceeded)]
#[case(
    "Query execution was interrupted (max_statement_time exceeded)",
    ErrorKind::DeadlineExceeded
)]
#[case("Lock wait timeout exceeded; try restarting transaction", ErrorKind::DeadlineExceeded)]
#[case("attempt to write a readonly database", ErrorKind::ReadOnly)]
#[case("terminating connection due to administrator command", ErrorKind::ConnectionLost)]
#[case(
    "Input/output error: Input/output error: Broken pipe (os error 32)",
    ErrorKind::ConnectionLost
)]
#[case("Driver error: `Connection to the server is closed.'", ErrorKind::ConnectionLost)]
#[case("value too long for type character varying(255)", ErrorKind::Rejected)]
#[case("Data too long for column 'name' at row 1", ErrorKind::Rejected)]
fn a_text_without_a_kind_is_told_apart(#[case] text: &str, #[case] kind: ErrorKind) {
    assert_eq!(DatabaseError::from(unknown(text)).kind(), kind);
}

#[test]
fn a_lock_at_the_deadline_is_no_conflict_any_more() {
    let place = |deadline| Place { database: Arc::from("file"), operation: "test", deadline };
    let guard = PlaceGuard::enter(place(Deadline::after(Duration::ZERO)));
    assert_eq!(
        DatabaseError::from(unknown("database is locked")).kind(),
        ErrorKind::DeadlineExceeded
    );
    assert_eq!(DatabaseError::from(unknown("deadlock detected")).kind(), ErrorKind::Conflict);
    drop(guard);
    let _guard = PlaceGuard::enter(place(Deadline::after(Duration::from_secs(9))));
    assert_eq!(DatabaseError::from(unknown("database is locked")).kind(), ErrorKind::Conflict);
}

#[rstest]
#[case(Failure::DeadlineExceeded, ErrorKind::DeadlineExceeded)]
#[case(Failure::Broken, ErrorKind::ConnectionLost)]
#[case(Failure::RolledBack, ErrorKind::Conflict)]
fn our_own_failures_keep_their_type_through_diesel(
    #[case] failure: Failure,
    #[case] kind: ErrorKind,
) {
    assert_eq!(classify(&DieselError::from(failure)), kind);
}

#[test]
fn an_error_names_operation_and_database_and_keeps_its_source() {
    let place = Place {
        database: Arc::from("postgres://u:***@h/d"),
        operation: "list_things",
        deadline: Deadline::after(Duration::from_secs(1)),
    };
    let guard = PlaceGuard::enter(place);
    let error = DatabaseError::from(DieselError::NotFound);
    drop(guard);
    assert_eq!(
        error.to_string(),
        "no such row in the database (in list_things on postgres://u:***@h/d)"
    );
    assert_eq!(error.source().unwrap().to_string(), "Record not found");
    assert_eq!(DatabaseError::from(DieselError::NotFound).operation(), None);
}

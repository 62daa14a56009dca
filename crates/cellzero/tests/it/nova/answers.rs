//! Every list and every walk of Nova's answers, and how ours stands to it.

use cellzero_test_support::Engine;

/// How Nova's answer to a list stands to ours. The texts say why.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// Nova's is the list by Nova's rules, ours the same by ours; see [`super::oracle`].
    Same,
    /// On these engines Nova's differs beyond the rules; ours is the list by our rules.
    Differs(&'static [Engine], &'static str),
    /// Ours refuses the query by a typed error.
    Refused(&'static str),
}

impl Answer {
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            Same => None,
            Differs(_, reason) | Refused(reason) => Some(reason),
        }
    }
}

use Answer::{Differs, Refused, Same};

const BUILDING: &str = "Nova's lower function does not know build requests, ours lists from there";
const COLLATION: &str = "Nova's text goes without case in a MariaDB cell; ours by code point";
const CROSS: &str = "Nova lets the key match on one row and the value on another";
const NULLS: &str =
    "Nova compares no NULLs of two cells: a TypeError, or rows lost behind a marker";
const IN_NULL: &str = "Nova asks for NULL by IN, which finds none";
const NONE_TEXT: &str = "Nova takes a name that is NULL for the text None in SQLite";
const NULL_PLACE: &str =
    "ascending, NULL comes first here on every engine, in Nova last on PostgreSQL";
const PLACE_OR_COLLATION: &str =
    "the place of NULL on PostgreSQL, text without case in a MariaDB cell";
const OTHERS: &str = "the marker is another project's: Nova begins there and so tells its place";
const ROW_ID: &str = "without sort keys Nova breaks ties by row id, which differs between cells";
const SILENT: &str = "Nova lists nothing and calls every cell down";
const SINCE: &str = "Nova lists every build request, whatever the time";
const SOFT: &str = "Nova lists instances that are deleted softly among the deleted ones";
const UNKNOWN: &str = "the marker does not exist, in Nova as here";
const UUID_MARKER: &str = "by a uuid filter and a marker Nova repeats and loses rows";

const EVERYWHERE: &[Engine] = &Engine::ALL;
const ON_MARIADB: &[Engine] = &[Engine::MariaDb];
const ON_POSTGRES: &[Engine] = &[Engine::Postgres];
const ON_SQLITE: &[Engine] = &[Engine::Sqlite];
const NOT_ON_SQLITE: &[Engine] = &[Engine::Postgres, Engine::MariaDb];

/// By the names in `lists`.
pub(crate) const LISTS: &[(&str, Answer)] = &[
    ("all-default-sort", Differs(EVERYWHERE, ROW_ID)),
    ("all-created-desc", Same),
    ("all-created-asc", Same),
    ("get_all-created-desc", Same),
    ("get_all-created-asc", Same),
    ("get_all-created-desc-limit7", Same),
    ("get_all-created-desc-limit3", Same),
    ("no-deleted-filter", Same),
    ("get_all-no-deleted-filter", Same),
    ("deleted-only", Differs(EVERYWHERE, SOFT)),
    ("deleted-only-not-soft", Same),
    ("get_all-deleted-only", Differs(EVERYWHERE, SOFT)),
    ("not-deleted-with-soft", Same),
    ("p0-created-desc", Same),
    ("p1-created-desc", Same),
    ("p1-asks-for-p0", Same),
    ("admin-project-p2", Same),
    ("admin-user-u1", Same),
    ("state-active", Same),
    ("state-error", Same),
    ("state-building", Same),
    ("state-many", Same),
    ("task-none", Differs(EVERYWHERE, IN_NULL)),
    ("task-deleting", Same),
    ("host", Same),
    ("locked", Same),
    ("hidden", Same),
    ("name-regex-prefix", Differs(ON_MARIADB, COLLATION)),
    ("name-regex-substring", Same),
    ("name-regex-class", Differs(ON_MARIADB, COLLATION)),
    ("name-case", Differs(ON_MARIADB, COLLATION)),
    ("name-dot", Same),
    ("name-percent", Same),
    ("name-unicode", Same),
    ("uuid-list", Same),
    ("metadata-role-web", Same),
    ("metadata-cross", Differs(EVERYWHERE, CROSS)),
    ("tags-and", Same),
    ("tags-any", Same),
    ("not-tags", Same),
    ("not-tags-any", Same),
    ("flavor", Same),
    ("changes-since", Same),
    ("changes-before", Same),
    ("get_all-changes-since-p0", Differs(EVERYWHERE, SINCE)),
    ("name-starts-not-N", Differs(ON_MARIADB, COLLATION)),
    ("sort-uuid", Same),
    ("sort-vm_state-host-null", Differs(EVERYWHERE, NULLS)),
    ("sort-display_name-null", Differs(EVERYWHERE, NULLS)),
    ("name-dot-matches-null-on-sqlite", Differs(ON_SQLITE, NONE_TEXT)),
    ("sort-display_name-notnull", Differs(ON_MARIADB, COLLATION)),
    ("sort-display_name-desc-notnull", Differs(ON_MARIADB, COLLATION)),
    ("sort-host-running", Differs(NOT_ON_SQLITE, PLACE_OR_COLLATION)),
    ("sort-vcpus-memory", Same),
    ("sort-launched_at-null", Differs(EVERYWHERE, NULLS)),
    ("sort-updated_at-active", Same),
    ("sort-project-created", Same),
    ("sort-host-cell1-null", Differs(ON_POSTGRES, NULL_PLACE)),
    ("sort-host-desc-cell1-null", Differs(ON_POSTGRES, NULL_PLACE)),
    ("sort-key-unknown", Refused(SILENT)),
    ("sort-dir-unknown", Refused(SILENT)),
    ("limit-0", Same),
    ("limit-1", Same),
    ("marker-cell1", Same),
    ("marker-cell1-asc", Same),
    ("marker-cell0", Same),
    ("marker-build-request", Same),
    ("marker-build-request-instance_list", Differs(EVERYWHERE, BUILDING)),
    ("marker-deleted", Same),
    ("marker-unknown", Refused(UNKNOWN)),
    ("marker-other-project", Refused(OTHERS)),
    ("marker-null-name", Differs(EVERYWHERE, NULLS)),
    ("marker-vm_state", Same),
];

/// By the names in `walks`.
pub(crate) const WALKS: &[(&str, Answer)] = &[
    ("walk5-created-desc", Same),
    ("walk4-get_all-created-desc", Same),
    ("walk5-get_all-p0", Same),
    ("walk3-uuid-asc", Same),
    ("walk6-created-asc", Same),
    ("walk6-project-created", Same),
    ("walk7-display_name", Differs(ON_MARIADB, COLLATION)),
    ("walk7-display_name-desc", Differs(ON_MARIADB, COLLATION)),
    ("walk8-created-desc-uuid-filter", Differs(EVERYWHERE, UUID_MARKER)),
    ("walk4-launched-null", Differs(EVERYWHERE, NULLS)),
];

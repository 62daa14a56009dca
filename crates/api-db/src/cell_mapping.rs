//! The cell mapping: how to reach one cell.

mod change;
mod queue;

use std::fmt;

use cellzero_database::{DatabaseError, DatabaseUrl, UrlError, load_locked};
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::cell_mappings;
use crate::{ApiConnection, parse};

pub use change::{MappingChange, update};
pub use queue::same_queue;

/// The name that cell0 gets.
pub const CELL0_NAME: &str = "cell0";
/// Cell0's transport: none, since nothing runs there.
pub const CELL0_TRANSPORT_URL: &str = "none:///";

/// A row of `cell_mappings`. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct CellMapping {
    /// The row id; instance and host mappings name it.
    pub id: i32,
    /// The cell.
    pub uuid: CellUuid,
    /// For people.
    pub name: Option<String>,
    /// The message queue's URL, or a template of one.
    pub transport_url: Option<String>,
    /// The database's URL, or a template of one.
    pub database_connection: Option<String>,
    /// Whether nothing new is scheduled to it.
    pub disabled: bool,
}

impl fmt::Debug for CellMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |url: &Option<String>| url.as_deref().map(mask_passwords);
        f.debug_struct("CellMapping")
            .field("id", &self.id)
            .field("uuid", &self.uuid)
            .field("name", &self.name)
            .field("transport_url", &masked(&self.transport_url))
            .field("database_connection", &masked(&self.database_connection))
            .field("disabled", &self.disabled)
            .finish()
    }
}

impl CellMapping {
    /// Whether this is cell0: the uuid decides, not the name.
    pub fn is_cell0(&self) -> bool {
        self.uuid.is_cell0()
    }

    /// For logs: uuid and name where there is a name, otherwise the uuid.
    pub fn identity(&self) -> String {
        match self.name.as_deref() {
            Some(name) if !name.is_empty() => format!("{}({name})", self.uuid),
            _ => self.uuid.to_string(),
        }
    }

    /// The URL of its database. A template in it is filled from `base`, as Nova fills it from its
    /// own `[database]/connection`.
    ///
    /// # Errors
    /// [`UrlError`] for a URL that is missing or cannot be used, or a template without a base.
    pub fn database_url(&self, base: Option<&DatabaseUrl>) -> Result<DatabaseUrl, UrlError> {
        DatabaseUrl::parse(&self.filled(base)?)
    }

    /// The same on a plane that Nova made, where a SQLite URL means what SQLAlchemy takes it for:
    /// `sqlite:///file` is relative and `sqlite:////file` absolute.
    ///
    /// # Errors
    /// As [`database_url`](Self::database_url).
    pub fn nova_database_url(&self, base: Option<&DatabaseUrl>) -> Result<DatabaseUrl, UrlError> {
        let filled = self.filled(base)?;
        match filled.split_once(":///") {
            Some((scheme, path)) if scheme.split('+').next() == Some("sqlite") => {
                DatabaseUrl::parse(&format!("sqlite://{path}"))
            }
            _ => DatabaseUrl::parse(&filled),
        }
    }

    fn filled(&self, base: Option<&DatabaseUrl>) -> Result<String, UrlError> {
        let stored = self.database_connection.as_deref().unwrap_or_default();
        let filled = match base {
            Some(base) => fill_template(stored, base.reveal()),
            None => stored.to_owned(),
        };
        if PLACEHOLDERS.iter().any(|placeholder| filled.contains(placeholder)) {
            let reason = "it is a template; give the URL of a server that it is filled from";
            return Err(UrlError::Unparsable {
                url: mask_passwords(stored),
                reason: reason.to_owned(),
            });
        }
        Ok(filled)
    }
}

/// What a template may hold, each filled with the part of this name.
const PLACEHOLDERS: [&str; 8] = [
    "{scheme}",
    "{username}",
    "{password}",
    "{hostname}",
    "{port}",
    "{path}",
    "{query}",
    "{fragment}",
];

/// Fills `{scheme}`, `{username}`, `{password}`, `{hostname}`, `{port}`, `{path}`, `{query}` and
/// `{fragment}` in `template` from `base`, which Nova does at every read of a cell mapping.
///
/// ```
/// use cellzero_api_db::cell_mapping::fill_template;
/// let template = "{scheme}://{username}:{password}@{hostname}:{port}/nova_cell1";
/// assert_eq!(
///     fill_template(template, "postgresql://nova:pw@db:5432/nova?x=1"),
///     "postgresql://nova:pw@db:5432/nova_cell1"
/// );
/// ```
pub fn fill_template(template: &str, base: &str) -> String {
    if !template.contains('{') {
        return template.to_owned();
    }
    let Ok(base) = url::Url::parse(base) else { return template.to_owned() };
    let port = base.port().or_else(|| default_port(base.scheme()));
    let parts = [
        base.scheme().to_owned(),
        base.username().to_owned(),
        base.password().unwrap_or_default().to_owned(),
        base.host_str().unwrap_or_default().to_owned(),
        port.map(|port| port.to_string()).unwrap_or_default(),
        base.path().trim_start_matches('/').to_owned(),
        base.query().unwrap_or_default().to_owned(),
        base.fragment().unwrap_or_default().to_owned(),
    ];
    let mut filled = template.to_owned();
    for (placeholder, value) in PLACEHOLDERS.iter().zip(parts) {
        filled = filled.replace(placeholder, &value);
    }
    filled
}

fn default_port(scheme: &str) -> Option<u16> {
    if scheme.starts_with("postgres") {
        Some(5432)
    } else if scheme.starts_with("mysql") || scheme.starts_with("mariadb") {
        Some(3306)
    } else {
        None
    }
}

/// A URL, database or transport, with each password in it as `***`. Transport URLs name several
/// hosts, so every `user:password@` is masked. It hides too much rather than too little.
///
/// ```
/// use cellzero_api_db::cell_mapping::mask_passwords;
/// assert_eq!(mask_passwords("rabbit://a:x@h1:1,b:y@h2:2/"), "rabbit://a:***@h1:1,b:***@h2:2/");
/// ```
pub fn mask_passwords(url: &str) -> String {
    // Without a scheme it is the path of a file.
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = mask_query(rest);
    let dialect = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
    let is_transport = !["postgres", "postgresql", "mysql", "mariadb"].contains(&dialect.as_str());
    let mut masked: Vec<String> = Vec::new();
    let mut login = String::new();
    for part in rest.split(|letter| is_transport && letter == ',') {
        // A comma may also stand in a password: then what is before the next @ belongs to it.
        login = if login.is_empty() { part.to_owned() } else { format!("{login},{part}") };
        if login.contains('@') {
            masked.push(mask_login(&std::mem::take(&mut login), masked.is_empty()));
        }
    }
    if !login.is_empty() {
        masked.extend(login.split(',').map(mask_without_host));
    }
    format!("{scheme}://{}", masked.join(","))
}

/// `user:password@host` with its password masked. A part without a colon may be the rest of a
/// password, unless it is the first one.
fn mask_login(part: &str, is_first: bool) -> String {
    let Some((login, host)) = part.rsplit_once('@') else { return part.to_owned() };
    match login.split_once(':') {
        Some((user, _)) => format!("{user}:***@{host}"),
        None if is_first => part.to_owned(),
        None => format!("***@{host}"),
    }
}

/// A part without an `@`: what follows its colon is a port, or is hidden.
fn mask_without_host(part: &str) -> String {
    let is_port = |text: &str| {
        let end = text.find(['/', '?']).unwrap_or(text.len());
        text[..end].parse::<u16>().is_ok() || text.starts_with('{')
    };
    match part.split_once(':') {
        Some((user, secret)) if !is_port(secret) => format!("{user}:***"),
        _ => part.to_owned(),
    }
}

/// Hides the value of every parameter that speaks of a password or a secret.
fn mask_query(rest: &str) -> String {
    let masked = rest.split('&').map(|pair| match pair.split_once('=') {
        Some((before, _)) if is_secret(before.rsplit('?').next().unwrap_or(before)) => {
            format!("{before}=***")
        }
        _ => pair.to_owned(),
    });
    masked.collect::<Vec<_>>().join("&")
}

/// Whether a parameter's name speaks of a secret; an encoded letter must not let one through.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "%"].iter().any(|word| name.contains(word))
}

type Row = (i32, String, Option<String>, Option<String>, Option<String>, Option<bool>);

fn mapping(row: Row) -> Result<CellMapping, DatabaseError> {
    let (id, uuid, name, transport_url, database_connection, disabled) = row;
    Ok(CellMapping {
        id,
        uuid: parse(&uuid)?,
        name,
        transport_url,
        database_connection,
        disabled: disabled.unwrap_or(false),
    })
}

const COLUMNS: (
    cell_mappings::id,
    cell_mappings::uuid,
    cell_mappings::name,
    cell_mappings::transport_url,
    cell_mappings::database_connection,
    cell_mappings::disabled,
) = (
    cell_mappings::id,
    cell_mappings::uuid,
    cell_mappings::name,
    cell_mappings::transport_url,
    cell_mappings::database_connection,
    cell_mappings::disabled,
);

/// All cell mappings by id, so cell0 first where it was made first. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn all(conn: &mut ApiConnection) -> Result<Vec<CellMapping>, DatabaseError> {
    let rows: Vec<Row> =
        cell_mappings::table.order(cell_mappings::id).select(COLUMNS).load(conn.sql())?;
    rows.into_iter().map(mapping).collect()
}

/// The same under a lock, so that two that add a cell take turns.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn all_locked(conn: &mut ApiConnection) -> Result<Vec<CellMapping>, DatabaseError> {
    let rows: Vec<Row> =
        load_locked!(conn, cell_mappings::table.order(cell_mappings::id).select(COLUMNS))?;
    rows.into_iter().map(mapping).collect()
}

/// One cell mapping under a lock: what maps hosts or instances to the cell takes turns by it. One
/// statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn lock(
    conn: &mut ApiConnection,
    cell: CellUuid,
) -> Result<Option<CellMapping>, DatabaseError> {
    let rows: Vec<Row> = load_locked!(
        conn,
        cell_mappings::table.filter(cell_mappings::uuid.eq(cell.text())).select(COLUMNS)
    )?;
    rows.into_iter().next().map(mapping).transpose()
}

#[derive(Insertable)]
#[diesel(table_name = cell_mappings, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    uuid: String,
    name: Option<&'a str>,
    transport_url: Option<&'a str>,
    database_connection: Option<&'a str>,
    disabled: bool,
}

/// Adds a cell mapping; the id in `mapping` is not used. One statement.
///
/// # Errors
/// The database's; a unique violation where the uuid is mapped already.
pub fn insert(
    conn: &mut ApiConnection,
    mapping: &CellMapping,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow {
        created_at: now,
        uuid: mapping.uuid.text(),
        name: mapping.name.as_deref(),
        transport_url: mapping.transport_url.as_deref(),
        database_connection: mapping.database_connection.as_deref(),
        disabled: mapping.disabled,
    };
    diesel::insert_into(cell_mappings::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// Opens or closes a cell for scheduling; says whether it exists. One statement.
///
/// # Errors
/// The database's.
pub fn set_disabled(
    conn: &mut ApiConnection,
    cell: CellUuid,
    disabled: bool,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let changed = diesel::update(cell_mappings::table.filter(cell_mappings::uuid.eq(cell.text())))
        .set((cell_mappings::disabled.eq(disabled), cell_mappings::updated_at.eq(now)))
        .execute(conn.sql())?;
    Ok(changed == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(uuid: CellUuid, url: &str) -> CellMapping {
        CellMapping {
            id: 1,
            uuid,
            name: Some("cell1".into()),
            transport_url: Some("rabbit://u:secret@h/".into()),
            database_connection: Some(url.into()),
            disabled: false,
        }
    }

    #[test]
    fn only_the_uuid_makes_cell0() {
        assert!(cell(CellUuid::CELL0, "").is_cell0());
        let other = CellMapping {
            name: Some("cell0".into()),
            ..cell(CellUuid(uuid::Uuid::from_u128(7)), "")
        };
        assert!(!other.is_cell0());
    }

    #[test]
    fn the_debug_text_shows_no_password() {
        let text = format!("{:?}", cell(CellUuid::CELL0, "mysql://nova:secret@db/nova"));
        assert!(!text.contains("secret"), "{text}");
    }

    #[rstest::rstest]
    #[case("sqlite:///nova_cell1.db", "nova_cell1.db")]
    #[case("sqlite+pysqlite:///nova_cell1.db", "nova_cell1.db")]
    #[case("sqlite:////var/lib/nova/cell1.db", "/var/lib/nova/cell1.db")]
    fn a_sqlite_url_of_nova_is_relative_with_three_slashes(#[case] url: &str, #[case] path: &str) {
        let url = cell(CellUuid::CELL0, url).nova_database_url(None).unwrap();
        assert_eq!(url.path(), Some(std::path::Path::new(path)));
    }

    #[rstest::rstest]
    #[case("postgres://u:se,cret@h:1/d", "postgres://u:***@h:1/d")]
    #[case("postgres://u:se@c,ret@h:1/d", "postgres://u:***@h:1/d")]
    #[case("rabbit://u:se@c,ret@h:1/d", "rabbit://u:***@c,***@h:1/d")]
    #[case("postgres://u:a:b?c@h/d", "postgres://u:***@h/d")]
    #[case("postgres://u@h/d?password=secret&x=1", "postgres://u@h/d?password=***&x=1")]
    #[case("postgres://u:a@b@h/d?password=x@y", "postgres://u:***@h/d?password=***")]
    #[case("postgres://u:secret", "postgres://u:***")]
    #[case("rabbit://h1:5672,h2:5672/", "rabbit://h1:5672,h2:5672/")]
    #[case("none:///", "none:///")]
    #[case("/dir/file,with:all@once.db", "/dir/file,with:all@once.db")]
    #[case(
        "{scheme}://{username}:{password}@{hostname}:{port}/cell1?{query}",
        "{scheme}://{username}:***@{hostname}:{port}/cell1?{query}"
    )]
    fn no_form_of_a_password_is_shown(#[case] url: &str, #[case] masked: &str) {
        assert_eq!(mask_passwords(url), masked);
    }

    #[test]
    fn a_template_without_a_usable_base_stays_as_it_is() {
        assert_eq!(fill_template("{scheme}://x", "not a url"), "{scheme}://x");
    }
}

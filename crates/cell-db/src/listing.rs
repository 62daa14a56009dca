//! One cell's part of a list: filtered, in the one total order, after a marker.
//!
//! The order must be the same in every cell, whatever the backend and whoever made the database:
//! NULL has a place of its own ([`cellzero_types::list_order`]), and text goes by code point. Our
//! own tables have such a collation; on a plane that Nova made it is asked for in the query.

use cellzero_database::{Backend, DatabaseError};
use cellzero_types::list_order::{SortValue, SortValues};
use cellzero_types::{InstanceUuid, ListFilters, SortDirection, SortKey, VmState};
use chrono::NaiveDateTime;
use diesel::dsl::{exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamp};

use crate::schema::{instance_metadata, instances, tags};
use crate::{CellConnection, Dialect, parse_uuid, texts};

/// What one cell is asked for.
#[derive(Debug, Clone)]
pub struct CellListQuery {
    /// What a listed instance must be; the project is filled in.
    pub filters: ListFilters,
    /// The total order.
    pub order: Vec<(SortKey, SortDirection)>,
    /// Only what comes after an instance with these values.
    pub after: Option<SortValues>,
    /// The most rows.
    pub limit: u32,
    /// Whether Nova made the plane: text is compared by code point only where that is asked for,
    /// and times in SQLite have a fixed length.
    pub foreign: bool,
}

/// A listed instance: which, and its place in the order.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRow {
    /// Which.
    pub uuid: InstanceUuid,
    /// Its values for each key of the order.
    pub values: SortValues,
}

type Condition = Box<dyn BoxableExpression<instances::table, Dialect, SqlType = Bool>>;

/// A sort key as SQL of its type.
enum KeyExpression {
    Text(String),
    Time(String),
    /// A time that stands as text of a fixed length.
    TimeText(String),
    Number(String),
}

/// How SQLAlchemy writes a time into SQLite. Diesel leaves a fraction of zero away, so that equal
/// times would be unequal texts.
const SQLITE_TIME_OF_NOVA: &str = "%Y-%m-%d %H:%M:%S%.6f";

fn key_expression(key: SortKey, backend: Backend, foreign: bool) -> KeyExpression {
    let Some((_, column)) = SortKey::ALL.iter().find(|(known, _)| *known == key) else {
        // `ALL` holds every key; a test counts them.
        return KeyExpression::Text("instances.uuid".to_owned());
    };
    let column = format!("instances.{column}");
    match key {
        SortKey::CreatedAt | SortKey::UpdatedAt | SortKey::LaunchedAt => match (backend, foreign) {
            (Backend::Sqlite, true) => KeyExpression::TimeText(column),
            _ => KeyExpression::Time(column),
        },
        SortKey::PowerState | SortKey::InstanceTypeId => KeyExpression::Number(column),
        _ if !foreign => KeyExpression::Text(column),
        _ => KeyExpression::Text(match backend {
            Backend::Sqlite => column,
            Backend::Postgres => format!("{column} COLLATE \"C\""),
            // Nova's character set is utf8mb3; a binary string compares by its bytes, which for
            // UTF-8 is the order of code points.
            Backend::Mysql => format!("CONVERT({column} USING utf8mb4) COLLATE utf8mb4_nopad_bin"),
        }),
    }
}

fn text_key(fragment: &str) -> SqlLiteral<Nullable<Text>> {
    sql(fragment)
}

/// What comes after `values`: for some n, the first n keys are equal and the next one is beyond.
fn after(
    order: &[(SortKey, SortDirection)],
    values: &SortValues,
    backend: Backend,
    foreign: bool,
) -> Condition {
    let mut any: Condition = Box::new(sql::<Bool>("1 = 0"));
    for end in 0..order.len() {
        let mut all: Condition = Box::new(sql::<Bool>("1 = 1"));
        for (index, ((key, direction), value)) in order.iter().zip(values).take(end + 1).enumerate()
        {
            let expression = key_expression(*key, backend, foreign);
            let condition = if index == end {
                beyond(&expression, *direction, value.as_ref())
            } else {
                equal(&expression, value.as_ref())
            };
            all = Box::new(all.and(condition));
        }
        any = Box::new(any.or(all));
    }
    any
}

macro_rules! by_type {
    ($expression:expr, $value:expr, $key:ident, $v:ident => $typed:expr) => {
        match ($expression, $value) {
            (KeyExpression::Text(fragment), SortValue::Text($v)) => {
                let $key = || sql::<Nullable<Text>>(fragment);
                let $v = $v.clone();
                $typed
            }
            (KeyExpression::Time(fragment), SortValue::Time($v)) => {
                let $key = || sql::<Nullable<Timestamp>>(fragment);
                let $v = *$v;
                $typed
            }
            (KeyExpression::TimeText(fragment), SortValue::Time($v)) => {
                let $key = || sql::<Nullable<Text>>(fragment);
                let $v = $v.format(SQLITE_TIME_OF_NOVA).to_string();
                $typed
            }
            (KeyExpression::Number(fragment), SortValue::Number($v)) => {
                let $key = || sql::<Nullable<BigInt>>(fragment);
                let $v = *$v;
                $typed
            }
            // A value of another type than its key's comes from nowhere but a bug.
            _ => Box::new(sql::<Bool>("1 = 0")) as Condition,
        }
    };
}

fn fragment(expression: &KeyExpression) -> &str {
    match expression {
        KeyExpression::Text(f)
        | KeyExpression::Time(f)
        | KeyExpression::TimeText(f)
        | KeyExpression::Number(f) => f,
    }
}

fn equal(expression: &KeyExpression, value: Option<&SortValue>) -> Condition {
    match value {
        None => Box::new(text_key(fragment(expression)).is_null()),
        Some(value) => by_type!(expression, value, key, v => {
            Box::new(key().eq(v).assume_not_null()) as Condition
        }),
    }
}

fn beyond(
    expression: &KeyExpression,
    direction: SortDirection,
    value: Option<&SortValue>,
) -> Condition {
    let is_null = || text_key(fragment(expression)).is_null();
    match (direction, value) {
        // NULL is the last in ascending order: nothing is beyond it.
        (SortDirection::Ascending, None) => Box::new(sql::<Bool>("1 = 0")),
        (SortDirection::Descending, None) => Box::new(not(is_null())),
        (SortDirection::Ascending, Some(value)) => by_type!(expression, value, key, v => {
            Box::new(is_null().or(key().gt(v).assume_not_null())) as Condition
        }),
        (SortDirection::Descending, Some(value)) => by_type!(expression, value, key, v => {
            Box::new(key().lt(v).assume_not_null()) as Condition
        }),
    }
}

/// One cell's rows of a list. One statement.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut CellConnection,
    query: &CellListQuery,
) -> Result<Vec<ListedRow>, DatabaseError> {
    let backend = conn.backend();
    let mut select = instances::table.select(Columns::as_select()).into_boxed::<Dialect>();
    for condition in filter_conditions(&query.filters, backend) {
        select = select.filter(condition);
    }
    if let Some(values) = &query.after {
        select = select.filter(after(&query.order, values, backend, query.foreign));
    }
    for (key, direction) in &query.order {
        let expression = key_expression(*key, backend, query.foreign);
        let column = fragment(&expression);
        // NULL goes last in ascending order on every backend.
        let direction = match direction {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        };
        let order = format!("({column} IS NULL) {direction}, {column} {direction}");
        select = select.then_order_by(sql::<Text>(&order));
    }
    let rows: Vec<Columns> = select.limit(query.limit.into()).load(conn.sql())?;
    rows.into_iter().map(|row| row.listed(&query.order)).collect()
}

fn filter_conditions(filters: &ListFilters, backend: Backend) -> Vec<Condition> {
    let mut all: Vec<Condition> = vec![Box::new(
        instances::hidden.is_null().or(instances::hidden.eq(false)).assume_not_null(),
    )];
    let mut equal = |column: Condition| all.push(column);
    if let Some(uuids) = &filters.uuids {
        equal(Box::new(instances::uuid.eq_any(texts(uuids))));
    }
    if let Some(project) = filters.project_id.clone() {
        equal(Box::new(instances::project_id.eq(project).assume_not_null()));
    }
    if let Some(user) = filters.user_id.clone() {
        equal(Box::new(instances::user_id.eq(user).assume_not_null()));
    }
    if let Some(host) = filters.host.clone() {
        equal(Box::new(instances::host.eq(host).assume_not_null()));
    }
    if let Some(image) = filters.image_ref.clone() {
        equal(Box::new(instances::image_ref.eq(image).assume_not_null()));
    }
    if !filters.vm_states.is_empty() {
        let states: Vec<String> =
            filters.vm_states.iter().map(VmState::as_str).map(str::to_owned).collect();
        equal(Box::new(instances::vm_state.eq_any(states).assume_not_null()));
    }
    if let Some(part) = filters.name_contains.clone() {
        let function = match backend {
            Backend::Sqlite => "instr(instances.display_name, ",
            Backend::Postgres => "strpos(instances.display_name, ",
            Backend::Mysql => "instr(BINARY instances.display_name, ",
        };
        equal(Box::new(sql::<Bool>(function).bind::<Text, _>(part).sql(") > 0")));
    }
    for tag in filters.tags.clone() {
        let tagged =
            tags::table.filter(tags::resource_id.eq(instances::uuid)).filter(tags::tag.eq(tag));
        equal(Box::new(exists(tagged)));
    }
    for (key, value) in filters.metadata.clone() {
        // Key and value stand on the same row, which Nova does not ask for.
        let item = instance_metadata::table
            .filter(instance_metadata::instance_uuid.eq(instances::uuid.nullable()))
            .filter(instance_metadata::deleted.eq(0))
            .filter(instance_metadata::key.eq(key))
            .filter(instance_metadata::value.eq(value));
        equal(Box::new(exists(item)));
    }
    all.extend(deletion_conditions(filters));
    all
}

/// Live rows; or deleted ones; or, since a time, both. As in Nova, one that is deleted softly is
/// listed only where its state is asked for.
fn deletion_conditions(filters: &ListFilters) -> Vec<Condition> {
    let mut all: Vec<Condition> = Vec::new();
    match (filters.deleted, filters.changes_since) {
        (true, _) => all.push(Box::new(instances::deleted.ne(0).assume_not_null())),
        (false, None) => {
            all.push(Box::new(instances::deleted.eq(0).assume_not_null()));
            if !filters.vm_states.contains(&VmState::SoftDeleted) {
                let other = instances::vm_state.ne(VmState::SoftDeleted.as_str());
                all.push(Box::new(instances::vm_state.is_null().or(other).assume_not_null()));
            }
        }
        (false, Some(_)) => {}
    }
    if let Some(since) = filters.changes_since {
        all.push(Box::new(instances::updated_at.ge(since).assume_not_null().or(
            instances::updated_at.is_null().and(instances::created_at.ge(since).assume_not_null()),
        )));
    }
    all
}

/// Every column that one can sort by.
#[derive(Queryable, Selectable)]
#[diesel(table_name = instances)]
struct Columns {
    uuid: String,
    created_at: Option<NaiveDateTime>,
    updated_at: Option<NaiveDateTime>,
    launched_at: Option<NaiveDateTime>,
    display_name: Option<String>,
    host: Option<String>,
    node: Option<String>,
    vm_state: Option<String>,
    task_state: Option<String>,
    power_state: Option<i32>,
    project_id: Option<String>,
    user_id: Option<String>,
    image_ref: Option<String>,
    instance_type_id: Option<i32>,
    key_name: Option<String>,
    availability_zone: Option<String>,
}

impl Columns {
    fn listed(self, order: &[(SortKey, SortDirection)]) -> Result<ListedRow, DatabaseError> {
        let uuid = parse_uuid(&self.uuid)?;
        let text = |text: &Option<String>| text.clone().map(SortValue::Text);
        let values = order
            .iter()
            .map(|(key, _)| match key {
                SortKey::CreatedAt => self.created_at.map(SortValue::Time),
                SortKey::UpdatedAt => self.updated_at.map(SortValue::Time),
                SortKey::LaunchedAt => self.launched_at.map(SortValue::Time),
                SortKey::DisplayName => text(&self.display_name),
                SortKey::Host => text(&self.host),
                SortKey::Node => text(&self.node),
                SortKey::VmState => text(&self.vm_state),
                SortKey::TaskState => text(&self.task_state),
                SortKey::PowerState => self.power_state.map(|n| SortValue::Number(n.into())),
                SortKey::ProjectId => text(&self.project_id),
                SortKey::UserId => text(&self.user_id),
                SortKey::ImageRef => text(&self.image_ref),
                SortKey::InstanceTypeId => {
                    self.instance_type_id.map(|n| SortValue::Number(n.into()))
                }
                SortKey::KeyName => text(&self.key_name),
                SortKey::AvailabilityZone => text(&self.availability_zone),
                _ => Some(SortValue::Text(self.uuid.clone())),
            })
            .collect();
        Ok(ListedRow { uuid, values })
    }
}

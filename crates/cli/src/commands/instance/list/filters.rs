//! What a listed instance must be, as flags say it.

use cellzero::{
    ColumnFilter, ColumnKind, Deleted, InvalidField, ListFilters, SortKey, SortValue, VmState,
};
use chrono::{DateTime, NaiveDateTime};

/// Filters; an instance has to pass them all.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filters {
    /// Only those in this status as clients see it, such as ACTIVE; several mean one of them
    #[arg(long)]
    status: Vec<String>,

    /// Only those in this vm_state, such as error; several mean one of them
    #[arg(long)]
    vm_state: Vec<String>,

    /// Only those whose name matches a regular expression, anywhere in it
    #[arg(long, value_name = "REGEX")]
    name: Option<String>,

    /// Only those on this host
    #[arg(long)]
    host: Option<String>,

    /// Only those of this flavor, by the id that clients use; several mean one of them
    #[arg(long)]
    flavor: Vec<String>,

    /// Only those of this image
    #[arg(long, value_name = "UUID")]
    image: Option<String>,

    /// Only those of this owner
    #[arg(long, value_name = "USER")]
    owner: Option<String>,

    /// Only those with this tag; several mean all of them
    #[arg(long)]
    tag: Vec<String>,

    /// Only those with this metadata item; several mean all of them
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// Only those with a fixed IPv4 address that matches a regular expression
    #[arg(long, value_name = "REGEX")]
    ip: Option<String>,

    /// Only those whose column holds this text or number, such as availability_zone=az1; an empty
    /// value means none. Columns are those of --sort
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = pair)]
    columns: Vec<(String, String)>,

    /// Only those that changed at this time (RFC 3339) or later, deleted ones too
    #[arg(long, value_name = "TIME", value_parser = instant)]
    changes_since: Option<NaiveDateTime>,

    /// Only those that changed at this time (RFC 3339) or before
    #[arg(long, value_name = "TIME", value_parser = instant)]
    changes_before: Option<NaiveDateTime>,

    /// Deleted instances alone
    #[arg(long)]
    deleted: bool,
}

/// `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn instant(text: &str) -> Result<NaiveDateTime, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.naive_utc()).map_err(|error| {
        format!("{error}; write a time with its zone, such as 2026-05-01T12:00:00Z")
    })
}

impl Filters {
    pub(super) fn to_filters(&self) -> Result<ListFilters, InvalidField> {
        let mut filters = ListFilters::default();
        for status in &self.status {
            filters = filters.status(status)?;
        }
        if !self.vm_state.is_empty() {
            let states: Vec<VmState> = self.vm_state.iter().cloned().map(VmState::from).collect();
            filters = filters.vm_states(&states);
        }
        if let Some(name) = &self.name {
            filters = filters.name(name)?;
        }
        if let Some(host) = &self.host {
            filters = filters.host(host);
        }
        if let Some(image) = &self.image {
            filters = filters.image(image);
        }
        if let Some(owner) = &self.owner {
            filters = filters.user(owner);
        }
        if let Some(ip) = &self.ip {
            filters = filters.ip(ip)?;
        }
        for (column, value) in &self.columns {
            let key: SortKey = column.parse()?;
            filters = filters.column(key, ColumnFilter::OneOf(vec![value_of(key, value)?]));
        }
        filters.flavors = self.flavor.clone();
        filters.tags = self.tag.clone();
        filters.metadata = self.metadata.clone();
        filters.changes_since = self.changes_since;
        filters.changes_before = self.changes_before;
        if self.deleted {
            filters.deleted = Deleted::Only;
        }
        Ok(filters)
    }
}

/// A value of a column; none for an empty text.
fn value_of(key: SortKey, text: &str) -> Result<Option<SortValue>, InvalidField> {
    let refused = |expected: &str| InvalidField::new(key.name(), text, expected);
    if text.is_empty() {
        return Ok(None);
    }
    let value = match key.kind() {
        ColumnKind::Text | ColumnKind::Address => SortValue::Text(text.to_owned()),
        ColumnKind::Number => {
            SortValue::Number(text.parse().map_err(|_| refused("a whole number"))?)
        }
        ColumnKind::Flag => match text {
            "true" | "1" => SortValue::Number(1),
            "false" | "0" => SortValue::Number(0),
            _ => return Err(refused("true or false")),
        },
        ColumnKind::Time => SortValue::Time(
            instant(text).map_err(|_| refused("a time such as 2026-05-01T12:00:00Z"))?,
        ),
    };
    Ok(Some(value))
}

//! What a server is asked about itself: its clock, and settings by which it would lose what it has
//! answered.

use crate::any::AnyConnection;
use crate::connection::Connection;
use crate::database::{Database, Durability, SchemaKind};
use crate::deadline::Deadline;
use crate::error::DatabaseError;
use chrono::{TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::Text;
use std::time::{Duration, Instant};

/// A setting by which a server may lose a commit that it has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossySetting {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: String,
    /// What it should be.
    pub wanted: &'static str,
    /// What is lost with it, and when.
    pub loses: &'static str,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// How far its clock is ahead of this machine's; nothing for SQLite, which has none.
    pub clock_ahead: Option<TimeDelta>,
    /// The time between the question for the clock and the answer; the clock is known to half of it.
    pub round_trip: Duration,
    /// The settings that may lose a commit.
    pub lossy: Vec<LossySetting>,
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    value: String,
}

/// A setting, what it must be at least, and what it costs where it is not.
struct Rule {
    name: &'static str,
    safe: &'static [&'static str],
    loses: &'static str,
}

const POSTGRES_RULES: [Rule; 3] = [
    Rule { name: "fsync", safe: &["on"], loses: "a power cut may damage the whole database" },
    Rule {
        name: "synchronous_commit",
        safe: &["on", "local", "remote_write", "remote_apply"],
        loses: "a crash of the server loses the commits of its last moments",
    },
    Rule {
        name: "full_page_writes",
        safe: &["on"],
        loses: "a power cut may leave half-written pages",
    },
];

const MYSQL_RULES: [Rule; 2] = [
    Rule {
        name: "innodb_flush_log_at_trx_commit",
        safe: &["1"],
        loses: "a power cut, with 0 a crash of the server too, loses the last second of commits",
    },
    Rule {
        name: "innodb_doublewrite",
        safe: &["1", "ON", "DETECT_AND_RECOVER"],
        loses: "a power cut may leave half-written pages",
    },
];

const POSTGRES_SETTINGS: &str = "SELECT name, setting AS value FROM pg_settings \
    WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') ORDER BY name";

const MYSQL_SETTINGS: &str = "\
    SELECT 'innodb_flush_log_at_trx_commit' AS name, \
      CAST(@@global.innodb_flush_log_at_trx_commit AS CHAR) AS value \
    UNION ALL SELECT 'innodb_doublewrite', CAST(@@global.innodb_doublewrite AS CHAR)";

impl<K: SchemaKind> Database<K> {
    /// The server's clock and its settings. Two statements; none for SQLite, where this machine's
    /// clock counts and [`Durability`] decides.
    ///
    /// # Errors
    /// Those of [`Database::run`].
    pub async fn server_facts(&self, deadline: Deadline) -> Result<ServerFacts, DatabaseError> {
        let durability = self.options().durability;
        self.run("read_server", deadline, move |conn| facts(conn, durability)).await
    }
}

fn facts<K>(
    conn: &mut Connection<K>,
    durability: Durability,
) -> Result<ServerFacts, DatabaseError> {
    let asked = Instant::now();
    conn.ping()?;
    let round_trip = asked.elapsed();
    let ahead = conn.now() - Utc::now().naive_utc();
    let (settings, rules): (Vec<Setting>, &[Rule]) = match conn.sql().any() {
        AnyConnection::Sqlite(_) => {
            let lossy = sqlite_lossy(durability).into_iter().collect();
            return Ok(ServerFacts { clock_ahead: None, round_trip, lossy });
        }
        AnyConnection::Postgres(net) => {
            (diesel::sql_query(POSTGRES_SETTINGS).load(net)?, &POSTGRES_RULES)
        }
        AnyConnection::Mysql(net) => (diesel::sql_query(MYSQL_SETTINGS).load(net)?, &MYSQL_RULES),
    };
    let lossy = settings.into_iter().filter_map(|setting| broken(setting, rules)).collect();
    Ok(ServerFacts { clock_ahead: Some(ahead), round_trip, lossy })
}

fn broken(setting: Setting, rules: &[Rule]) -> Option<LossySetting> {
    let rule = rules.iter().find(|rule| rule.name == setting.name)?;
    if rule.safe.iter().any(|safe| safe.eq_ignore_ascii_case(&setting.value)) {
        return None;
    }
    let Setting { name, value } = setting;
    Some(LossySetting { name, value, wanted: rule.safe[0], loses: rule.loses })
}

fn sqlite_lossy(durability: Durability) -> Option<LossySetting> {
    (durability == Durability::Normal).then(|| LossySetting {
        name: "synchronous".to_owned(),
        value: "NORMAL".to_owned(),
        wanted: "FULL",
        loses: "a power cut may take the last commits",
    })
}

//! Opens a connection to MariaDB or MySQL.

use super::server::{drive_opening, odd_answer, parse_server_time};
use super::{OpenResult, tls};
use crate::any::AnyConnection;
use crate::backend::Backend;
use crate::connection::{Clock, Opened};
use crate::database::Options;
use crate::database_url::{Server, Tls};
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::net::Net;
use crate::tally::Tally;
use diesel_async::AsyncMysqlConnection;
use futures_util::FutureExt as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, OptsBuilder, Pool, PoolConstraints, PoolOpts, SslOpts};
use std::sync::Arc;
use std::time::Instant;

/// The longest wait for a lock, in whole seconds, before the statement fails. A client that gave
/// up does not end its statement, so this bounds how long the locks of its transaction outlive it.
const LOCK_WAIT_MAX_S: u64 = 10;

/// The largest message that is sent, in bytes: the default limit of MariaDB. Setting it here
/// saves the driver's question to the server.
const PACKET_MAX: usize = 16 * 1024 * 1024;

/// What the driver takes as the time after which the server closes an idle connection, in
/// seconds. It only matters to what lies in the driver's own pool, where nothing ever does.
const WAIT_TIMEOUT_S: usize = 28_800;

/// One connection, and none that is kept when it is given back.
const POOL_OF_ONE: Option<PoolConstraints> = PoolConstraints::new(0, 1);

/// After how much silence the operating system asks whether the server is still there.
const KEEPALIVE_IDLE_MS: u32 = 30_000;

/// Everything that a later query relies on: a value that does not fit is an error.
const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
                        NO_ENGINE_SUBSTITUTION";

pub(super) fn open(
    server: &Server,
    options: &Options,
    deadline: Deadline,
    tally: &Arc<Tally>,
) -> OpenResult {
    let opts = driver_options(server)?;
    let set_up = set_up_statements(options);
    // A pool of its own, which ends with the connection. The driver says goodbye for one that
    // comes from a pool alone: for others its drop marks them as closed before it would send the
    // goodbye, and so never does.
    let pool = Pool::new(opts);
    let (connection, clock) = drive_opening(options, deadline, make(pool.clone(), set_up))?;
    let goodbye = async move {
        if let Err(error) = pool.disconnect().await {
            tracing::debug!(%error, "the driver could not say goodbye");
        }
    };
    let goodbye = Some(goodbye.boxed());
    let net = Net::new(connection, goodbye, Backend::Mysql, deadline, Arc::clone(tally));
    Ok(Opened { any: AnyConnection::Mysql(net), clock, watch: Arc::default() })
}

fn driver_options(server: &Server) -> Result<OptsBuilder, DatabaseError> {
    let mut opts = OptsBuilder::default()
        .ip_or_hostname(server.host.clone())
        .tcp_port(server.port)
        .tcp_keepalive(Some(KEEPALIVE_IDLE_MS))
        .user(server.user.clone())
        .pass(server.password.clone())
        .db_name(Some(server.database.clone()))
        // A guarded update that changes nothing must still count the row it found.
        .client_found_rows(true)
        // Diesel keeps the statements, and a second store would only hold them twice.
        .stmt_cache_size(0)
        .prefer_socket(false)
        .socket(server.socket.clone())
        .max_allowed_packet(Some(PACKET_MAX))
        .wait_timeout(Some(WAIT_TIMEOUT_S))
        .pool_opts(pool_options());
    if let Tls::VerifyFull { root } = &server.tls {
        tls::ensure_default_provider();
        let trusted = tls::trusted(root.as_deref())?;
        let trusted = trusted.into_iter().map(|one| one.as_ref().to_vec().into()).collect();
        let ssl = SslOpts::default().with_root_certs(trusted).with_disable_built_in_roots(true);
        opts = opts.ssl_opts(ssl);
    }
    Ok(opts)
}

fn pool_options() -> PoolOpts {
    let options = PoolOpts::default().with_reset_connection(false);
    match POOL_OF_ONE {
        Some(one) => options.with_constraints(one),
        None => options,
    }
}

/// All of it in one round trip. The last statement answers with the time.
fn set_up_statements(options: &Options) -> String {
    let milliseconds = options.statement_timeout_max.as_millis().max(1);
    let seconds = options.statement_timeout_max.as_secs_f64().max(0.001);
    let access = if options.read_only { "READ ONLY" } else { "READ WRITE" };
    // The first of the two comments is run by MariaDB alone, the second by MySQL alone; there
    // the limit covers reads only.
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}; \
         SET SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', lc_messages = 'en_US', \
         innodb_lock_wait_timeout = {LOCK_WAIT_MAX_S} \
         /*M! , max_statement_time = {seconds} */ /*!50708 , max_execution_time = {milliseconds} */; \
         SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%d %H:%i:%s.%f')"
    )
}

async fn make(pool: Pool, set_up: String) -> Result<(AsyncMysqlConnection, Clock), DatabaseError> {
    let mut conn = pool.get_conn().await.map_err(failure)?;
    let asked = Instant::now();
    let time = read_time(&mut conn, &set_up).await.map_err(failure)?;
    let time =
        time.and_then(|text| parse_server_time(&text)).ok_or_else(|| odd_answer("its time"))?;
    let clock = Clock::sample(time, asked);
    let connection = AsyncMysqlConnection::try_from(conn)
        .await
        .map_err(|error| DatabaseError::because(ErrorKind::Unreachable, error))?;
    Ok((connection, clock))
}

/// Sends the set-up and returns the only value that any of its statements answers.
async fn read_time(conn: &mut Conn, set_up: &str) -> Result<Option<String>, mysql_async::Error> {
    let mut answer = conn.query_iter(set_up).await?;
    let mut time = None;
    // The statements before the last have no rows, and collecting passes over them.
    while !answer.is_empty() {
        let rows = answer.try_collect::<String>().await?;
        time = rows.into_iter().find_map(Result::ok).or(time);
    }
    answer.drop_result().await?;
    Ok(time)
}

/// What a failure to connect means, by the server's code where it gave one.
fn failure(error: mysql_async::Error) -> DatabaseError {
    use mysql_async::Error;
    let kind = match &error {
        // Access denied: to the server, to the database, for the method, for lack of TLS.
        Error::Server(server) if matches!(server.code, 1044 | 1045 | 1251 | 1698 | 3118 | 3159) => {
            ErrorKind::AuthenticationFailed
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => ErrorKind::Tls,
        Error::Driver(
            DriverError::UnknownAuthPlugin { .. }
            | DriverError::CleartextPluginDisabled
            | DriverError::MysqlOldPasswordDisabled,
        ) => ErrorKind::AuthenticationFailed,
        error if tls::is_tls_error(error) => ErrorKind::Tls,
        _ => ErrorKind::Unreachable,
    };
    tls::explained(kind, error)
}

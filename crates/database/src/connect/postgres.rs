//! Opens a connection to PostgreSQL.

use super::server::{chain_text, drive_opening, odd_answer, parse_server_time};
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
use diesel_async::AsyncPgConnection;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How often the server looks whether the client of a running statement is still there.
const CLIENT_CHECK: &str = "2s";

/// The name under which the server lists the connections.
const APPLICATION_NAME: &str = "cellzero";

/// After how much silence the operating system asks whether the server is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

pub(super) fn open(
    server: &Server,
    options: &Options,
    deadline: Deadline,
    tally: &Arc<Tally>,
) -> OpenResult {
    let config = config(server);
    let set_up = set_up_statements(options);
    let (connection, clock) = match &server.tls {
        Tls::Disable => drive_opening(options, deadline, make(&config, NoTls, &set_up))?,
        Tls::VerifyFull { root } => {
            let trusted = tls::trusted(root.as_deref())?;
            let connector = MakeRustlsConnect::new(tls::client_config(trusted)?);
            drive_opening(options, deadline, make(&config, connector, &set_up))?
        }
    };
    let net = Net::new(connection, None, Backend::Postgres, deadline, Arc::clone(tally));
    Ok(Opened { any: AnyConnection::Postgres(net), clock, watch: Arc::default() })
}

fn config(server: &Server) -> Config {
    let mut config = Config::new();
    match &server.socket {
        Some(directory) => config.host_path(directory),
        None => config.host(&server.host),
    };
    config.port(server.port).dbname(&server.database).application_name(APPLICATION_NAME);
    config.keepalives(true).keepalives_idle(KEEPALIVE_IDLE);
    if let Some(user) = &server.user {
        config.user(user);
    }
    if let Some(password) = &server.password {
        config.password(password);
    }
    config.ssl_mode(match server.tls {
        Tls::Disable => SslMode::Disable,
        // Falling back to plain text would give the password away, so it is never allowed.
        Tls::VerifyFull { .. } => SslMode::Require,
    });
    config
}

/// All of it in one round trip. The last statement answers with the language and the time.
fn set_up_statements(options: &Options) -> String {
    let milliseconds = options.statement_timeout_max.as_millis().max(1);
    let access = if options.read_only { "READ ONLY" } else { "READ WRITE" };
    // The language of messages may be set by a superuser alone, and the check for a vanished
    // client exists since version 14 and only where the system can tell.
    format!(
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, {access}; \
         SET TIME ZONE 'UTC'; SET client_min_messages = warning; \
         SET statement_timeout = {milliseconds}; \
         SET idle_in_transaction_session_timeout = {milliseconds}; \
         SELECT set_config('lc_messages', 'C', false) \
           WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user); \
         SELECT set_config('client_connection_check_interval', '{CLIENT_CHECK}', false) \
           WHERE current_setting('server_version_num')::int >= 140000 \
           AND version() LIKE '%linux%'; \
         SELECT current_setting('lc_messages'), \
           to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    )
}

async fn make<T>(
    config: &Config,
    tls: T,
    set_up: &str,
) -> Result<(AsyncPgConnection, Clock), DatabaseError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: TlsStream + Unpin + Send + 'static,
    T::TlsConnect: TlsConnect<Socket>,
{
    let (client, mut connection) = config.connect(tls).await.map_err(failure)?;
    let asked = Instant::now();
    let answer = {
        let mut query = pin!(client.simple_query(set_up));
        // The client speaks through the connection, which nobody else polls yet.
        poll_fn(|cx| {
            if let Poll::Ready(answer) = query.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            loop {
                match connection.poll_message(cx) {
                    Poll::Ready(Some(Ok(_notice))) => {}
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    // The end of the connection wakes the query with its error.
                    Poll::Ready(None) => return query.as_mut().poll(cx),
                    Poll::Pending => return query.as_mut().poll(cx),
                }
            }
        })
        .await
        .map_err(failure)?
    };
    let clock = read_answer(&answer, asked)?;
    let connection = wrap(client, connection).await?;
    Ok((connection, clock))
}

async fn wrap<S>(
    client: Client,
    connection: tokio_postgres::Connection<Socket, S>,
) -> Result<AsyncPgConnection, DatabaseError>
where
    S: TlsStream + Unpin + Send + 'static,
{
    AsyncPgConnection::try_from_client_and_connection(client, connection)
        .await
        .map_err(|error| DatabaseError::because(ErrorKind::Unreachable, error))
}

fn read_answer(answer: &[SimpleQueryMessage], asked: Instant) -> Result<Clock, DatabaseError> {
    let row = answer.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or_else(|| odd_answer("its settings"))?;
    let language = row.get(0).unwrap_or_default();
    if !["C", "POSIX", "en"].iter().any(|start| language.starts_with(start)) {
        tracing::warn!(
            lc_messages = language,
            "PostgreSQL may answer in another language than English and this user may not change \
             that; deadlocks and time-outs might then not be recognised"
        );
    }
    let time = row.get(1).and_then(parse_server_time).ok_or_else(|| odd_answer("its time"))?;
    Ok(Clock::sample(time, asked))
}

/// What a failure to connect means, by the server's code where it gave one.
fn failure(error: tokio_postgres::Error) -> DatabaseError {
    let text = chain_text(&error);
    let kind = match error.code().map(|code| code.code()) {
        // 28: invalid authorization; 42501: no right to connect to this database.
        Some(code) if code.starts_with("28") || code == "42501" => ErrorKind::AuthenticationFailed,
        Some(_) => ErrorKind::Unreachable,
        // The driver's words for a TLS failure, a SCRAM failure and a password that is missing.
        None if tls::is_tls_error(&error) || text.contains("TLS") => ErrorKind::Tls,
        None if text.contains("authentication") || text.contains("password") => {
            ErrorKind::AuthenticationFailed
        }
        None => ErrorKind::Unreachable,
    };
    tls::explained(kind, error)
}

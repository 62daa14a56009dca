//! What a URL is read as, and that no form of it shows the password.

use super::*;
use rstest::rstest;

fn server(text: &str) -> Server {
    DatabaseUrl::parse(text).unwrap().as_server().unwrap().clone()
}

#[rstest]
#[case("sqlite://dir/file.sqlite", "dir/file.sqlite")]
#[case("sqlite:///abs/file.sqlite", "/abs/file.sqlite")]
#[case("sqlite:////abs/file.sqlite", "/abs/file.sqlite")]
#[case("sqlite+pysqlite:///abs/file", "/abs/file")]
#[case("sqlite://a%20b/c%25.db?timeout=3", "a b/c%.db")]
#[case("plain/pa%20th.db", "plain/pa%20th.db")]
#[case("  state/api.sqlite\n", "state/api.sqlite")]
#[case("odd:name", "odd:name")]
fn a_path_in_any_form_is_sqlite(#[case] text: &str, #[case] path: &str) {
    let url = DatabaseUrl::parse(text).unwrap();
    assert_eq!(url.backend(), Backend::Sqlite);
    assert_eq!(url.path(), Some(Path::new(path)));
    assert_eq!(url.database_name(), None);
}

#[rstest]
#[case("postgres://u:p@h/d", Backend::Postgres, 5432)]
#[case("postgresql://u:p@h:6000/d", Backend::Postgres, 6000)]
#[case("postgresql+psycopg2://u:p@h/d?client_encoding=utf8", Backend::Postgres, 5432)]
#[case("mysql://u:p@h/d", Backend::Mysql, 3306)]
#[case("mariadb://u:p@h:3307/d", Backend::Mysql, 3307)]
#[case("mysql+pymysql://u:p@h/d?charset=utf8", Backend::Mysql, 3306)]
fn a_server_url_in_any_form_is_read(
    #[case] text: &str,
    #[case] backend: Backend,
    #[case] port: u16,
) {
    let server = server(text);
    assert_eq!(server.backend, backend);
    assert_eq!((server.host.as_str(), server.port), ("h", port));
    assert_eq!(server.user.as_deref(), Some("u"));
    assert_eq!(server.password.as_deref(), Some("p"));
    assert_eq!(server.database, "d");
    assert_eq!(server.tls, Tls::Disable);
}

#[test]
fn encoded_parts_are_decoded() {
    let server = server("postgres://a%40b:p%2F%3A%40%23w@[::1]:77/na%20me");
    assert_eq!(server.user.as_deref(), Some("a@b"));
    assert_eq!(server.password.as_deref(), Some("p/:@#w"));
    assert_eq!((server.host.as_str(), server.port), ("::1", 77));
    assert_eq!(server.database, "na me");
}

#[test]
fn sockets_are_read_for_both_servers() {
    let postgres = server("postgres:///nova?host=/run/postgresql&user=me");
    assert_eq!(postgres.socket.as_deref(), Some("/run/postgresql"));
    assert_eq!(postgres.user.as_deref(), Some("me"));
    let mysql = server("mysql://root@localhost/nova?unix_socket=/run/mysqld.sock");
    assert_eq!(mysql.socket.as_deref(), Some("/run/mysqld.sock"));
}

#[rstest]
#[case("sslmode=disable", Tls::Disable)]
#[case("sslmode=require", Tls::VerifyFull { root: None })]
#[case("sslmode=verify-full", Tls::VerifyFull { root: None })]
#[case("sslmode=VERIFY_IDENTITY&ssl_ca=/c", Tls::VerifyFull { root: Some("/c".into()) })]
#[case("sslrootcert=/c.pem", Tls::VerifyFull { root: Some("/c.pem".into()) })]
fn encryption_is_verified_or_off(#[case] query: &str, #[case] tls: Tls) {
    assert_eq!(server(&format!("postgres://u:p@h/d?{query}")).tls, tls);
    assert_eq!(server(&format!("mysql://u:p@h/d?{query}")).tls, tls);
}

#[rstest]
#[case("postgres://u:hunter2@h/d?sslmode=prefer", "fall back")]
#[case("postgres://u:hunter2@h/d?sslmode=allow", "fall back")]
#[case("postgres://u:hunter2@h/d?sslmode=verify-ca", "another host")]
#[case("postgres://u:hunter2@h/d?sslmode=maybe", "unknown")]
#[case("postgres://u:hunter2@h/d?sslmode=disable&sslrootcert=/c", "leave one")]
#[case("postgres://u:hunter2@h:99999/d", "port")]
#[case("postgres://u:hunter2#x@h/d", "percent-encode")]
#[case("postgres://u:hunter2@h/d#hunter2", "%23")]
#[case("postgres://u:hunter2@a,b/d", "several hosts")]
#[case("postgres://u:hunter2@h/d/e", "more than one part")]
#[case("postgres://u:hunter2@/d", "host")]
#[case("mysql:///d?password=hunter2", "no host")]
#[case("mysql://u:hunter2@h/%ff", "UTF-8")]
#[case("sqlite://:memory:", "memory")]
#[case("sqlite://", "no file")]
#[case("", "no file")]
#[case("dir/", "no file")]
fn a_bad_url_says_why_and_hides_the_password(#[case] text: &str, #[case] says: &str) {
    let error = DatabaseUrl::parse(text).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(matches!(error, UrlError::Unparsable { .. }), "{shown}");
    assert!(shown.contains(says), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[rstest]
#[case("oracle://u:hunter2@h/d", "oracle")]
#[case("none:///", "none")]
#[case("mssql+pyodbc://u:hunter2@h/d", "mssql+pyodbc")]
fn another_scheme_is_refused_by_name(#[case] text: &str, #[case] expected: &str) {
    let error = DatabaseUrl::parse(text).unwrap_err();
    assert_eq!(error, UrlError::UnsupportedScheme { scheme: expected.to_owned() });
    assert!(error.to_string().contains("postgres://"));
}

#[rstest]
#[case("postgres://u:hunter2@h")]
#[case("mysql://u:hunter2@h/")]
#[case("mysql://u:hunter2@h?charset=utf8")]
fn a_server_without_a_database_is_refused(#[case] text: &str) {
    let error = DatabaseUrl::parse(text).unwrap_err();
    assert!(matches!(error, UrlError::MissingDatabase { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[rstest]
#[case("postgres://u:hunter2@h:5/d", "postgres://u:***@h:5/d")]
#[case("mysql+pymysql://u:hunter2@h/d?charset=utf8", "mysql+pymysql://u:***@h/d?charset=utf8")]
#[case("postgres://u@h/d?password=hunter2&a=b", "postgres://u@h/d?password=***&a=b")]
#[case("postgres://u@h/d?p%61ssword=hunter2", "postgres://u@h/d?p%61ssword=***")]
#[case("postgres://u@h/d", "postgres://u@h/d")]
fn a_shown_url_hides_the_password(#[case] text: &str, #[case] shown: &str) {
    let url = DatabaseUrl::parse(text).unwrap();
    assert_eq!(url.to_string(), shown);
    assert_eq!(format!("{url:?}"), format!("DatabaseUrl({shown:?})"));
    assert_eq!(url.reveal(), text);
}

#[rstest]
#[case("mysql://u:hunter2/x@h/d")]
#[case("mysql://u:hun:hunter2@h@x/d")]
#[case("mysql://u:hunter2")]
#[case("mysql://u:hunter2?password=hunter2")]
#[case("mysql://u@h?x=1&password=hunter2")]
#[case("mysql://u:hunter2@h?password=hunter2")]
fn a_text_that_is_no_url_hides_what_may_be_a_password(#[case] text: &str) {
    let shown = mask_raw(text);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.starts_with("mysql://u"), "{shown}");
}

#[rstest]
#[case("postgres://u:p@h/nova", "nova_cell0", "postgres://u:p@h/nova_cell0")]
#[case("mysql+x://u:p@h:1/a?b=/c", "d e", "mysql+x://u:p@h:1/d%20e?b=/c")]
#[case("state/api.sqlite", "cell1", "state/cell1.sqlite")]
#[case("sqlite:///s/api", "api_cell0", "/s/api_cell0")]
fn another_database_at_the_same_place(
    #[case] text: &str,
    #[case] name: &str,
    #[case] expected: &str,
) {
    let other = DatabaseUrl::parse(text).unwrap().with_database(name);
    assert_eq!(other.reveal(), expected);
    assert_eq!(other, DatabaseUrl::parse(expected).unwrap());
}

#[rstest]
#[case("postgres://a:b@H/d", "postgresql://c@h:5432/d?sslmode=require", true)]
#[case("postgres://a:b@h/d", "postgres://a:b@h/e", false)]
#[case("postgres://a:b@h/d", "mysql://a:b@h:5432/d", false)]
#[case("mysql://a@h/d", "mysql://a@h:3307/d", false)]
#[case("a/b", "./a/../a/b", true)]
#[case("no-such-file", "sqlite://./no-such-file", true)]
#[case("no-such-file", "no-other-file", false)]
fn one_database_under_two_urls_is_seen(
    #[case] ours: &str,
    #[case] theirs: &str,
    #[case] same: bool,
) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("a")).unwrap();
    std::fs::write(directory.path().join("a/b"), "").unwrap();
    let parse = |text: &str| match DatabaseUrl::parse(text).unwrap() {
        url if url.backend() == Backend::Sqlite => {
            DatabaseUrl::sqlite(directory.path().join(url.path().unwrap())).unwrap()
        }
        url => url,
    };
    assert_eq!(parse(ours).same_database(&parse(theirs)), same);
}

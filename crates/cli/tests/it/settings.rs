//! Settings: of a file, of the environment, of flags.

use crate::support::Cellzero;

/// A run that names the API database that it was set up with, by failing to open it.
fn database_of(cellzero: &Cellzero, args: &[&str]) -> String {
    let ran = cellzero.run(&[&["instance", "list"][..], args].concat()).ends(69);
    let start = ran.stderr.find("the API database ").expect(&ran.stderr);
    let end = ran.stderr[start..].find(" cannot be opened").expect(&ran.stderr);
    ran.stderr[start + 17..start + end].to_owned()
}

#[test]
fn flags_stand_above_the_environment_and_this_above_the_file() {
    let cellzero = Cellzero::new();
    cellzero.write(".config/cellzero/cellzero.toml", "api_database = \"of-file.db\"\n");
    let of_file = cellzero.path().join(".config/cellzero/of-file.db");
    assert_eq!(database_of(&cellzero, &[]), of_file.display().to_string());
    let cellzero = cellzero.set("CELLZERO_API_DATABASE", "of-environment.db");
    assert_eq!(database_of(&cellzero, &[]), "of-environment.db");
    assert_eq!(database_of(&cellzero, &["--api-database", "of-flag.db"]), "of-flag.db");
}

#[test]
fn a_file_is_found_in_each_place_and_the_plane_for_development_comes_last() {
    let cellzero = Cellzero::new();
    cellzero.write("cellzero-dev/cellzero.toml", "api_database = \"dev.db\"\n");
    assert_eq!(database_of(&cellzero, &[]), "cellzero-dev/dev.db");
    cellzero.write(".config/cellzero/cellzero.toml", "api_database = \"home.db\"\n");
    assert!(database_of(&cellzero, &[]).ends_with(".config/cellzero/home.db"));
    cellzero.write("xdg/cellzero/cellzero.toml", "api_database = \"/xdg.db\"\n");
    let xdg = cellzero.path().join("xdg");
    let cellzero = cellzero.set("XDG_CONFIG_HOME", xdg.to_str().expect("UTF-8"));
    assert_eq!(database_of(&cellzero, &[]), "/xdg.db");
    cellzero.write("named.toml", "api_database = \"/named.db\"\n");
    assert_eq!(database_of(&cellzero, &["--config", "named.toml"]), "/named.db");
}

#[test]
fn an_unknown_key_is_refused_with_the_known_ones() {
    let cellzero = Cellzero::new();
    cellzero.write("c.toml", "api_databse = \"postgres://u:s3cret@h/d\"\n");
    let ran = cellzero.run(&["--config", "c.toml", "instance", "list"]).ends(78);
    for said in ["c.toml", "\"api_databse\"", "api_database, base_database"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_shows_no_value() {
    let cellzero = Cellzero::new();
    for (text, said) in [
        ("user = \"x\"\napi_database = \"postgres://u:s3cret@h/d\n", "line 2 of the configuration"),
        (
            "timeout = \"postgres://u:s3cret@h/d\"",
            "timeout of the configuration file c.toml has to",
        ),
        ("api_database = 5", "has to be text in quotes"),
        ("admin = \"yes\"", "has to be true or false"),
    ] {
        cellzero.write("c.toml", text);
        let ran = cellzero.run(&["--config", "c.toml", "instance", "list"]).ends(78);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    let ran = cellzero.run(&["--config", "missing.toml", "instance", "list"]).ends(78);
    assert!(ran.stderr.contains("missing.toml cannot be read"), "{}", ran.stderr);
}

#[test]
fn without_an_api_database_it_is_said_where_one_can_be_set() {
    let ran = Cellzero::new().run(&["instance", "list"]).ends(78);
    for said in ["--api-database", "CELLZERO_API_DATABASE", ".config/cellzero/cellzero.toml"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[test]
fn a_typing_error_in_a_path_makes_no_plane() {
    let cellzero = Cellzero::new().set("CELLZERO_API_DATABASE", "nothing-here.db");
    let ran = cellzero.run(&["instance", "list", "--json"]).ends(69);
    assert!(!cellzero.path().join("nothing-here.db").exists());
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("JSON");
    crate::support::check_schema("error", &error);
    assert_eq!(error["error"]["exit_code"], 69);
}

//! The body as a whole and the keys of `server`; networks and block devices have their own file.

mod devices;

use std::fs;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::boot_request::METADATA_ITEMS_MAX;

const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
const OTHER: &str = "11111111-2222-3333-4444-555555555555";

fn version(text: &str) -> Microversion {
    text.parse().unwrap()
}

fn uuid(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap()
}

/// A good body with these keys of `server` put in; `"(absent)"` takes one out.
fn body(changes: &Value) -> Value {
    let mut server = json!({"name": "web", "flavorRef": "1", "imageRef": IMAGE});
    server["networks"] = json!([{"uuid": OTHER}]);
    let server_keys = server.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if *value == json!("(absent)") {
            server_keys.remove(key);
        } else {
            server_keys.insert(key.clone(), value.clone());
        }
    }
    json!({ "server": server })
}

fn request(changes: Value, microversion: &str) -> BootRequest {
    parse(&body(&changes), version(microversion)).unwrap().request
}

fn refused_field(changes: Value, microversion: &str) -> String {
    parse(&body(&changes), version(microversion)).unwrap_err().field
}

#[rstest]
#[case::first("2.1", Microversion::MIN)]
#[case::last("2.100", Microversion::MAX)]
#[case::later_than_known("3.0", Microversion { major: 3, minor: 0 })]
fn a_microversion_reads_as_it_is_written(#[case] text: &str, #[case] expected: Microversion) {
    assert_eq!(version(text), expected);
    assert_eq!(expected.to_string(), text);
}

#[rstest]
fn a_malformed_microversion_is_refused(
    #[values("", "2", "2.", ".1", "2.01", "02.1", "+2.1", "2.-1", "2.1.1", "latest", "2.99999")]
    text: &str,
) {
    assert_eq!(text.parse::<Microversion>().unwrap_err().field, "microversion");
}

#[test]
fn microversions_are_ordered_by_number() {
    assert!(version("2.9") < version("2.10"));
    assert!(version("2.100") < version("3.0"));
}

#[test]
fn a_small_body_gets_the_defaults() {
    let body = parse(&body(&json!({"networks": "(absent)"})), version("2.1")).unwrap();
    let expected = BootRequest::builder("web", "1", IMAGE).build().unwrap();
    assert_eq!(body.request, expected);
    assert!(!body.return_reservation_id);
}

#[rstest]
#[case::no_object(json!([]), "body")]
#[case::no_server(json!({}), "server")]
#[case::server_no_object(json!({"server": "web"}), "server")]
#[case::unknown_key_beside_it(json!({"server": {}, "extra": 1}), "extra")]
#[case::no_name(json!({"server": {"flavorRef": "1"}}), "name")]
fn a_body_of_the_wrong_shape_is_refused(#[case] body: Value, #[case] field: &str) {
    assert_eq!(parse(&body, Microversion::MIN).unwrap_err().field, field);
}

#[rstest]
#[case::name_no_string(json!({"name": 12345}), "name")]
#[case::name_empty(json!({"name": ""}), "name")]
#[case::name_null(json!({"name": null}), "name")]
#[case::name_blank_before(json!({"name": " web"}), "name")]
#[case::name_blank_behind(json!({"name": "web "}), "name")]
#[case::name_long(json!({"name": "n".repeat(256)}), "name")]
#[case::name_long_with_number(json!({"name": "n".repeat(254), "max_count": 10}), "name")]
#[case::name_control(json!({"name": "we\nb"}), "name")]
#[case::image_number(json!({"imageRef": -1}), "imageRef")]
#[case::image_null(json!({"imageRef": null}), "imageRef")]
#[case::image_no_uuid(json!({"imageRef": "cirros"}), "imageRef")]
#[case::image_url_without_uuid(json!({"imageRef": "http://glance/images/cirros"}), "imageRef")]
#[case::image_empty(json!({"imageRef": ""}), "imageRef")]
#[case::image_absent(json!({"imageRef": "(absent)"}), "imageRef")]
#[case::flavor_absent(json!({"flavorRef": "(absent)"}), "flavorRef")]
#[case::flavor_empty(json!({"flavorRef": ""}), "flavorRef")]
#[case::flavor_url_without_id(json!({"flavorRef": "http://nova/flavors/"}), "flavorRef")]
#[case::flavor_float(json!({"flavorRef": 1.5}), "flavorRef")]
#[case::flavor_boolean(json!({"flavorRef": true}), "flavorRef")]
#[case::flavor_null(json!({"flavorRef": null}), "flavorRef")]
#[case::unknown_key(json!({"nmae": "web"}), "nmae")]
#[case::client_token_is_no_key(json!({"client_token": "t"}), "client_token")]
#[case::key_name_empty(json!({"key_name": ""}), "key_name")]
#[case::key_name_null(json!({"key_name": null}), "key_name")]
#[case::disk_config(json!({"OS-DCF:diskConfig": "auto"}), "OS-DCF:diskConfig")]
#[case::config_drive_word(json!({"config_drive": "maybe"}), "config_drive")]
#[case::config_drive_number(json!({"config_drive": 1}), "config_drive")]
#[case::password(json!({"adminPass": 1}), "adminPass")]
#[case::reservation(json!({"return_reservation_id": "maybe"}), "return_reservation_id")]
#[case::ipv4_too_long(json!({"accessIPv4": "1.1.1.1.1.1"}), "accessIPv4")]
#[case::ipv4_of_the_other_family(json!({"accessIPv4": "::1"}), "accessIPv4")]
#[case::ipv6_word(json!({"accessIPv6": "notvalid"}), "accessIPv6")]
#[case::ipv6_number(json!({"accessIPv6": 6}), "accessIPv6")]
#[case::zone_empty(json!({"availability_zone": ""}), "availability_zone")]
#[case::zone_of_four_parts(json!({"availability_zone": "a:b:c:d"}), "availability_zone")]
#[case::metadata_no_object(json!({"metadata": []}), "metadata")]
#[case::metadata_number(json!({"metadata": {"a": 1}}), "metadata")]
#[case::metadata_long_value(json!({"metadata": {"a": "b".repeat(256)}}), "metadata")]
#[case::metadata_long_key(json!({"metadata": {"a".repeat(256): "b"}}), "metadata")]
#[case::metadata_empty_key(json!({"metadata": {"": "b"}}), "metadata")]
#[case::metadata_odd_key(json!({"metadata": {"a/b": "b"}}), "metadata")]
#[case::groups_no_list(json!({"security_groups": "default"}), "security_groups")]
#[case::group_no_object(json!({"security_groups": ["web"]}), "security_groups[0]")]
#[case::group_empty(json!({"security_groups": [{}, {"name": ""}]}), "security_groups[1].name")]
#[case::group_extra(json!({"security_groups": [{"id": "a"}]}), "security_groups[0].id")]
#[case::user_data_null(json!({"user_data": null}), "user_data")]
#[case::user_data_padding(json!({"user_data": "YWJj="}), "user_data")]
#[case::user_data_alphabet(json!({"user_data": "YW-j"}), "user_data")]
#[case::user_data_long(json!({"user_data": "A".repeat(65_536)}), "user_data")]
fn a_bad_value_is_refused_with_its_key(#[case] changes: Value, #[case] field: &str) {
    assert_eq!(refused_field(changes, "2.1"), field);
}

#[rstest]
#[case::description("description", json!("d"), 19, None)]
#[case::tags("tags", json!(["prod"]), 52, None)]
#[case::certificates("trusted_image_certificates", json!(null), 63, None)]
#[case::host("host", json!("h"), 74, None)]
#[case::hypervisor("hypervisor_hostname", json!("h"), 74, None)]
#[case::hostname("hostname", json!("web"), 90, None)]
#[case::personality("personality", json!([]), 1, Some(56))]
fn a_key_is_taken_in_its_microversions_only(
    #[case] key: &str,
    #[case] value: Value,
    #[case] first: u16,
    #[case] last: Option<u16>,
) {
    let outcome = |minor| parse(&body(&json!({key: value})), Microversion { major: 2, minor });
    outcome(first).unwrap();
    outcome(last.unwrap_or(100)).unwrap();
    if first > 1 {
        let error = outcome(first - 1).unwrap_err();
        assert_eq!(error.field, key);
        assert!(error.expected.contains(&format!("from 2.{first}")), "{error}");
    }
    if let Some(last) = last {
        assert_eq!(outcome(last + 1).unwrap_err().field, key);
    }
}

#[rstest]
#[case::personality(json!({"personality": [{"path": "/a", "contents": "YQ=="}]}), "2.1")]
#[case::certificates(json!({"trusted_image_certificates": ["c"]}), "2.63")]
fn what_cannot_be_honoured_is_refused_and_not_dropped(
    #[case] changes: Value,
    #[case] microversion: &str,
) {
    let error = parse(&body(&changes), version(microversion)).unwrap_err();
    assert!(error.expected.contains("not supported"), "{error}");
}

#[rstest]
#[case::text(json!("m1.small"), "m1.small")]
#[case::number(json!(1), "1")]
#[case::below_zero(json!(-1), "-1")]
#[case::url(json!("http://nova/v2.1/flavors/42?a=b/c"), "42")]
fn a_flavor_is_known_by_its_id(#[case] reference: Value, #[case] id: &str) {
    assert_eq!(request(json!({"flavorRef": reference}), "2.1").flavor, id);
}

#[test]
fn an_image_may_be_given_by_its_url() {
    let url = format!("http://glance/v2/images/{IMAGE}");
    assert_eq!(request(json!({"imageRef": url}), "2.1").image, Some(uuid(IMAGE)));
}

#[rstest]
#[case::neither(json!({}), 1, 1)]
#[case::min_only(json!({"min_count": 3}), 3, 3)]
#[case::max_only(json!({"max_count": 3}), 1, 3)]
#[case::both(json!({"min_count": 2, "max_count": 3}), 2, 3)]
#[case::digits(json!({"min_count": "2", "max_count": "03"}), 2, 3)]
#[case::most(json!({"max_count": 1000}), 1, 1000)]
fn counts_have_the_defaults_of_nova(#[case] counts: Value, #[case] min: u32, #[case] max: u32) {
    let request = request(counts, "2.1");
    assert_eq!((request.min_count, request.max_count), (min, max));
}

#[rstest]
#[case::zero(json!({"min_count": 0}), "min_count")]
#[case::max_zero(json!({"max_count": 0}), "max_count")]
#[case::zero_digits(json!({"max_count": "0"}), "max_count")]
#[case::below_zero(json!({"min_count": -1}), "min_count")]
#[case::fraction(json!({"max_count": 2.5}), "max_count")]
#[case::whole_float(json!({"min_count": 2.0}), "min_count")]
#[case::empty(json!({"min_count": ""}), "min_count")]
#[case::word(json!({"min_count": "two"}), "min_count")]
#[case::signed_digits(json!({"min_count": "+2"}), "min_count")]
#[case::boolean(json!({"min_count": true}), "min_count")]
#[case::null(json!({"max_count": null}), "max_count")]
#[case::max_below_min(json!({"min_count": 3, "max_count": 2}), "max_count")]
#[case::too_many(json!({"min_count": 1001}), "min_count")]
#[case::far_too_many(json!({"max_count": "99999999999999999999"}), "max_count")]
fn a_count_that_is_none_is_refused(#[case] counts: Value, #[case] field: &str) {
    assert_eq!(refused_field(counts, "2.1"), field);
}

#[rstest]
#[case::zone(json!({"availability_zone": "z"}), Some("z"), None)]
#[case::zone_and_host(json!({"availability_zone": "z:h"}), Some("z"), Some("h"))]
#[case::zone_host_and_node(json!({"availability_zone": "z:h:n"}), Some("z"), Some("h"))]
#[case::zone_and_node(json!({"availability_zone": "z::n"}), Some("z"), Some("n"))]
#[case::host_without_zone(json!({"availability_zone": ":h"}), None, Some("h"))]
#[case::zone_with_colon(json!({"availability_zone": "z:"}), Some("z"), None)]
#[case::host(json!({"host": "h"}), None, Some("h"))]
#[case::node(json!({"hypervisor_hostname": "n.example"}), None, Some("n.example"))]
#[case::host_and_node(json!({"host": "h", "hypervisor_hostname": "n"}), None, Some("h"))]
#[case::zone_beside_host(json!({"availability_zone": "z", "host": "h"}), Some("z"), Some("h"))]
fn a_host_is_forced_by_zone_or_by_name(
    #[case] changes: Value,
    #[case] zone: Option<&str>,
    #[case] host: Option<&str>,
) {
    let request = request(changes, "2.74");
    assert_eq!(request.availability_zone.as_deref(), zone);
    assert_eq!(request.force_host.as_deref(), host);
}

#[rstest]
#[case::host(json!({"availability_zone": "z:h", "host": "h"}), "host")]
#[case::node(
    json!({"availability_zone": "z::n", "hypervisor_hostname": "n"}), "hypervisor_hostname"
)]
#[case::no_name(json!({"host": "a b"}), "host")]
#[case::empty(json!({"host": ""}), "host")]
fn a_host_is_not_forced_twice_or_by_no_name(#[case] changes: Value, #[case] field: &str) {
    assert_eq!(refused_field(changes, "2.74"), field);
}

#[rstest]
#[case::label("2.90", "web-1", true)]
#[case::label_of_63("2.90", &"w".repeat(63), true)]
#[case::label_of_64("2.90", &"w".repeat(64), false)]
#[case::one_letter("2.90", "w", false)]
#[case::ends_with_hyphen("2.90", "web-", false)]
#[case::starts_with_hyphen("2.90", "-web", false)]
#[case::underscore("2.90", "we_b", false)]
#[case::domain_too_early("2.93", "web.example.com", false)]
#[case::domain("2.94", "web.example.com", true)]
#[case::domain_of_255("2.94", &"w".repeat(255), true)]
#[case::domain_of_256("2.94", &"w".repeat(256), false)]
#[case::domain_with_blank("2.94", "web example", false)]
fn host_names_grew_with_the_microversions(
    #[case] microversion: &str,
    #[case] hostname: &str,
    #[case] is_taken: bool,
) {
    match parse(&body(&json!({"hostname": hostname})), version(microversion)) {
        Ok(body) => assert!(is_taken && body.request.hostname.as_deref() == Some(hostname)),
        Err(error) => assert!(!is_taken && error.field == "hostname", "{error}"),
    }
}

#[test]
fn several_servers_cannot_share_a_host_name() {
    assert_eq!(refused_field(json!({"hostname": "web", "max_count": 2}), "2.90"), "hostname");
}

#[rstest]
#[case::empty(json!([""]), "tags[0]")]
#[case::slash(json!(["a", "a/b"]), "tags[1]")]
#[case::long(json!(["t".repeat(61)]), "tags[0]")]
#[case::number(json!([1]), "tags[0]")]
#[case::no_list(json!("prod"), "tags")]
#[case::twice(json!(["a", "a"]), "tags")]
#[case::too_many((0..51).map(|n| n.to_string()).collect(), "tags")]
fn bad_tags_are_refused(#[case] tags: Value, #[case] field: &str) {
    assert_eq!(refused_field(json!({"tags": tags}), "2.52"), field);
}

#[rstest]
#[case::text(json!("a web server"), Some("a web server"))]
#[case::empty(json!(""), Some(""))]
#[case::null(json!(null), None)]
fn a_description_may_be_null(#[case] value: Value, #[case] expected: Option<&str>) {
    assert_eq!(request(json!({"description": value}), "2.19").description.as_deref(), expected);
}

#[rstest]
fn a_bad_description_is_refused(
    #[values(json!(1), json!("d".repeat(256)), json!("a\nb"))] value: Value,
) {
    assert_eq!(refused_field(json!({"description": value}), "2.19"), "description");
}

#[test]
fn more_metadata_than_is_kept_is_refused() {
    let items = |count: usize| -> Value { (0..count).map(|n| (n.to_string(), "v")).collect() };
    let most = request(json!({"metadata": items(METADATA_ITEMS_MAX)}), "2.1");
    assert_eq!(most.metadata.len(), METADATA_ITEMS_MAX);
    let more = json!({"metadata": items(METADATA_ITEMS_MAX + 1)});
    assert_eq!(refused_field(more, "2.1"), "metadata");
}

#[test]
fn metadata_keys_may_be_as_long_as_their_values() {
    let key = "k".repeat(255);
    let request = request(json!({"metadata": {key.clone(): "v".repeat(255)}}), "2.1");
    assert_eq!(request.metadata[&key].len(), 255);
}

#[rstest]
#[case::absent(json!("(absent)"), &["default"])]
#[case::none_named(json!([{}]), &["default"])]
#[case::twice(json!([{"name": "web"}, {"name": "db"}, {"name": "web"}]), &["web", "db"])]
fn security_groups_are_taken_by_name(#[case] groups: Value, #[case] expected: &[&str]) {
    assert_eq!(request(json!({"security_groups": groups}), "2.1").security_groups, expected);
}

#[rstest]
fn user_data_is_kept_as_it_came(#[values("", "YQ==", "YWI=", "YWJj", "YWJj\nYQ==\n")] data: &str) {
    assert_eq!(request(json!({"user_data": data}), "2.1").user_data.as_deref(), Some(data));
}

#[rstest]
#[case(json!(true), true)]
#[case(json!("True"), true)]
#[case(json!("1"), true)]
#[case(json!("on"), true)]
#[case(json!(false), false)]
#[case(json!("no"), false)]
#[case(json!("0"), false)]
fn booleans_may_be_words(#[case] value: Value, #[case] expected: bool) {
    let changes = json!({"config_drive": value, "return_reservation_id": value});
    let body = parse(&body(&changes), version("2.1")).unwrap();
    assert_eq!(body.request.config_drive, expected);
    assert_eq!(body.return_reservation_id, expected);
}

#[test]
fn addresses_disk_config_password_and_key_pair_are_kept() {
    let request = request(
        json!({
            "accessIPv4": "1.1.1.1", "accessIPv6": "0000:0000:0000:0000:0000:babe:220.12.22.2",
            "OS-DCF:diskConfig": "MANUAL", "adminPass": "p".repeat(300), "key_name": "mine",
        }),
        "2.1",
    );
    assert_eq!(request.access_ip_v4, Some("1.1.1.1".parse().unwrap()));
    assert_eq!(request.access_ip_v6, Some("::babe:dc0c:1602".parse().unwrap()));
    assert!(!request.auto_disk_config);
    assert_eq!(request.admin_password, Some("p".repeat(300)));
    assert_eq!(request.key_name.as_deref(), Some("mine"));
}

#[rstest]
fn an_access_address_may_be_cleared(
    #[values("accessIPv4", "accessIPv6")] key: &str,
    #[values(json!(null), json!(""))] value: Value,
) {
    let request = request(json!({key: value}), "2.1");
    assert_eq!((request.access_ip_v4, request.access_ip_v6), (None, None));
}

#[rstest]
#[case(json!({"adminPass": ["s3cret"]}))]
#[case(json!({"user_data": "s3cret"}))]
fn a_refusal_does_not_tell_secrets(#[case] changes: Value) {
    let error = parse(&body(&changes), version("2.1")).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
}

fn hinted(key: &str, hints: Value) -> Result<CreateBody, InvalidField> {
    let mut body = body(&json!({}));
    body[key] = hints;
    parse(&body, version("2.1"))
}

#[rstest]
fn hints_are_read_under_both_names(
    #[values("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints")] key: &str,
    #[values(json!(OTHER), json!([OTHER]))] group: Value,
) {
    let hints = json!({
        "group": group, "same_host": OTHER, "different_host": [IMAGE, OTHER],
        "query": ["=", "$free_ram_mb", 1024], "rack": 7,
    });
    let request = hinted(key, hints).unwrap().request;
    assert_eq!(request.server_group, Some(uuid(OTHER)));
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let expected: BTreeMap<String, Vec<String>> = BTreeMap::from([
        ("different_host".to_owned(), texts(&[IMAGE, OTHER])),
        ("query".to_owned(), texts(&["=", "$free_ram_mb", "1024"])),
        ("rack".to_owned(), texts(&["7"])),
        ("same_host".to_owned(), texts(&[OTHER])),
    ]);
    assert_eq!(request.scheduler_hints, expected);
}

#[rstest]
#[case::no_object(json!("group"), "os:scheduler_hints")]
#[case::group(json!({"group": "web"}), "os:scheduler_hints.group")]
#[case::two_groups(json!({"group": [OTHER, IMAGE]}), "os:scheduler_hints.group")]
#[case::host(json!({"different_host": ["web"]}), "os:scheduler_hints.different_host")]
#[case::address(json!({"build_near_host_ip": "near"}), "os:scheduler_hints.build_near_host_ip")]
fn bad_hints_are_refused(#[case] hints: Value, #[case] field: &str) {
    assert_eq!(hinted("os:scheduler_hints", hints).unwrap_err().field, field);
}

#[test]
fn hints_that_contradict_each_other_are_refused() {
    let mut body = body(&json!({}));
    body["os:scheduler_hints"] = json!({"group": OTHER});
    body["OS-SCH-HNT:scheduler_hints"] = json!({"group": OTHER});
    parse(&body, version("2.1")).unwrap();
    body["OS-SCH-HNT:scheduler_hints"] = json!({"group": IMAGE});
    let error = parse(&body, version("2.1")).unwrap_err();
    assert_eq!(error.field, "OS-SCH-HNT:scheduler_hints");
}

/// The table says what a plane does; what only the plane knows, its flavors and key pairs, is
/// what the parser lets pass.
#[test]
fn the_bodies_that_clients_sent_have_the_outcomes_of_the_table() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
    let bodies = fs::read_to_string(data.join("create-server-bodies.jsonl")).unwrap();
    let table = fs::read_to_string(data.join("expected.tsv")).unwrap();
    assert_eq!((bodies.lines().count(), table.lines().count()), (114, 114));
    for (number, (line, row)) in (1..).zip(bodies.lines().zip(table.lines())) {
        let sent: Value = serde_json::from_str(line).unwrap();
        let microversion = version(sent["microversion"].as_str().unwrap());
        let columns: Vec<&str> = row.split('\t').collect();
        let [row_number, outcome, instances, _note] = columns[..] else {
            panic!("line {number} of the table has {} columns", columns.len())
        };
        assert_eq!(row_number, number.to_string());
        let found = parse(&sent["body"], microversion);
        match (outcome, found) {
            ("cell" | "cell0", Ok(body)) => {
                assert_eq!(body.request.max_count.to_string(), instances, "line {number}");
                let is_huge = body.request.flavor == "huge";
                assert_eq!(is_huge, outcome == "cell0", "line {number}");
            }
            ("refused:flavorRef", Ok(body)) => {
                assert!(!["1", "2", "huge"].contains(&&*body.request.flavor), "line {number}");
            }
            ("refused:key_name", Ok(body)) => {
                assert!(body.request.key_name.is_some(), "line {number}");
            }
            (outcome, Err(error)) => {
                assert_eq!(outcome, format!("refused:{}", error.field), "line {number}: {error}");
            }
            (outcome, Ok(_)) => panic!("line {number} is taken, and should be {outcome}"),
        }
    }
}

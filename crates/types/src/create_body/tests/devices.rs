//! Networks and block devices of the body.

use rstest::rstest;
use serde_json::{Value, json};

use super::{IMAGE, OTHER, body, refused_field, request, uuid, version};
use crate::boot_request::{BlockDevice, Networks, RequestedNetwork};
use crate::create_body::parse;

#[rstest]
#[case::auto(json!("auto"), "2.37", Networks::Auto)]
#[case::none(json!("none"), "2.37", Networks::None)]
#[case::absent_before_it_was_required(json!("(absent)"), "2.36", Networks::Auto)]
#[case::empty_list(json!([]), "2.37", Networks::Auto)]
fn networks_may_be_left_to_the_plane(
    #[case] networks: Value,
    #[case] microversion: &str,
    #[case] expected: Networks,
) {
    assert_eq!(request(json!({"networks": networks}), microversion).networks, expected);
}

#[test]
fn networks_keep_their_order_and_a_port_outweighs_its_network() {
    let networks = json!([
        {"uuid": IMAGE, "port": OTHER, "tag": "nic1"},
        {"uuid": OTHER, "port": null, "fixed_ip": "10.0.0.4"},
    ]);
    let port = RequestedNetwork {
        port_id: Some(uuid(OTHER)),
        tag: Some("nic1".to_owned()),
        ..RequestedNetwork::default()
    };
    let network = RequestedNetwork {
        network_id: Some(uuid(OTHER)),
        fixed_ip: Some("10.0.0.4".to_owned()),
        ..RequestedNetwork::default()
    };
    let request = request(json!({"networks": networks}), "2.42");
    assert_eq!(request.networks, Networks::Requested(vec![port, network]));
}

#[rstest]
#[case::required(json!("(absent)"), "2.37", "networks")]
#[case::word_too_early(json!("none"), "2.36", "networks")]
#[case::other_word(json!("some"), "2.37", "networks")]
#[case::null(json!(null), "2.37", "networks")]
#[case::item_no_object(json!([OTHER]), "2.1", "networks[0]")]
#[case::no_uuid(json!([{"uuid": "a-b-c-d-e-f-g-h-i-j"}]), "2.1", "networks[0].uuid")]
#[case::nothing_named(json!([{"uuid": OTHER}, {}]), "2.1", "networks[1].uuid")]
#[case::port_no_uuid(json!([{"port": "p"}]), "2.1", "networks[0].port")]
#[case::port_twice(json!([{"port": OTHER}, {"port": OTHER}]), "2.1", "networks[1].port")]
#[case::address(json!([{"uuid": OTHER, "fixed_ip": "ten"}]), "2.1", "networks[0].fixed_ip")]
#[case::port_and_address(
    json!([{"port": OTHER, "fixed_ip": "10.0.0.4"}]), "2.1", "networks[0].fixed_ip"
)]
#[case::unknown_key(json!([{"uuid": OTHER, "name": "n"}]), "2.1", "networks[0].name")]
#[case::tag_with_comma(json!([{"uuid": OTHER, "tag": "a,b"}]), "2.42", "networks[0].tag")]
fn bad_networks_are_refused_with_their_place(
    #[case] networks: Value,
    #[case] microversion: &str,
    #[case] field: &str,
) {
    assert_eq!(refused_field(json!({"networks": networks}), microversion), field);
}

#[rstest]
#[case::port(json!([{"port": OTHER}]), "networks[0].port")]
#[case::address(json!([{"uuid": OTHER, "fixed_ip": "10.0.0.4"}]), "networks[0].fixed_ip")]
fn several_servers_cannot_share_a_port_or_an_address(#[case] networks: Value, #[case] field: &str) {
    assert_eq!(refused_field(json!({"networks": networks, "max_count": 2}), "2.1"), field);
}

#[rstest]
#[case("2.31", false, false)]
#[case("2.32", true, true)]
#[case("2.33", true, false)]
#[case("2.36", true, false)]
#[case("2.37", false, false)]
#[case("2.41", false, false)]
#[case("2.42", true, true)]
#[case("2.100", true, true)]
fn device_tags_come_and_go_as_in_the_schemas_of_nova(
    #[case] microversion: &str,
    #[case] on_networks: bool,
    #[case] on_block_devices: bool,
) {
    let network = body(&json!({"networks": [{"uuid": OTHER, "tag": "nic1"}]}));
    let device = json!({
        "source_type": "volume", "destination_type": "volume", "uuid": OTHER, "tag": "disk1",
    });
    let device = body(&json!({"block_device_mapping_v2": [device]}));
    assert_eq!(parse(&network, version(microversion)).is_ok(), on_networks);
    assert_eq!(parse(&device, version(microversion)).is_ok(), on_block_devices);
}

#[test]
fn a_block_device_keeps_all_its_fields() {
    let device = json!({
        "source_type": "blank", "destination_type": "volume", "boot_index": "-1",
        "delete_on_termination": "yes", "volume_size": "2", "device_name": "/dev/vdb",
        "device_type": "disk", "disk_bus": "virtio", "guest_format": "ext4",
        "volume_type": "fast", "tag": "disk1", "no_device": false,
    });
    let expected = BlockDevice {
        source_type: "blank".to_owned(),
        destination_type: "volume".to_owned(),
        source_id: None,
        boot_index: Some(-1),
        delete_on_termination: true,
        volume_size: Some(2),
        device_name: Some("/dev/vdb".to_owned()),
        device_type: Some("disk".to_owned()),
        disk_bus: Some("virtio".to_owned()),
        guest_format: Some("ext4".to_owned()),
        volume_type: Some("fast".to_owned()),
        tag: Some("disk1".to_owned()),
        attachment_id: None,
    };
    let request = request(json!({"block_device_mapping_v2": [device]}), "2.67");
    assert_eq!(request.block_devices, [expected]);
}

#[rstest]
#[case::empty(json!(""))]
#[case::absent(json!("(absent)"))]
fn a_server_may_boot_from_a_block_device_alone(#[case] image: Value) {
    let device = json!({"source_type": "image", "image_id": OTHER, "boot_index": "0"});
    let request = request(json!({"imageRef": image, "block_device_mapping_v2": [device]}), "2.1");
    assert_eq!(request.image, None);
    assert_eq!(request.block_devices[0].destination_type, "local");
    assert_eq!(request.block_devices[0].source_id, Some(uuid(OTHER)));
    assert_eq!(request.block_devices[0].boot_index, Some(0));
}

#[rstest]
#[case::no_source_type(json!({"source_type": "(absent)"}), "source_type")]
#[case::source_type(json!({"source_type": "tape"}), "source_type")]
#[case::destination(json!({"destination_type": "tape"}), "destination_type")]
#[case::no_source(json!({"uuid": "(absent)"}), "uuid")]
#[case::source_no_uuid(json!({"uuid": "vol-1"}), "uuid")]
#[case::blank_with_source(json!({"source_type": "blank"}), "uuid")]
#[case::source_of_another_kind(json!({"snapshot_id": OTHER}), "snapshot_id")]
#[case::two_sources(json!({"volume_id": IMAGE}), "volume_id")]
#[case::boot_index_word(json!({"boot_index": "first"}), "boot_index")]
#[case::boot_index_fraction(json!({"boot_index": 0.5}), "boot_index")]
#[case::boot_index_large(json!({"boot_index": 4_294_967_296_i64}), "boot_index")]
#[case::image_that_does_not_boot(
    json!({"source_type": "image", "destination_type": "local"}), "boot_index"
)]
#[case::boolean(json!({"delete_on_termination": 1}), "delete_on_termination")]
#[case::size_zero(json!({"volume_size": 0}), "volume_size")]
#[case::size_word(json!({"volume_size": "big"}), "volume_size")]
#[case::volume_of_an_image_without_size(json!({"source_type": "image"}), "volume_size")]
#[case::name_with_blank(json!({"device_name": "vd a"}), "device_name")]
#[case::name_empty(json!({"device_name": ""}), "device_name")]
#[case::bus_null(json!({"disk_bus": null}), "disk_bus")]
#[case::bus_long(json!({"disk_bus": "b".repeat(256)}), "disk_bus")]
#[case::volume_type_too_early(json!({"volume_type": "fast"}), "volume_type")]
#[case::no_device(json!({"no_device": true}), "no_device")]
#[case::secret_of_the_volume_service(json!({"connection_info": "{}"}), "connection_info")]
#[case::key_of_answers(json!({"attachment_id": OTHER}), "attachment_id")]
fn a_bad_block_device_is_refused_with_its_place(#[case] changes: Value, #[case] field: &str) {
    let mut device = json!({"source_type": "volume", "destination_type": "volume", "uuid": OTHER});
    for (key, value) in changes.as_object().unwrap() {
        device[key] = value.clone();
    }
    device.as_object_mut().unwrap().retain(|_, value| *value != json!("(absent)"));
    let changes = json!({"block_device_mapping_v2": [device]});
    assert_eq!(refused_field(changes, "2.66"), format!("block_device_mapping_v2[0].{field}"));
}

#[rstest]
#[case::any_order(json!([1, 0, null, -1]), true)]
#[case::none_of_them(json!([-1, null]), true)]
#[case::gap(json!([0, 2]), false)]
#[case::twice(json!([0, 0]), false)]
#[case::not_from_the_start(json!([1]), false)]
fn boot_indexes_count_up_from_zero(#[case] indexes: Value, #[case] is_taken: bool) {
    let device =
        |index: &Value| json!({"source_type": "volume", "uuid": OTHER, "boot_index": index});
    let devices: Vec<Value> = indexes.as_array().unwrap().iter().map(device).collect();
    let outcome = parse(&body(&json!({"block_device_mapping_v2": devices})), version("2.1"));
    assert_eq!(outcome.err().map(|error| error.field).is_none(), is_taken);
}

#[test]
fn a_legacy_volume_named_like_the_root_device_boots() {
    let devices = json!([
        {"device_name": "vdb", "snapshot_id": OTHER, "volume_size": 3},
        {"device_name": "/dev/vda", "volume_id": OTHER, "delete_on_termination": "1"},
        {"device_name": "vdc", "virtual_name": "swap"},
        {"device_name": "vdd", "virtual_name": "ephemeral0"},
    ]);
    let request = request(json!({"block_device_mapping": devices}), "2.1");
    let found: Vec<_> = request
        .block_devices
        .iter()
        .map(|d| (d.source_type.as_str(), d.boot_index, d.delete_on_termination))
        .collect();
    let expected = [
        ("snapshot", Some(-1), false),
        ("volume", Some(0), true),
        ("blank", Some(-1), true),
        ("blank", Some(-1), true),
    ];
    assert_eq!(found, expected);
    assert_eq!(request.block_devices[2].guest_format.as_deref(), Some("swap"));
    assert_eq!(request.block_devices[3].guest_format, None);
}

#[test]
fn the_first_legacy_volume_boots_when_there_is_no_image() {
    let devices = json!([
        {"device_name": "sdb", "virtual_name": "swap"}, {"device_name": "sda", "volume_id": OTHER},
    ]);
    let request = request(json!({"imageRef": "", "block_device_mapping": devices}), "2.1");
    assert_eq!(request.block_devices[1].boot_index, Some(0));
}

#[rstest]
#[case::nothing_named(json!({"device_name": "vda"}), "[0].volume_id")]
#[case::two_sources(json!({"volume_id": OTHER, "snapshot_id": OTHER}), "[0].volume_id")]
#[case::key_of_v2(json!({"volume_id": OTHER, "boot_index": 0}), "[0].boot_index")]
#[case::no_device(json!({"device_name": "vdb", "no_device": "yes"}), "[0].no_device")]
fn a_bad_legacy_device_is_refused_with_its_place(#[case] device: Value, #[case] place: &str) {
    let field = refused_field(json!({"block_device_mapping": [device]}), "2.1");
    assert_eq!(field, format!("block_device_mapping{place}"));
}

#[test]
fn the_two_forms_of_block_devices_do_not_go_together() {
    let legacy = json!([{"device_name": "vda", "volume_id": OTHER}]);
    let v2 = json!([{"source_type": "volume", "uuid": OTHER, "boot_index": 0}]);
    let both = json!({"block_device_mapping": legacy, "block_device_mapping_v2": v2});
    assert_eq!(refused_field(both, "2.1"), "block_device_mapping");
    let one = json!({"block_device_mapping": [], "block_device_mapping_v2": v2});
    assert_eq!(request(one, "2.1").block_devices.len(), 1);
}

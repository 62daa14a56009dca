"""openstacksdk, unmodified: create, wait, show, list, metadata, tags, delete."""

import sys

import openstack
from openstack import exceptions

url, microversion = sys.argv[1:]
IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUwZ3B4bqSQdrbDYV5uOVfBaC9mgmmlXSgKJxnjMzAz example"
)

connection = openstack.connection.Connection(
    auth_type="none",
    compute_endpoint_override=url,
    compute_api_version="2",
    compute_default_microversion=microversion,
    region_name="local",
)
compute = connection.compute


minor = int(microversion.split(".")[1])
# Before 2.37 there is no word for no network.
networks = {"networks": "none"} if minor >= 37 else {}


def create(name, flavor, **more):
    return compute.create_server(
        name=name, image_id=IMAGE, flavor_id=flavor, **networks, **more
    )


# A create, and waiting for it.
web = create("web-1", "1", metadata={"color": "blue"})
web = compute.wait_for_server(web, wait=60, interval=0.2)
assert web.status == "ACTIVE", web.status
assert web.metadata == {"color": "blue"}, web.metadata
others = [create(f"web-{number}", "1") for number in (2, 3)]
for other in others:
    compute.wait_for_server(other, wait=60, interval=0.2)

# One that fits nowhere fails the wait, and says why.
large = create("large", "huge")
try:
    compute.wait_for_server(large, wait=60, interval=0.2)
except exceptions.ResourceFailure as error:
    assert "ERROR" in str(error), error
else:
    raise AssertionError("a buried server did not fail the wait")
large = compute.get_server(large)
assert large.status == "ERROR"
assert large.fault["message"].startswith("No valid host was found. 0/"), large.fault

# Lists: pages, order, and filters. A page of one makes the client follow every link.
names = [server.name for server in compute.servers(limit=1, sort_key="display_name", sort_dir="asc")]
assert names == ["large", "web-1", "web-2", "web-3"], names
names = [server.name for server in compute.servers(details=False, limit=2)]
assert names == ["large", "web-3", "web-2", "web-1"], names


def listed(**query):
    return sorted(server.name for server in compute.servers(**query))


assert listed(status="ERROR") == ["large"]
assert listed(status="active") == ["web-1", "web-2", "web-3"]
assert listed(name="^web-[12]") == ["web-1", "web-2"]
assert listed(flavor="huge") == ["large"]
assert listed(image=IMAGE) == ["large", "web-1", "web-2", "web-3"]
web = compute.get_server(web)
same_host = [s.name for s in [web, *map(compute.get_server, others)] if s.compute_host == web.compute_host]
assert listed(compute_host=web.compute_host) == sorted(same_host), web.compute_host
assert listed(compute_host="none") == []
assert listed(project_id="admin") == ["large", "web-1", "web-2", "web-3"]
assert listed(user_id="nobody") == []
assert listed(vm_state="error") == ["large"]
assert listed(power_state=1) == ["web-1", "web-2", "web-3"]
assert listed(launch_index=0) == ["large", "web-1", "web-2", "web-3"]
assert listed(hostname="web-2") == ["web-2"]
assert listed(ipv4_address="10.") == []
if minor >= 66:
    assert listed(changes_before="2020-01-01T00:00:00Z") == []
assert listed(changes_since="2199-01-01T00:00:00Z") == []
assert listed(all_projects=True) == ["large", "web-1", "web-2", "web-3"]
assert compute.find_server("web-2").id == others[0].id

# Metadata and tags.
compute.set_server_metadata(web, size="small")
assert compute.get_server_metadata(web).metadata == {"color": "blue", "size": "small"}
compute.delete_server_metadata(web, ["color"])
assert compute.get_server(web).metadata == {"size": "small"}
if minor >= 26:
    web.add_tag(compute, "blue")
    assert web.check_tag(compute, "blue")
    assert compute.get_server(web).tags == ["blue"]
    assert listed(tags="blue") == ["web-1"]
    web.remove_tag(compute, "blue")

# What runs is stopped, started, paused, locked; what is buried is not.
compute.stop_server(web)
compute.wait_for_server(web, status="SHUTOFF", wait=60, interval=0.2)
compute.start_server(web)
compute.wait_for_server(web, status="ACTIVE", wait=60, interval=0.2)
compute.reboot_server(web, "HARD")
compute.wait_for_server(web, status="ACTIVE", wait=60, interval=0.2)
try:
    compute.stop_server(large)
except exceptions.ConflictException as error:
    assert "cell0" in str(error), error
else:
    raise AssertionError("a buried server was stopped")

# The rest that the client knows of.
assert {flavor.id for flavor in compute.flavors()} == {"1", "2", "huge"}
assert compute.find_flavor("flavor-1").ram == 512
assert [zone.name for zone in compute.availability_zones()] == ["nova"]
assert compute.get_limits().absolute.instances_used == 3
if minor < 92:
    keypair = compute.create_keypair(name="laptop")
    assert keypair.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
else:
    compute.create_keypair(name="laptop", public_key=PUBLIC_KEY)
assert [key.name for key in compute.keypairs()] == ["laptop"]
compute.delete_keypair("laptop")
assert len(list(compute.hypervisors())) == 2
assert len(list(compute.services())) == 2

# Deletes, and waiting for them.
for server in [web, large, *others]:
    compute.delete_server(server)
    compute.wait_for_delete(server, wait=60, interval=0.2)
assert listed() == []
print("sdk: done at", microversion)

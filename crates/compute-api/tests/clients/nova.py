"""python-novaclient, unmodified."""

import sys
import time

from keystoneauth1 import noauth, session
from novaclient import client, exceptions

url, microversion = sys.argv[1:]
IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
auth = session.Session(auth=noauth.NoAuth(endpoint=url))
# The newest that this client knows.
microversion = min(microversion, "2.96", key=lambda text: int(text.split(".")[1]))
nova = client.Client(microversion, session=auth, endpoint_override=url)
late = int(microversion.split(".")[1]) >= 37
networks = {"nics": "none"} if late else {}


def create(name, flavor, **more):
    return nova.servers.create(name, IMAGE, flavor, **networks, **more)


def wait(server, status):
    for _ in range(300):
        server = nova.servers.get(server)
        if server.status == status:
            return server
        assert server.status != "ERROR" or status == "ERROR", server.fault
        time.sleep(0.2)
    raise AssertionError(f"{server.name} is {server.status}, not {status}")


web = wait(create("web", "1", meta={"color": "blue"}), "ACTIVE")
large = wait(create("large", "huge"), "ERROR")
assert large.fault["message"].startswith("No valid host was found. 0/"), large.fault
names = [server.name for server in nova.servers.list(limit=-1, sort_keys=["display_name"], sort_dirs=["asc"])]
assert names == ["large", "web"], names
assert [s.name for s in nova.servers.list(search_opts={"status": "ERROR"})] == ["large"]
assert [s.name for s in nova.servers.list(search_opts={"name": "we"})] == ["web"]
nova.servers.set_meta(web, {"size": "small"})
nova.servers.delete_meta(web, ["color"])
assert nova.servers.get(web).metadata == {"size": "small"}
if int(microversion.split(".")[1]) >= 26:
    nova.servers.set_tags(web, ["a", "b"])
    assert sorted(nova.servers.tag_list(web)) == ["a", "b"]
web.stop()
web = wait(web, "SHUTOFF")
web.start()
web = wait(web, "ACTIVE")
web.update(name="web-2")
assert nova.servers.get(web).name == "web-2"
actions = [action.action for action in nova.instance_action.list(web)]
assert actions[-1] == "create" and {"stop", "start"} <= set(actions), actions
try:
    large.pause()
except exceptions.Conflict as error:
    assert "cell0" in str(error), error
else:
    raise AssertionError("a buried server was paused")
for server in (web, large):
    server.delete()
    for _ in range(300):
        try:
            nova.servers.get(server)
        except exceptions.NotFound:
            break
        time.sleep(0.2)
    else:
        raise AssertionError(f"{server.name} is still there")
assert nova.servers.list() == []
assert {flavor.name for flavor in nova.flavors.list()} == {"flavor-1", "flavor-2", "flavor-huge"}
print("novaclient: done at", microversion)

"""The `openstack` command, unmodified: the same flow as a person types it.

Each command is a process of its own, a copy of this one, which has imported the client already: that
takes longer than the command.
"""

import json
import os
import signal
import sys
import tempfile
import traceback

url, microversion = sys.argv[1:]
IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
for name in [name for name in os.environ if name.startswith("OS_")]:
    del os.environ[name]
os.environ.update(
    OS_AUTH_TYPE="none",
    OS_ENDPOINT=url,
    OS_IDENTITY_API_VERSION="3",
    OS_COMPUTE_API_VERSION=microversion,
)

import openstackclient.compute.v2.server  # noqa: E402,F401
import openstackclient.shell  # noqa: E402

class Done:
    def __init__(self, returncode, stdout, stderr):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


def child(arguments, out, err):
    code = 1
    signal.alarm(120)
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        code = openstackclient.shell.main(list(arguments)) or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(*arguments, ends=0):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pid = os.fork()
        if pid == 0:
            child(arguments, out, err)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        done = Done(code, out.read(), err.read())
    text = f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert (done.returncode == 0) == (ends == 0), text
    return done


def show(*arguments):
    return json.loads(run(*arguments, "-f", "json").stdout)


def create(name, flavor, *more, ends=0):
    # A block device instead of an image, since then no image service is asked.
    device = f"uuid={IMAGE},source_type=image,destination_type=local,boot_index=0"
    late = tuple(map(int, microversion.split("."))) >= (2, 37)
    network = ["--nic", "none"] if late else []
    return run(
        "server", "create", name, "--flavor", flavor, "--block-device", device, *network,
        *more, "--wait", ends=ends,
    )


create("web", "flavor-1", "--property", "color=blue")
server = show("server", "show", "web")
assert server["status"] == "ACTIVE", server
failed = create("large", "huge", ends=1)
buried = show("server", "show", "large")
assert buried["status"] == "ERROR", buried
assert "No valid host was found" in str(buried["fault"]), buried

rows = show("server", "list", "--no-name-lookup", "--sort-column", "Name")
assert [row["Name"] for row in rows] == ["large", "web"], rows
rows = show("server", "list", "--status", "ERROR", "--no-name-lookup")
assert [row["Name"] for row in rows] == ["large"], rows
rows = show("server", "list", "--name", "^we", "--limit", "1", "--no-name-lookup")
assert [row["Name"] for row in rows] == ["web"], rows
rows = show("server", "list", "--long")
assert len(rows) == 2, rows

run("server", "set", "--property", "size=small", "web")
assert "size" in str(show("server", "show", "web")["properties"])
run("server", "unset", "--property", "size", "web")
run("server", "set", "--name", "web-2", "web")
run("server", "stop", "web-2")
run("server", "start", "web-2")
run("server", "lock", "web-2")
run("server", "unlock", "web-2")
run("server", "stop", "large", ends=1)
assert len(show("server", "event", "list", "web-2")) >= 5
assert len(show("flavor", "list")) == 3
assert len(show("availability", "zone", "list", "--compute")) == 1
assert len(show("hypervisor", "list")) == 2
run("server", "delete", "--wait", "web-2", "large")
assert show("server", "list", "--no-name-lookup") == []
print("openstack: done at", microversion)

"""Tempest's tests of servers against the API, held to a list of those that pass.

Usage: tempest_run.py COMPUTE_URL STANDINS_URL PASS_LIST. Ends with 1 where one of the list fails;
prints those that pass beyond it.
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

compute, standins, pass_list = sys.argv[1:]
MODULES = [
    "test_servers", "test_servers_negative", "test_list_server_filters",
    "test_list_servers_negative", "test_create_server", "test_delete_server",
    "test_multiple_create", "test_multiple_create_negative", "test_server_metadata",
    "test_server_metadata_negative", "test_server_tags", "test_instance_actions",
    "test_instance_actions_negative", "test_server_actions", "test_availability_zone",
    "test_server_group", "test_server_addresses", "test_server_addresses_negative",
    "test_disk_config", "test_servers_microversions",
]
IMAGES = ["70a599e0-31e7-49b7-b260-868f441e862b", "4d8c2a56-3f0e-4b27-9a53-5f0d9e3c8a10"]
folder = tempfile.mkdtemp(prefix="tempest-")


def write(name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


# Each project has a member and a reader. Members come first, since who needs any account takes the
# first that is free, and two such must be of two projects.
accounts = (
    [(f"user{number}", number, ["member", "reader"]) for number in range(24)]
    + [(f"user{number}-reader", number, ["reader"]) for number in range(24)]
    + [("admin", 99, ["admin"]), ("admin-2", 98, ["admin"])]
)
accounts_file = write("accounts.yaml", "".join(
    f"- username: '{name}'\n  project_name: 'project{number}'\n  password: 'x'\n"
    f"  domain_name: 'Default'\n  roles: {roles}\n" for name, number, roles in accounts
))
write("tempest.conf", f"""
[DEFAULT]
log_file = tempest.log
log_dir = {folder}
[auth]
use_dynamic_credentials = false
test_accounts_file = {accounts_file}
[identity]
uri_v3 = {standins}/identity/v3
uri = {standins}/identity
auth_version = v3
region = RegionOne
[compute]
image_ref = {IMAGES[0]}
image_ref_alt = {IMAGES[1]}
flavor_ref = 1
flavor_ref_alt = 2
fixed_network_name = private
build_interval = 1
build_timeout = 60
max_microversion = 2.100
[compute-feature-enabled]
resize = false
shelve = false
rescue = false
snapshot = false
vnc_console = false
console_output = false
live_migration = false
cold_migration = false
attach_encrypted_volume = false
personality = false
[validation]
run_validation = false
[service_available]
neutron = true
glance = true
cinder = false
swift = false
horizon = false
[oslo_concurrency]
lock_path = {folder}
""")
environment = {**os.environ, "TEMPEST_CONFIG_DIR": folder, "TEMPEST_CONFIG": "tempest.conf"}


def run(module):
    name = f"tempest.api.compute.servers.{module}"
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-v", name],
        env=environment, capture_output=True, text=True, cwd=folder, timeout=900,
    )
    return done.stderr


line = re.compile(r"^(tempest[\w.]+)\[\S*\] \.\.\. (ok|FAIL|ERROR|skipped)", re.M)
passed, output = set(), {}
with ThreadPoolExecutor(2) as pool:
    for module, text in zip(MODULES, pool.map(run, MODULES)):
        output[module] = text
        for name, result in line.findall(text):
            if result == "ok":
                passed.add(name.removeprefix("tempest.api.compute.servers."))

with open(pass_list) as file:
    wanted = {text.strip() for text in file if text.strip() and not text.startswith("#")}
lost, new = sorted(wanted - passed), sorted(passed - wanted)
for name in new:
    print("passes and is not on the list:", name)
for name in lost:
    print("FAILS and is on the list:", name)
if lost:
    print("\n".join(output.values()))
# Where one wants to know more: what passed, and all that Tempest said.
if "TEMPEST_OUTPUT" in os.environ:
    with open(os.environ["TEMPEST_OUTPUT"], "w") as file:
        file.write("\n".join(sorted(passed)) + "\n\n" + "\n".join(output.values()))
print(f"tempest: {len(passed)} passed, {len(lost)} of the list did not")
sys.exit(1 if lost else 0)

"""Stand-ins for the services that Tempest asks beside the compute API: Keystone, network, image.

They answer the few calls of `tempest.api.compute.servers`, with fixed answers. A token is its user,
project and role in plain text; two projects exist for each account, so that other projects' servers
can be asked for. Usage: standins.py COMPUTE_URL; the address is printed.
"""

import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

compute = sys.argv[1]
NETWORK = "11111111-2222-4333-8444-555555555555"
IMAGES = ["70a599e0-31e7-49b7-b260-868f441e862b", "4d8c2a56-3f0e-4b27-9a53-5f0d9e3c8a10"]


def identifier(text):
    """The same for the same name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, text).hex


def token_of(subject, base):
    user, project, role = subject.split("|")
    services = [
        ("identity", "keystone", base + "/identity/v3"),
        ("compute", "nova", compute),
        ("image", "glance", base + "/image"),
        ("network", "neutron", base + "/network"),
    ]
    catalog = [
        {
            "id": identifier(kind), "type": kind, "name": name,
            "endpoints": [
                {"id": identifier(kind + face), "interface": face, "region": "RegionOne",
                 "region_id": "RegionOne", "url": url}
                for face in ("public", "internal", "admin")
            ],
        }
        for kind, name, url in services
    ]
    domain = {"id": "default", "name": "Default"}
    roles = {
        "admin": ["admin", "member", "reader"], "member": ["member", "reader"], "reader": ["reader"],
    }[role]
    return {"token": {
        "methods": ["password"], "audit_ids": ["x"], "is_domain": False,
        "user": {"id": identifier(user), "name": user, "domain": domain, "password_expires_at": None},
        "project": {"id": identifier(project), "name": project, "domain": domain},
        "roles": [{"id": identifier(name), "name": name} for name in roles],
        "catalog": catalog,
        "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2199-01-01T00:00:00.000000Z",
    }}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def base(self):
        return f"http://{self.headers['Host']}"

    def read(self):
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length) or b"null")

    def do_GET(self):
        path = self.path.split("?")[0].rstrip("/")
        if path == "/identity/v3/auth/tokens":
            subject = self.headers.get("X-Subject-Token", "")
            if subject.count("|") == 2:
                return self.answer(200, token_of(subject, self.base()), [("X-Subject-Token", subject)])
            return self.answer(404, {"error": {"code": 404, "message": "no such token", "title": "Not Found"}})
        if path in ("/identity", "/identity/v3"):
            version = {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
                       "links": [{"rel": "self", "href": self.base() + "/identity/v3/"}],
                       "media-types": []}
            if path == "/identity":
                return self.answer(300, {"versions": {"values": [version]}})
            return self.answer(200, {"version": version})
        if path == "/network/v2.0/networks":
            network = {"id": NETWORK, "name": "private", "status": "ACTIVE", "admin_state_up": True,
                       "shared": True, "router:external": False, "subnets": [], "tenant_id": "x"}
            return self.answer(200, {"networks": [network]})
        if path.startswith("/network/v2.0/"):
            return self.answer(200, {path.rsplit("/", 1)[1].replace("-", "_"): []})
        if path == "/image/v2/images":
            return self.answer(200, {"images": [{"id": image, "name": image, "status": "active"} for image in IMAGES]})
        if path.startswith("/image/v2/images/"):
            image = path.rsplit("/", 1)[1]
            if image in IMAGES:
                return self.answer(200, {"id": image, "name": image, "status": "active"})
        return self.answer(404, {"error": {"code": 404, "message": path, "title": "Not Found"}})

    def do_POST(self):
        body = self.read()
        if self.path.split("?")[0] != "/identity/v3/auth/tokens":
            return self.answer(404, {"error": {"code": 404, "message": self.path, "title": "Not Found"}})
        auth = body["auth"]
        user = auth["identity"]["password"]["user"]["name"]
        project = auth.get("scope", {}).get("project", {}).get("name", "none")
        role = "admin" if user.startswith("admin") or user == "nova" else "member"
        role = "reader" if user.endswith("-reader") else role
        subject = f"{user}|{project}|{role}"
        return self.answer(201, token_of(subject, self.base()), [("X-Subject-Token", subject)])

    def do_DELETE(self):
        return self.answer(204)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()

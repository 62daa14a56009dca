"""The page in headless Chromium, driven by the WebDriver protocol itself.

`browser.py URL buried [SCREENSHOT]` boots one server that fits and one that fits nowhere, and looks at
what the page shows, and that it goes on showing what comes. `browser.py URL back [SCREENSHOT]`, once a
host stands that takes the second, presses its button and waits until the page says that it runs.
"""

import base64
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

url, step, *screenshot = sys.argv[1:]
IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
# The name that the protocol gives to the reference of an element.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = [
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    # A test machine's user may be root, whom its sandbox refuses; it sees nothing but our own page.
    "--no-sandbox",
    "--window-size=1100,1000",
]


def call(method, address, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "OpenStack-API-Version": "compute 2.100"}
    asked = urllib.request.Request(address, data, headers, method=method)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.load(answer)


def boot(name, flavor):
    server = {"name": name, "imageRef": IMAGE, "flavorRef": flavor, "networks": "none"}
    return call("POST", url + "/servers", {"server": server})["server"]["id"]


class Browser:
    def __init__(self):
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True
        )
        for line in self.driver.stdout:
            if port := re.search(r"started successfully on port (\d+)", line):
                break
        else:
            raise AssertionError("chromedriver has ended")
        options = {"args": ARGUMENTS}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        address = f"http://127.0.0.1:{port[1]}/session"
        self.session = None
        try:
            self.session = address + "/" + call("POST", address, {"capabilities": wanted})["value"]["sessionId"]
        finally:
            if self.session is None:
                self.driver.kill()

    def ask(self, path, **body):
        return call("POST", f"{self.session}/{path}", body)["value"]

    def text(self, selector):
        found = self.ask("elements", using="css selector", value=selector)
        return [call("GET", f"{self.session}/element/{one[ELEMENT]}/text")["value"] for one in found]

    def click(self, selector):
        found = self.ask("element", using="css selector", value=selector)
        self.ask(f"element/{found[ELEMENT]}/click")

    def wait(self, selector, *parts):
        """Until the text of these elements has all of the parts."""
        text = []
        for _ in range(150):
            try:
                text = self.text(selector)
            # The page fills its tables anew under our eyes.
            except urllib.error.HTTPError as error:
                if b"stale element" not in error.read():
                    raise
            if all(part in "\n".join(text) for part in parts):
                return text
            time.sleep(0.2)
        raise AssertionError(f"{selector} has not {parts}: {text}")

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(call("GET", self.session + "/screenshot")["value"]))

    def end(self):
        try:
            call("DELETE", self.session)
        finally:
            self.driver.kill()


def buried(page):
    boot("web", "1")
    boot("large", "huge")
    page.wait("#states", "1 active", "1 error")
    page.wait("#cells", "cell0", "cell1", "cell2", "up")
    rows = page.wait("#hosts tr", "host1", "host2")
    assert len(rows) == 3, rows
    assert len(page.text("#hosts .bar")) == 6, "three bars for each host"
    page.wait("#groups", "no_valid_host", "9999 vcpus", "retry 1")
    rows = page.wait("#buried tr", "large")
    assert len(rows) == 2 and "No valid host was found" in rows[1], rows
    # What comes is shown without a reload.
    boot("second", "1")
    page.wait("#states", "2 active", "1 error")
    assert page.text("#error") == [""]


def back(page):
    page.wait("#hosts", "giant")
    page.wait("#buried", "large")
    page.click("#buried button")
    page.wait("#states", "3 active")
    page.wait("#buried", "none")
    page.wait("#groups", "none")
    assert page.text("#error") == [""]


browser = Browser()
try:
    browser.ask("url", url=url.removesuffix("/v2.1") + "/ui")
    {"buried": buried, "back": back}[step](browser)
    if screenshot:
        browser.picture(screenshot[0])
finally:
    browser.end()

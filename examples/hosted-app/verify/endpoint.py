"""A whole installation endpoint: APP_SECRET=… APP_DATA=./shops python3 endpoint.py

http.server is for trying; `take` fits into any framework.
"""

import json
import os
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from verify import verify_callback

SECRETS = [{"secret": os.environ["APP_SECRET"], "until": None}]
DATA = Path(os.environ["APP_DATA"])


def take(request):
    file = DATA / f"{request['shop'].encode().hex()}.json"
    shop = {name: value for name, value in request.items() if name not in ("operation", "expires")}
    if request["operation"] == "Remove":
        file.unlink(missing_ok=True)  # it may come again, when the shop is gone already
        return 200
    if request["operation"] == "Update":
        if not file.exists():
            return 404
        shop = json.loads(file.read_text(encoding="utf-8")) | shop
    save(file, shop)
    return 200


def save(file, shop):
    """Whole or not at all: a file beside it, readable by its owner only, that then takes its name."""
    new = tempfile.NamedTemporaryFile("w", dir=DATA, prefix="new", delete=False, encoding="utf-8")
    try:
        with new:
            json.dump(shop, new)
            new.flush()
            os.fsync(new.fileno())
        os.replace(new.name, file)
    except BaseException:
        os.unlink(new.name)
        raise


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        status = 500
        try:
            length = min(int(self.headers.get("Content-Length", 0)), 65536)
            form = parse_qs(self.rfile.read(length).decode())
            request = verify_callback(form.get("auth", [""])[0], SECRETS, int(time.time()))
            status = take(request) if request else 401
        except Exception as error:
            self.log_error("%s", error)
        self.send_response(status)
        self.end_headers()


port = int(os.environ.get("APP_PORT", 8090))
server = HTTPServer(("127.0.0.1", port), Endpoint)
print(f"listening on port {port}", flush=True)
server.serve_forever()

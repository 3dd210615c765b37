#!/usr/bin/env python3
"""The API: POST /orders puts an order into the queue, GET / says how many were done, GET /health whether all is well."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shop import Redis

INSTANCE = os.environ["NODE_APP_INSTANCE"]


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            return self.say(200, Redis().ask("PING"))
        done = Redis().ask("GET", "shop:orders")
        return self.say(200, f"{done} orders done, says instance {INSTANCE}")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        order = self.rfile.read(length).decode() or "something"
        waiting = Redis().ask("LPUSH", "shop:queue", order)
        self.say(202, f"{waiting} orders wait")

    def say(self, status, text):
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, text, *args):
        if self.path != "/health":
            print(text % args)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()

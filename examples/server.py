#!/usr/bin/env python3
"""A small web server to try TSM with: tsm start examples/server.py --name web --port 4001"""
import http.server
import os
import signal
import sys

PORT = int(os.environ.get("PORT", "4001"))


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("asked to crash", file=sys.stderr, flush=True)
            os._exit(1)
        body = f"hello from process {os.getpid()}, TSM ID {os.environ.get('TSM_ID', 'none')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print(f"{self.client_address[0]} {format % args}", flush=True)


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


def end(signum, frame):
    print("asked to end", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
with Server(("127.0.0.1", PORT), Hello) as server:
    print(f"listening on http://127.0.0.1:{PORT}", flush=True)
    server.serve_forever()

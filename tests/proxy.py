"""A proxy before a Tiled server, whose answers go wrong in several ways."""

import http.client
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PAGE = b"<html>maintenance until noon</html>"
MODES = {"html": (200, PAGE), "empty": (200, b""), "404": (404, PAGE), "502": (502, PAGE)}  # answers of the proxy
DELAYS_S = {"3 s": 3.0, "6 s": 6.0}


class Proxy(ThreadingHTTPServer):
    """Passes requests on. While `left` lasts, which counts down, they are answered in a mode.

    The modes are "html", "empty", "404" and "502"; "cut", in which Tiled does what is asked, and half of its answer
    arrives; and "3 s" and "6 s", after which the request is passed on.
    """

    daemon_threads = True
    mode, left = "", 0

    def __init__(self, uri):
        self.upstream = urlsplit(uri).netloc
        super().__init__(("127.0.0.1", 0), Handler)
        self.netloc = f"127.0.0.1:{self.server_port}"

    def through(self, uri):
        """The same address behind the proxy."""
        return urlsplit(uri)._replace(netloc=self.netloc).geturl()

    def fail(self, mode, n=10**6):
        self.mode, self.left = mode, n

    def heal(self):
        self.left = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mode = self.server.mode if self.server.left > 0 else ""
        self.server.left -= 1
        if mode in MODES or "Upgrade" in self.headers:
            return self._answer(*MODES.get(mode, (404, PAGE)), [("Content-Type", "text/html")])
        time.sleep(DELAYS_S.get(mode, 0.0))
        upstream = http.client.HTTPConnection(self.server.upstream)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if mode == "cut":  # as of a server of HTTP/1.0, which states no length
            content, self.close_connection = content[: len(content) // 2], True
        names = "content-length", "transfer-encoding", "connection", "server", "date"
        self._answer(answer.status, content, [h for h in answer.getheaders() if h[0].lower() not in names])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _answer(self, status, content, headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def proxy_of(uri):
    """Run a proxy before the server at an address."""
    with Proxy(uri) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()

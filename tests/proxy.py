"""A proxy before a Tiled server, with the faults of a proxy."""

import http.client
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTML = b"<html>the server is being restarted</html>"


class Proxy:
    """Answers with a status or breaks the connection, as `fault` says: at all requests, or at writes only.

    ``fault`` is None, a status of HTTP, "nothing" (no answer, and Tiled never sees the request), or "lost" (Tiled does
    what it is asked for, and the answer is lost).
    """

    def __init__(self, port):
        self.fault, self.spares_reads, self._port, self.n_faults = None, False, port, 0

    def answer(self, request):
        fault = None if self.spares_reads and request.command == "GET" else self.fault
        self.n_faults += fault is not None
        if isinstance(fault, int):
            return fault, [("Content-Type", "text/html")], HTML
        if fault == "nothing":
            return None
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {name: x for name, x in request.headers.items() if name.lower() != "accept-encoding"}
        upstream.request(request.command, request.path, body or None, headers)
        response = upstream.getresponse()
        kept = [(n, x) for n, x in response.getheaders() if n.lower() not in ("content-length", "transfer-encoding")]
        answer = response.status, kept, response.read()
        upstream.close()
        return None if fault == "lost" else answer


@contextmanager
def proxy_before(port):
    """A proxy, and its port."""
    proxy = Proxy(port)

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            self.close_connection = True
            if (answer := proxy.answer(self)) is None:
                return
            status, headers, body = answer
            self.send_response_only(status)
            for name, x in [*headers, ("Content-Length", str(len(body)))]:
                self.send_header(name, x)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy, server.server_address[1]
        server.shutdown()

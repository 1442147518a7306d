"""An S3 server on this machine, moto's, that fails one request in so many, each time in the next of four ways.

python tests/s3_server.py 20        prints its address; the requests of a client with `fail=never` in its agent succeed
"""

import itertools
import logging
import socket
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

ERROR = b"<?xml version='1.0'?><Error><Code>%b</Code><Message>injected</Message></Error>"


class FailingApp:
    """A WSGI application that fails each `every`-th request; 0 for none.

    The ways: an internal error, a request to slow down, a connection that breaks before the request is done, and one
    that breaks after it was done, so that its answer is lost.
    """

    def __init__(self, app, every: int):
        self.app, self.every = app, every
        self.count, self.ways, self.lock = itertools.count(1), itertools.cycle(range(4)), threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            fails = self.every and next(self.count) % self.every == 0 and environ["PATH_INFO"] != "/moto-api/"
            way = next(self.ways) if fails else None
        if way is None:
            return self.app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) if way < 3 else None
        if way == 3:
            b"".join(self.app(environ, lambda *_: None))
        if way > 1:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        status, code = [("500 Internal Server Error", b"InternalError"), ("503 Slow Down", b"SlowDown")][way]
        start_response(status, [("Content-Type", "application/xml")])
        return [ERROR % code]


def main(every: int) -> None:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    app = FailingApp(DomainDispatcherApplication(create_backend_app), every)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))

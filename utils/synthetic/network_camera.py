"""A network camera on this machine that plays given images in real time, to test and measure live recognition."""

import socket
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from threading import Event, Thread

import cv2
import numpy as np

BOUNDARY = "frame"


class MjpegCamera:
    """Streams images over HTTP as motion JPEG, `rate` a second, in a loop, to every client.

    images: RGB uint8 (H, W, 3). The film plays from `start` on, whether or not a client is connected. user:
    "name:password" to put into the address, unchecked; None for none. Set `silent` to accept connections
    without sending anything.
    """

    def __init__(self, images: Sequence[np.ndarray], rate: float, user: str | None = None):
        self.jpegs = [cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes() for image in images]
        self.rate = rate
        self.silent = False
        with socket.socket() as probe:  # the same port again after a restart
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://{user + '@' if user else ''}127.0.0.1:{self.port}/stream.mjpg"
        self.server: ThreadingHTTPServer | None = None
        self.began = 0.0

    def start(self) -> None:
        """Start to answer, also after `stop`; the film starts over."""
        camera, stopped = self, Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
                self.end_headers()
                camera._stream(self.wfile, stopped)

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self.stopped, self.began = stopped, time.monotonic()
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _stream(self, file: BufferedIOBase, stopped: Event) -> None:
        number = int((time.monotonic() - self.began) * self.rate)
        while not stopped.wait(max(0.0, self.began + number / self.rate - time.monotonic())):
            jpeg = self.jpegs[number % len(self.jpegs)]
            number += 1
            if self.silent:
                continue
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                file.write(head.encode() + jpeg + b"\r\n")
            except OSError:  # the client is gone
                return

    def stop(self) -> None:
        """Drop all connections and stop answering, like a camera without power."""
        if self.server is not None:
            self.stopped.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

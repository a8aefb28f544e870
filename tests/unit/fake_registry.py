"""A schema registry for unit tests, spoken to over HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeRegistry:
    """The Confluent API over a dict: "METHOD /path" -> answer.

    An answer is a status, what is in the body of a 200, a status with its body, or a list of failures to give first.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.queries: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = f"{self.command} {self.path.partition('?')[0]}"
                fake.asked.append(call)
                fake.queries.append(self.path.partition("?")[2])
                answer = fake.answers.get(call, (404, {"error_code": 40401, "message": "not found"}))
                if isinstance(answer, list) and answer and answer[0] in (500, 503):
                    answer = answer.pop(0)
                if isinstance(answer, int):
                    answer = answer, {}
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

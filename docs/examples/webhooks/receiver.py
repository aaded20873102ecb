"""Receive messages of flowtally: pip install standardwebhooks."""

from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError


def main(port: int, secret: str) -> HTTPServer:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                message = Webhook(secret).verify(body, dict(self.headers))
            except WebhookVerificationError:
                return self.send_error(400)
            print(self.headers["webhook-id"], message["type"], message["data"])
            self.send_response(204)
            return self.end_headers()

    return HTTPServer(("127.0.0.1", port), Receiver)

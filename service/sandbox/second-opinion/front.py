"""Moto in front of the sandbox: one endpoint for an account that neither of them has whole.

Every call goes to moto but for what moto does not have: Pod Identity associations, add-ons and access
entries of EKS, and CloudTrail's event history, which the sandbox answers as the account whose
credentials moto handed out. Actions can be refused. Knows where a call goes, and nothing of its content.
"""

import http.client
import http.server
import re
import threading
import urllib.parse

SANDBOX_PATHS = re.compile(r"^/clusters/[^/]+/(pod-identity-associations|addons|access-entries)(/|\?|$)")
SANDBOX_TARGETS = {"LookupEvents"}


class Front:
    """`refused`: services all of whose calls are refused, by the name in the credential's scope. `renamed`:
    what the sandbox calls otherwise than moto, such as the issuers of clusters."""

    def __init__(self, moto, sandbox, refused, renamed):
        self.moto, self.sandbox, self.refused, self.renamed = moto, sandbox, refused, renamed
        self.calls = {"moto": 0, "sandbox": 0, "refused": 0}
        # Access key -> account, as moto's AssumeRole said.
        self.accounts = {}
        # Moto is not made for several calls at once.
        self.one = threading.Lock()
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                front.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        scope = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/", headers.get("authorization") or headers.get("Authorization") or "")
        key, service = scope.groups() if scope else ("", "")
        if service in self.refused:
            self.calls["refused"] += 1
            text = b'{"__type":"AccessDeniedException","message":"User is not authorized to perform this action"}'
            return reply(handler, 403, {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"}, text)
        target = (handler.headers.get("x-amz-target") or "").rsplit(".", 1)[-1]
        if (service == "eks" and SANDBOX_PATHS.match(handler.path)) or target in SANDBOX_TARGETS:
            self.calls["sandbox"] += 1
            account = self.accounts.get(key)
            kept = {k: v for k, v in headers.items() if k.lower() != "x-amz-security-token"}
            if account:
                for name in kept:
                    if name.lower() == "authorization":
                        kept[name] = kept[name].replace(f"Credential={key}/", f"Credential=AKIASNDB{account}/")
            status, answered, content = forward(self.sandbox, handler, kept, body)
            for ours, theirs in self.renamed.items():
                content = content.replace(ours.encode(), theirs.encode())
        else:
            with self.one:
                self.calls["moto"] += 1
                status, answered, content = forward(self.moto, handler, headers, body)
            self.learn(service, content)
        reply(handler, status, answered, content)

    def learn(self, service, content):
        if service != "sts":
            return
        key = re.search(rb"<AccessKeyId>([^<]+)</AccessKeyId>", content)
        account = re.search(rb"<Arn>arn:aws:sts::(\d{12}):assumed-role/", content)
        if key and account:
            self.accounts[key.group(1).decode()] = account.group(1).decode()


def forward(endpoint, handler, headers, body):
    place = urllib.parse.urlsplit(endpoint)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    try:
        # The host that the call was signed for: moto finds the service and the region by the scope.
        connection.request(handler.command, handler.path, body=body, headers={**headers, "Host": place.netloc})
        answer = connection.getresponse()
        content = answer.read()
        dropped = ("transfer-encoding", "content-length", "connection")
        return answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in dropped}, content
    finally:
        connection.close()


def reply(handler, status, headers, content):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)

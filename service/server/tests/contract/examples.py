"""The examples of the contract: each request is sent again, and its answer compared with the one that is kept.

A file of `service/server/examples/` holds a request and the answer that a server over the generated organization gave.
What is compared is the form: which fields there are, at every depth that the schema names. Values differ from run to
run. `record` writes the files anew: all, or those of the operations that are named.
"""

import json
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "examples"
# Items of a list and members of a map that an example keeps.
KEPT = 1
# What stands for a secret.
TOKEN = "rlc_Ab3dEf9h_EXAMPLE"
RESERVATION = "u1S0cFqP9zYwXbVn3kJmLr7tGhDe5aBc"
SECRETS = {"create_token": TOKEN, "rotate_token": TOKEN, "reserve_ticket": RESERVATION, "link_ticket": RESERVATION}


class Walk:
    """Requests that build on each other, over one server."""

    def __init__(self, address, token, contract, record=()):
        self.address, self.token, self.contract, self.record = address, token, contract, record
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, item in contract["paths"].items()
            for method, operation in item.items()
        }
        self.done, self.wrong = set(), []

    def send(self, method, path, body=None, headers=None):
        """The status, headers and JSON of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.address + path, data=data, headers=headers, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read().decode()
        return answer.status, answer.headers, json.loads(text) if text else None

    def call(self, name, path, body=None, headers=None):
        """Sends the request of an example, and holds the answer against the example and the contract."""
        method, template, operation = self.operations[name]
        pattern = re.sub(r"\\\{[^}]+\\\}", "[^/?]+", re.escape(template))
        if not re.fullmatch(pattern + r"(\?.*)?", path):
            self.wrong.append(f"{name}: {path} is no address of {template}")
        status, _, answer = self.send(method, path, body, headers)
        good = [code for code in operation["responses"] if code.startswith("2")]
        self.done.add(name)
        if str(status) not in good:
            self.wrong.append(f"{name}: {method} {path} is answered {status}: {json.dumps(answer)[:600]}")
            return answer
        content = operation["responses"][str(status)].get("content", {})
        schema = next(iter(content.values()))["schema"] if content else {}
        exchange = {"path": f"{method} {path}", "request": body, "status": status, "response": self.short(answer, schema)}
        file = FOLDER / f"{name}.json"
        if "all" in self.record or name in self.record:
            kept = {key: value for key, value in exchange.items() if value is not None}
            for part in ("request", "response"):
                if name in SECRETS and "token" in (kept.get(part) or {}):
                    kept[part] = {**kept[part], "token": SECRETS[name]}
            # Where a service listens by default.
            text = json.dumps(kept, indent=2, ensure_ascii=False).replace(self.address, "http://127.0.0.1:8080")
            file.write_text(text + "\n")
        elif not file.exists():
            self.wrong.append(f"{name}: there is no example; `cargo xtask contract --record {name}` writes it")
        else:
            recorded = json.loads(file.read_text())
            before = len(self.wrong)
            self.compare(name, recorded.get("response"), answer, schema)
            if (recorded.get("request") is None) != (body is None):
                self.wrong.append(f"{name}: its request has a body in one of the two alone")
            if len(self.wrong) > before:
                self.wrong.append(f"{name}: `cargo xtask contract --record {name}` writes its example anew")
        return answer

    def schema(self, schema):
        """A schema, with references followed and parts put together."""
        if "$ref" in schema:
            return self.schema(self.contract["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
        parts = [self.schema(part) for part in schema.get("allOf", [])]
        others = [part for part in schema.get("oneOf", []) + schema.get("anyOf", []) if part.get("type") != "null"]
        if len(others) == 1:
            parts.append(self.schema(others[0]))
        whole = dict(schema)
        for part in parts:
            whole["properties"] = {**whole.get("properties", {}), **part.get("properties", {})}
            whole = {**part, **whole}
        return whole

    def short(self, value, schema):
        """An answer as an example keeps it: lists and maps of a few."""
        schema = self.schema(schema)
        if isinstance(value, list):
            return [self.short(item, schema.get("items", {})) for item in value[:KEPT]]
        if isinstance(value, dict):
            fields = schema.get("properties")
            if fields is None:
                is_map = isinstance(schema.get("additionalProperties"), dict)
                return dict(list(value.items())[:KEPT]) if is_map else value
            shortened = {key: self.short(item, fields.get(key, {})) for key, item in value.items()}
            return shortened
        return value

    def compare(self, place, recorded, answer, schema):
        schema = self.schema(schema)
        if recorded is None or answer is None:
            return
        if isinstance(answer, list) and isinstance(recorded, list):
            if recorded and answer:
                self.compare(f"{place}/0", recorded[0], answer[0], schema.get("items", {}))
        elif isinstance(answer, dict) and isinstance(recorded, dict):
            fields = schema.get("properties")
            if fields is None:
                return
            for key in sorted(set(recorded) ^ set(answer)):
                self.wrong.append(f"{place}: `{key}` is in {'the example' if key in recorded else 'the answer'} alone")
            for key in set(recorded) & set(answer):
                self.compare(f"{place}/{key}", recorded[key], answer[key], fields.get(key, {}))
        elif type(answer) is not type(recorded):
            self.wrong.append(f"{place}: {type(answer).__name__} instead of {type(recorded).__name__}")

    def first(self, path):
        """The first item of a list."""
        status, _, answer = self.send("GET", path)
        if status != 200 or not answer["items"]:
            raise SystemExit(f"{path} has no item: {status} {json.dumps(answer)[:300]}")
        return answer["items"][0]

    def all(self):
        """Every example. What is lacking here is named."""
        read(self)
        ask(self)
        work_on_findings(self)
        save_views(self)
        approve(self)
        administer(self)
        for name in sorted(set(self.operations) - self.done):
            self.wrong.append(f"{name}: no example sends it; add a request to {pathlib.Path(__file__).name}")
        return self.wrong


def quoted(text):
    return urllib.parse.quote(text, safe="")


def read(walk):
    """Lists, and single things of them."""
    finding = walk.call("list_findings", "/api/v1/findings?state=open&severity_min=high&limit=1")["items"][0]
    walk.call("get_finding", f"/api/v1/findings/{finding['number']}")
    walk.call("get_finding_remediation", f"/api/v1/findings/{finding['number']}/remediation")
    walk.call("list_finding_events", f"/api/v1/findings/{finding['number']}/events")
    walk.call("list_events", "/api/v1/events?after=0&kind=finding.opened&limit=1")
    walk.call("list_exceptions", "/api/v1/exceptions?limit=1")
    walk.call("list_accounts", "/api/v1/accounts?limit=1")
    walk.call("list_coverage", "/api/v1/coverage?complete=false&limit=1")
    cluster = walk.call("list_clusters", "/api/v1/clusters?limit=1")["items"][0]
    walk.call("get_cluster", f"/api/v1/clusters/{cluster['account_id']}/{cluster['region']}/{quoted(cluster['name'])}")
    found = walk.call("list_associations", "/api/v1/associations?limit=1")["items"][0]
    walk.association = found
    names = ("account_id", "region", "cluster", "namespace", "service_account")
    association = "/api/v1/associations/" + "/".join(quoted(found[name]) for name in names)
    walk.call("get_association", association)
    walk.call("get_association_usage", f"{association}/usage?days=30")
    walk.call("get_association_unused_access", f"{association}/unused-access?days=30")
    walk.call("list_roles", "/api/v1/roles?associated=true&limit=1")
    role = f"/api/v1/roles/{quoted(found['detail']['role_arn'])}"
    walk.call("get_role", role)
    walk.call("get_role_assumable_by", f"{role}/assumable-by")
    walk.call("get_role_usage", f"{role}/usage?days=30")
    walk.call("get_role_unused_access", f"{role}/unused-access?days=30")
    walk.call("get_access_report", f"/api/v1/reports/access?role={quoted(found['detail']['role_arn'])}")
    session = walk.call("list_sessions", "/api/v1/sessions?attributed=true&limit=1")["items"][0]
    walk.call("get_session", f"/api/v1/sessions/{session['account_id']}/{quoted(session['event_id'])}")
    walk.call("list_change_events", "/api/v1/change-events?limit=1")
    change = walk.call("list_changes", "/api/v1/changes?effect=widened&limit=1")["items"][0]
    walk.call("get_change", f"/api/v1/changes/{quoted(change['change_id'])}")
    walk.call("get_ingestion", "/api/v1/ingestion")
    walk.call("list_rules", "/api/v1/rules?limit=1")
    walk.call("get_rule", "/api/v1/rules/trust-without-source")
    scan = walk.call("list_scans", "/api/v1/scans?limit=1")["items"][0]
    walk.call("get_scan", f"/api/v1/scans/{scan['id']}")


ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*"}]}
WIDER = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::orders/*"}]}


def ask(walk):
    """Questions that change nothing."""
    names = ("account_id", "region", "cluster", "namespace", "service_account")
    principal = "/".join(walk.association[name] for name in names)
    walk.call("simulate", "/api/v1/simulate", {
        "principal": principal, "action": "s3:GetObject", "resource": "arn:aws:s3:::orders/2026/11/1.json",
        "resource_account": walk.association["account_id"], "context": {"aws:SecureTransport": "true"}, "closed": True,
        "policies": {"identity": [ALLOW], "resource": []},
    })
    walk.call("who_can", "/api/v1/who-can?action=s3:GetObject&resource=arn:aws:s3:::orders/2026/11/1.json")
    walk.call("compare", "/api/v1/compare", {
        "id": "orders-reader", "before": {"policies": {"identity": [ALLOW]}}, "after": {"policies": {"identity": [WIDER]}},
    })
    walk.call("what_if", "/api/v1/what-if", {"changes": [{
        "kind": "inline_policy", "action": "put", "resource": walk.association["detail"]["role_arn"], "name": "orders", "document": WIDER,
    }]})


def work_on_findings(walk):
    """Steps of people and bots."""
    finding = walk.first("/api/v1/findings?state=open&severity=medium&limit=1")["number"]
    _, headers, _ = walk.send("GET", f"/api/v1/findings/{finding}")
    walk.call(
        "update_finding", f"/api/v1/findings/{finding}", {"state": "acknowledged", "assignee": "payments"},
        {"If-Match": headers["ETag"]},
    )
    walk.call("comment_on_finding", f"/api/v1/findings/{finding}/comments",
              {"comment": "The pipeline's role is replaced in release 12"})
    walk.call("update_findings", "/api/v1/findings/bulk-update",
              {"ids": [finding], "set": {"assignee": "platform"}, "comment": "Moved to the owner of the cluster", "dry_run": True})
    reserved = walk.call("reserve_ticket", f"/api/v1/findings/{finding}/tickets",
                         {"system": "jira", "holder": "ticket-bot-0", "lease_seconds": 600})
    # The token is of this reservation alone.
    link = {"key": "SEC-1204", "url": "https://tracker.example/browse/SEC-1204", "token": reserved["token"]}
    walk.call("link_ticket", f"/api/v1/findings/{finding}/tickets/jira", link)
    walk.call("remove_ticket", f"/api/v1/findings/{finding}/tickets/jira")


def save_views(walk):
    """Lists under a name."""
    view = walk.call("create_view", "/api/v1/views",
                     {"name": "Payments, overdue", "address": "/findings?namespace=payments&due=overdue", "shared": False})["id"]
    walk.call("list_views", "/api/v1/views")
    walk.call("delete_view", f"/api/v1/views/{view}")


def approve(walk):
    """Approvals, and what is approved."""
    changes = walk.send("GET", "/api/v1/changes?approval=none&limit=100")[2]["items"]
    reason = {"reason": "The new queue of the invoices team", "ticket": "SEC-1204"}
    change = next(
        change["change_id"] for change in changes
        if not change["caused_by"] and walk.send("POST", f"/api/v1/changes/{change['change_id']}/approval", reason)[0] == 200
    )
    walk.call("approve_change", f"/api/v1/changes/{change}/approval", reason)
    walk.call("list_approval_steps", f"/api/v1/changes/{change}/approval")
    walk.call("withdraw_approval", f"/api/v1/changes/{change}/approval?reason=Approved%20by%20mistake")
    resource = quoted(next(item["resource"] for item in changes if item["change_id"] == change))
    left = walk.send("GET", f"/api/v1/changes?approval=none,withdrawn&resource={resource}&limit=100")[2]["items"]
    expected = sum(1 for item in left if not item["caused_by"])
    walk.call("approve_changes", f"/api/v1/changes/approvals?resource={resource}", {"expected": expected, **reason})
    walk.call("create_baselines", "/api/v1/baselines",
              {"resource": walk.association["detail"]["role_arn"], "reason": "Reviewed on the day of the release", "ticket": "SEC-1204"})
    baseline = walk.call("list_baselines", "/api/v1/baselines?limit=1")["items"][0]["baseline_id"]
    walk.call("get_baseline", f"/api/v1/baselines/{baseline}")
    walk.call("withdraw_baseline", f"/api/v1/baselines/{baseline}?reason=Replaced%20by%20a%20signed%20file")


def administer(walk):
    """Scans, tokens and webhooks."""
    walk.call("start_scan", "/api/v1/scans")
    token = walk.call("create_token", "/api/v1/tokens", {
        "service_account": "ticket-bot", "owner": "platform", "scopes": ["findings:read", "tickets:write"],
        "limits": ["namespace:payments"], "days": 90,
    })["id"]
    walk.call("list_tokens", "/api/v1/tokens")
    successor = walk.call("rotate_token", f"/api/v1/tokens/{token}/rotate", {"days": 90, "overlap_hours": 24})["id"]
    walk.call("revoke_token", f"/api/v1/tokens/{successor}")
    walk.call("list_webhooks", "/api/v1/webhooks")
    walk.call("test_webhook", "/api/v1/webhooks/soc/test")
    delivery = walk.call("list_webhook_deliveries", "/api/v1/webhooks/soc/deliveries?limit=1")["items"][0]["id"]
    walk.call("replay_webhook_delivery", f"/api/v1/webhooks/soc/deliveries/{delivery}/replay")
    walk.call("replay_webhook", "/api/v1/webhooks/soc/replay", {"after": 0})
    walk.call("enable_webhook", "/api/v1/webhooks/soc/enable")
    walk.call("list_audit_log", "/api/v1/audit-log?action=token.create&limit=1")

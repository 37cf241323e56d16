#!/usr/bin/env python3
"""Keeps a Jira ticket for every finding of Rolecall: files it, updates it, closes it when the finding is resolved.

Any number of these may run, and any of them may be killed at any moment: each finding has exactly one ticket. How that
comes about is in README.md. Python 3.9 or later, without further packages.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 10  # Seconds for one request, except that a wait for events takes longer.
WAIT = 20  # Seconds that Rolecall waits for an event.
LEASE = 120  # Seconds for search, filing and link together: more than their time-outs (3 * TIMEOUT).
KINDS = ",".join(
    "finding." + step
    for step in ("opened", "reopened", "changed", "resolved", "suppressed", "suppression_ended", "suppression_expired")
)
PRIORITIES = {"critical": "Highest", "high": "High", "medium": "Medium", "low": "Low", "info": "Lowest"}
# Findings that are worked on have an open ticket; the others' tickets are closed.
OPEN_STATES = ("open", "acknowledged")


class Refused(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status, problem, retry_after):
        super().__init__("HTTP %d: %s" % (status, problem.get("detail", problem)))
        self.status = status
        self.code = problem.get("code")
        self.retry_after = retry_after


class Service:
    """JSON over HTTP, with a bearer token."""

    def __init__(self, base, token):
        self.base = base.rstrip("/")
        self.token = token

    def send(self, method, path, body=None, timeout=TIMEOUT):
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("Accept", "application/json")
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            try:
                problem = json.loads(error.read())
            except ValueError:
                problem = {}
            raise Refused(error.code, problem, error.headers.get("Retry-After")) from None
        return json.loads(text) if text else None


def differs(now, value):
    """Whether a field of a ticket has another value: Jira gives objects with more in them than their names."""
    return (now or {}).get("name") != value["name"] if isinstance(value, dict) else now != value


class Tracker:
    """The few requests of Jira's REST API (version 2) that a bot needs."""

    def __init__(self, service, project):
        self.service = service
        self.project = project

    def find(self, label):
        jql = 'project = "%s" AND labels = "%s"' % (self.project, label)
        query = urllib.parse.urlencode({"jql": jql, "fields": "key", "maxResults": 1})
        issues = self.service.send("GET", "/rest/api/2/search?" + query)["issues"]
        return issues[0]["key"] if issues else None

    def file(self, label, fields):
        fields = dict(fields, project={"key": self.project}, issuetype={"name": "Task"}, labels=["rolecall", label])
        return self.service.send("POST", "/rest/api/2/issue", {"fields": fields})["key"]

    def update(self, key, fields, is_open):
        path = "/rest/api/2/issue/" + urllib.parse.quote(key)
        now = self.service.send("GET", path + "?fields=summary,description,priority,status")["fields"]
        changed = {name: value for name, value in fields.items() if differs(now.get(name), value)}
        if changed:
            self.service.send("PUT", path, {"fields": changed})
        is_done = now["status"]["statusCategory"]["key"] == "done"
        if is_open == is_done:
            wanted = "new" if is_open else "done"
            choices = self.service.send("GET", path + "/transitions")["transitions"]
            fit = [it for it in choices if it["to"]["statusCategory"]["key"] == wanted]
            if not fit:
                raise RuntimeError("%s has no transition to a status of the category %s" % (key, wanted))
            self.service.send("POST", path + "/transitions", {"transition": {"id": fit[0]["id"]}})

    def page(self, key):
        return "%s/browse/%s" % (self.service.base, key)


def fields_of(finding):
    """What a ticket says of a finding."""
    subject = finding["subject"]
    lines = [
        finding["message"],
        "",
        finding["url"],
        "Rule: %s" % finding["rule_id"],
        "Account: %s" % subject["account_id"],
        "Subject: %s" % subject["key"],
        "First seen: %s" % finding["first_seen_at"],
    ]
    if finding["due_at"]:
        lines.append("Due: %s" % finding["due_at"])
    if finding["workloads"]:
        lines += ["", "Workloads that reach the role (%d):" % finding["workload_count"]]
        lines += ["* %s (%s)" % (it["association"], it["via"]) for it in finding["workloads"]]
    if finding.get("evidence"):
        lines += ["", "Evidence:"]
        lines += ["* %s, %s%s" % (it["label"], it["source"], it["pointer"]) for it in finding["evidence"]]
    if finding["remediation"]:
        lines += ["", "How to fix it:", finding["remediation"]]
    return {
        "summary": ("[%s] %s" % (finding["severity"], finding["title"]))[:250],
        "description": "\n".join(lines)[:30000],
        "priority": {"name": PRIORITIES[finding["severity"]]},
    }


class Memory:
    """Where the feed was read up to, and which findings other workers had reserved, in a file that is never half written."""

    def __init__(self, path):
        self.path = path
        self.after = None
        self.held = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                kept = json.load(file)
            self.after, self.held = kept["after"], kept["held"]

    def keep(self):
        new = self.path + ".new"
        with open(new, "w", encoding="utf-8") as file:
            json.dump({"after": self.after, "held": self.held}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)


class Bot:
    def __init__(self, rolecall, tracker, memory, system, name, severity_min):
        self.rolecall = rolecall
        self.tracker = tracker
        self.memory = memory
        self.system = system
        self.name = name
        ranks = list(PRIORITIES)
        self.severities = ranks[: ranks.index(severity_min) + 1]

    def step(self, wait):
        """Works on what is new, and keeps how far that is only once it is done."""
        self.look_again()
        if self.memory.after is None:
            # The position first, then the list: what happens in between comes in the feed.
            after = self.rolecall.send("GET", "/api/v1/events")["next_after"]
            for finding in self.findings():
                self.work_on(finding)
            self.memory.after = after
            self.memory.keep()
            return
        if self.memory.held:
            wait = min(wait, 2)
        query = urllib.parse.urlencode(
            {"after": self.memory.after, "wait": wait, "kind": KINDS, "limit": 50, "include": "evidence"}
        )
        try:
            feed = self.rolecall.send("GET", "/api/v1/events?" + query, timeout=wait + TIMEOUT)
        except Refused as why:
            if why.status != 410:
                raise
            # The position is older than what is kept, or of another database: begin anew.
            self.memory.after = None
            return
        # An event gives its finding as it is now, so that once is enough for each.
        for finding in {item["fingerprint"]: item["finding"] for item in feed["items"]}.values():
            if finding:
                self.work_on(finding)
        if feed["next_after"] != self.memory.after:
            self.memory.after = feed["next_after"]
            self.memory.keep()

    def findings(self):
        query = {"state": "open,acknowledged", "sort": "number", "limit": 100, "total": "none", "include": "evidence"}
        while True:
            part = self.rolecall.send("GET", "/api/v1/findings?" + urllib.parse.urlencode(query))
            yield from part["items"]
            if not part["next_cursor"]:
                return
            query["cursor"] = part["next_cursor"]

    def look_again(self):
        """Findings that another worker had reserved: it may have gone away for good."""
        for fingerprint, due in list(self.memory.held.items()):
            if due <= time.time():
                self.work_on(self.rolecall.send("GET", "/api/v1/findings/" + urllib.parse.quote(fingerprint)))

    def work_on(self, finding):
        is_open = finding["state"] in OPEN_STATES
        key = next((it["key"] for it in finding["tickets"] if it["system"] == self.system and it["key"]), None)
        if key is None:
            wanted = is_open and finding["severity"] in self.severities and finding["part_of"] is None
            key = self.file(finding) if wanted else self.forget(finding)
        else:
            self.forget(finding)
        if key is not None:
            self.tracker.update(key, fields_of(finding), is_open)

    def file(self, finding):
        """Files the ticket of a finding, or finds the one that an earlier worker filed; None where another one files."""
        path = "/api/v1/findings/%s/tickets" % urllib.parse.quote(finding["fingerprint"])
        asked = {"system": self.system, "holder": self.name, "lease_seconds": LEASE}
        try:
            reserved = self.rolecall.send("POST", path, asked)
        except Refused as why:
            if why.code == "ticket_held":
                self.memory.held[finding["fingerprint"]] = time.time() + 2
                self.memory.keep()
                return None
            if why.code == "ticket_filed":
                # The other one has brought it up to date by itself, but maybe to an older state.
                now = self.rolecall.send("GET", path[: -len("/tickets")])
                self.forget(finding)
                return next(it["key"] for it in now["tickets"] if it["system"] == self.system)
            raise
        label = reserved["idempotency_key"]
        key = self.tracker.find(label) if reserved["reserved_before"] else None
        if key is None:
            key = self.tracker.file(label, fields_of(finding))
        link = {"key": key, "url": self.tracker.page(key), "token": reserved["token"]}
        self.rolecall.send("PUT", "%s/%s" % (path, self.system), link)
        self.forget(finding)
        return key

    def forget(self, finding):
        if self.memory.held.pop(finding["fingerprint"], None) is not None:
            self.memory.keep()


def main():
    options = argparse.ArgumentParser(description="Keeps a Jira ticket for every finding of Rolecall.")
    options.add_argument("--rolecall", required=True, help="address of Rolecall; its token is in ROLECALL_TOKEN")
    options.add_argument("--tracker", required=True, help="address of Jira; its token is in TRACKER_TOKEN")
    options.add_argument("--project", required=True, help="key of the Jira project")
    options.add_argument("--name", required=True, help="name of this worker: no other one that runs has it")
    options.add_argument("--memory", required=True, help="file in which this worker keeps how far it has read")
    options.add_argument("--system", default="jira", help="how Rolecall calls the tracker (jira)")
    options.add_argument("--severity-min", default="high", choices=list(PRIORITIES), help="tickets from here on (high)")
    given = options.parse_args()
    bot = Bot(
        Service(given.rolecall, os.environ.get("ROLECALL_TOKEN", "")),
        Tracker(Service(given.tracker, os.environ.get("TRACKER_TOKEN", "")), given.project),
        Memory(given.memory),
        given.system,
        given.name,
        given.severity_min,
    )
    failures = 0
    while True:
        try:
            bot.step(WAIT)
            failures = 0
        except KeyboardInterrupt:
            return 0
        # Whatever it was: what was not kept is done again.
        except (Refused, OSError, RuntimeError, ValueError) as why:
            if isinstance(why, Refused) and why.status in (401, 403):
                print("cannot go on: %s" % why, file=sys.stderr)
                return 1
            failures += 1
            pause = min(60, 2**failures)
            if isinstance(why, Refused) and (why.retry_after or "").isdigit():
                pause = int(why.retry_after)
            print("again in %d s: %s" % (pause, why), file=sys.stderr)
            time.sleep(pause)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""A second opinion: an AWS emulator that is not ours.

Reads the demo estate out of our sandbox with boto3 (botocore validates every shape that we
answer with), writes it into moto, lets `rolecall scan` collect both, and compares what was
stored. Moto has no Pod Identity associations, so there the scan must report gaps, not zero.

Then a generated organisation, whose problems are known, goes into moto, with the sandbox behind it for
what moto lacks (front.py), and `account:ListRegions` is refused: a scan must find every problem of an
association all the same.

Then it puts a trail's files into a bucket of moto, which tells a queue of them through moto's own
notifications. Every file must be read, whole and once, by listing and by queue. And it serves a topic and an event
bus of moto, behind which a queue must get each message. Findings of the scan go into Security Hub of moto, and as OCSF
events through the models of another project.

Runs in a virtual environment that it makes under target/.
"""

import gzip
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request
import venv

sys.dont_write_bytecode = True
from front import Front  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[3]
VENV = ROOT / "target" / "second-opinion" / "venv"
WORK = ROOT / "target" / "second-opinion"
PACKAGES = ["moto[server]==5.2.5", "boto3", "py-ocsf-models==0.10.0"]
MEMBER_ROLE = "RolecallReadOnly"
BINARIES = ROOT / "target" / "debug"


def enter_venv():
    """Re-runs this script inside the virtual environment, making it first where it is missing."""
    python = VENV / "bin" / "python"
    if pathlib.Path(sys.prefix) == VENV:
        return
    listed = VENV / "packages"
    if not listed.exists() or listed.read_text() != "\n".join(PACKAGES):
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        listed.write_text("\n".join(PACKAGES))
    os.execv(python, [str(python), __file__])


def environment(endpoint, region="us-east-1"):
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIASANDBOXHUB000000",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def start_sandbox(*arguments):
    process = subprocess.Popen([BINARIES / "rolecall-sandbox", *arguments], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "http://" in line:
            return process, line[line.index("http://"):].split()[0]
    raise SystemExit("the sandbox ended without saying where it listens")


def start_moto():
    port = 45873
    log = open(WORK / "moto.log", "w")
    process = subprocess.Popen(
        [VENV / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log,
        # AWS's own managed policies, so that they can be attached.
        env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
    )
    endpoint = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(endpoint + "/moto-api/", timeout=1)
            return process, endpoint
        except OSError:
            time.sleep(0.2)
    raise SystemExit("moto did not start")


class Account:
    """One account of one endpoint, entered through AssumeRole."""

    def __init__(self, endpoint, account_id):
        import boto3

        base = dict(
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIASANDBOXHUB000000",
            aws_secret_access_key="sandbox",
        )
        credentials = boto3.client("sts", **base).assume_role(
            RoleArn=f"arn:aws:iam::{account_id}:role/{MEMBER_ROLE}", RoleSessionName="rolecall-second-opinion"
        )["Credentials"]
        self.base = dict(
            endpoint_url=endpoint,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        )

    def client(self, service, region="us-east-1"):
        import boto3

        return boto3.client(service, region_name=region, **self.base)


def read_sandbox(endpoint):
    """The sandbox's estate, through botocore's own readers."""
    import boto3

    base = dict(
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIASANDBOXHUB000000",
        aws_secret_access_key="sandbox",
    )
    organizations = boto3.client("organizations", **base)
    accounts = [a["Id"] for page in organizations.get_paginator("list_accounts").paginate() for a in page["Accounts"]]
    estate = {}
    for account_id in accounts:
        account = Account(endpoint, account_id)
        roles, policies = [], []
        for page in account.client("iam").get_paginator("get_account_authorization_details").paginate():
            roles += page["RoleDetailList"]
            policies += page["Policies"]
        clusters = {}
        regions = [r["RegionName"] for p in account.client("account").get_paginator("list_regions").paginate() for r in p["Regions"]]
        for region in regions:
            eks = account.client("eks", region)
            for page in eks.get_paginator("list_clusters").paginate():
                for name in page["clusters"]:
                    clusters.setdefault(region, []).append(eks.describe_cluster(name=name)["cluster"])
                    for associations in eks.get_paginator("list_pod_identity_associations").paginate(clusterName=name):
                        for summary in associations["associations"]:
                            eks.describe_pod_identity_association(
                                clusterName=name, associationId=summary["associationId"]
                            )
        estate[account_id] = {"roles": roles, "policies": policies, "clusters": clusters}
    return estate


def text(document):
    return document if isinstance(document, str) else json.dumps(document)


def seed_moto(endpoint, estate, own_issuers=False):
    """Writes the estate with the calls that a person would make. Returns what moto refused, and moto's
    name of each cluster's OIDC issuer.

    `own_issuers`: trust policies name the OIDC issuers of moto's clusters instead of the sandbox's."""
    from botocore.exceptions import ClientError

    refused, issuers = [], {}

    def trust_of(role):
        document = text(role["AssumeRolePolicyDocument"])
        for ours, theirs in issuers.items() if own_issuers else ():
            document = document.replace(ours, theirs)
        return document

    def attempt(what, call, **arguments):
        try:
            return call(**arguments)
        except ClientError as error:
            refused.append((what, error.response["Error"]["Code"]))
            return None

    for account_id, content in estate.items():
        account = Account(endpoint, account_id)
        iam = account.client("iam")
        for region, clusters in content["clusters"].items():
            eks = account.client("eks", region)
            for cluster in clusters:
                made = attempt(("cluster", cluster["arn"]), eks.create_cluster, name=cluster["name"],
                        roleArn=cluster.get("roleArn") or f"arn:aws:iam::{account_id}:role/cluster",
                        resourcesVpcConfig={"subnetIds": ["subnet-00000001", "subnet-00000002"]}, version=cluster["version"])
                if made:
                    host = cluster["identity"]["oidc"]["issuer"].removeprefix("https://")
                    issuers[host] = made["cluster"]["identity"]["oidc"]["issuer"].removeprefix("https://")
        for policy in content["policies"]:
            if policy["Arn"].split(":")[4] == "aws":
                continue
            current = next(v for v in policy["PolicyVersionList"] if v["IsDefaultVersion"])
            attempt(("policy", policy["Arn"]), iam.create_policy, PolicyName=policy["PolicyName"], Path=policy["Path"],
                    PolicyDocument=text(current["Document"]))
        for role in content["roles"]:
            arguments = dict(RoleName=role["RoleName"], Path=role["Path"],
                             AssumeRolePolicyDocument=trust_of(role), Tags=role.get("Tags", []))
            if boundary := role.get("PermissionsBoundary"):
                arguments["PermissionsBoundary"] = boundary["PermissionsBoundaryArn"]
            if attempt(("role", role["Arn"]), iam.create_role, **arguments) is None:
                continue
            for inline in role["RolePolicyList"]:
                attempt(("inline policy", role["Arn"]), iam.put_role_policy, RoleName=role["RoleName"],
                        PolicyName=inline["PolicyName"], PolicyDocument=text(inline["PolicyDocument"]))
            for attached in role["AttachedManagedPolicies"]:
                attempt(("attachment", role["Arn"]), iam.attach_role_policy, RoleName=role["RoleName"],
                        PolicyArn=attached["PolicyArn"])
    return refused, issuers


def scan(name, endpoint, accounts, regions, kinds=("roles", "associations", "gaps"), hub_region="us-east-1"):
    """Collects through `rolecall scan`, then exports what was stored. `regions`: none, to have them found."""
    folder = WORK / name
    subprocess.run(["rm", "-rf", str(folder / "data")], check=True)
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "rolecall.toml"
    listed = "".join(f'\n[[aws.accounts]]\nid = "{account}"\n' for account in accounts)
    only = f"regions = {json.dumps(regions)}\n" if regions else ""
    config.write_text(f"[aws]\n{only}{listed}")
    base = [str(BINARIES / "rolecall"), "--config", str(config), "--data-dir", str(folder / "data")]
    env = environment(endpoint, hub_region)
    summary = json.loads(subprocess.run([*base, "--format", "json", "scan"], env=env, check=True, capture_output=True, text=True).stdout)

    def export(kind):
        out = subprocess.run([*base, "export", kind, "--format", "ndjson"], env=env, check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    return summary, {kind: export(kind) for kind in kinds}


SIZES = "accounts=4,roles=120,associations=12,clusters=1,events=20,problems=1"
# Where the generator puts its only cluster. The hub's own region is read whatever is refused.
CLUSTER_REGION = "eu-west-1"


def check_refused_regions(moto_endpoint):
    """Scans a generated organisation out of moto, and the sandbox behind it, that refuses the list of regions."""
    truth_file = WORK / "truth.json"
    sandbox, sandbox_endpoint = start_sandbox("--generate", SIZES, "--truth", truth_file)
    try:
        estate = read_sandbox(sandbox_endpoint)
        refused, issuers = seed_moto(moto_endpoint, estate, own_issuers=True)
        front = Front(moto_endpoint, sandbox_endpoint, refused={"account"}, renamed=issuers)
        try:
            summary, exports = scan("front", front.endpoint, sorted(estate), None, ("findings", "gaps"), CLUSTER_REGION)
        finally:
            front.stop()
    finally:
        sandbox.kill()
        sandbox.wait()
    failures = []
    if not any(gap["action"] == "account:ListRegions" for gap in exports["gaps"]) or not front.calls["refused"]:
        failures.append("no gap names account:ListRegions")
    found = {(f["subject"], f["rule_id"]) for f in exports["findings"] if f["state"] == "open"}
    problems = [e for e in json.loads(truth_file.read_text()) if e["class"] == "problem" and not e["subject"].startswith("arn:")]
    missed = [e for e in problems if not any((e["subject"], rule) in found for rule in e["rules"])]
    failures += [f"refused regions: {e['kind']} {e['subject']} is not found by {' or '.join(e['rules'])}" for e in missed]
    print(f"moto behind a refused list of regions: {len(problems) - len(missed)} of {len(problems)} problems of associations found,"
          f" {summary['roles']} roles, {len(refused)} writes refused by moto, calls {front.calls}")
    return failures


TRAIL_ACCOUNT = "111122223333"
TRAIL_BUCKET = "second-opinion-trail"


def trail_files():
    """Files of an organisation's trail: more than one page of a listing holds, in two regions."""
    def key(region, day, n):
        name = f"{TRAIL_ACCOUNT}_CloudTrail_{region}_{day.replace('/', '')}T{n // 60 % 24:02}{n % 60:02}Z_{n:016}.json.gz"
        return f"logs/AWSLogs/o-exampleorg/{TRAIL_ACCOUNT}/CloudTrail/{region}/{day}/{name}"

    keys = [key("eu-west-1", "2026/11/22", n) for n in range(1005)]
    keys += [key(region, "2026/11/23", n) for region in ("eu-west-1", "us-east-1") for n in range(20)]
    return {k: gzip.compress(json.dumps({"Records": [{"eventID": k}]}).encode(), mtime=0) for k in keys}


def digest_key():
    name = f"{TRAIL_ACCOUNT}_CloudTrail-Digest_eu-west-1_main_eu-west-1_20261123T000000Z.json.gz"
    return f"logs/AWSLogs/o-exampleorg/{TRAIL_ACCOUNT}/CloudTrail-Digest/eu-west-1/2026/11/23/{name}"


def read_trail(endpoint, region, *arguments):
    """What the example reads, from a hub in a region: location -> digests, and the other lines."""
    command = [str(BINARIES / "examples" / "read_trail"), *arguments]
    env = {**environment(endpoint), "AWS_REGION": region}
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    read, others = {}, []
    for line in map(json.loads, out.splitlines()):
        if "read" in line:
            read.setdefault(line["read"], []).append(line["sha256"])
        else:
            others.append(line)
    return read, others


def check_trails(endpoint):
    """Reads a trail from moto, by listing and by the notifications of moto's S3. Returns what differs."""
    import boto3

    base = dict(endpoint_url=endpoint, aws_access_key_id="AKIASANDBOXHUB000000", aws_secret_access_key="sandbox")
    s3 = boto3.client("s3", region_name="eu-west-1", **base)
    sqs = boto3.client("sqs", region_name="eu-west-1", **base)
    s3.create_bucket(Bucket=TRAIL_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    url = sqs.create_queue(QueueName="trail")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    files = trail_files()
    told = [key for key in files if "/2026/11/23/" in key]
    for key, content in files.items():
        if key not in told:
            s3.put_object(Bucket=TRAIL_BUCKET, Key=key, Body=content)
    s3.put_bucket_notification_configuration(Bucket=TRAIL_BUCKET, NotificationConfiguration={
        "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
    for key in [*told, digest_key()]:
        s3.put_object(Bucket=TRAIL_BUCKET, Key=key, Body=files.get(key, b"digest"))
    sqs.send_message(QueueUrl=url, MessageBody="no notification")

    def digests(keys):
        return {f"s3://{TRAIL_BUCKET}/{key}": [hashlib.sha256(files[key]).hexdigest()] for key in keys}

    failures = []
    read, others = read_trail(endpoint, "us-east-1", "s3", TRAIL_BUCKET, "logs")
    if read != digests(files):
        failures.append(f"by listing {len(read)} of {len(files)} files were read as they are")
    passes = [line["pass"] for line in others if "pass" in line]
    if [(p["fetched"], p["missed"]) for p in passes] != [(len(files), 0), (0, 0)] or len(others) != 2:
        failures.append(f"listing: {others}")
    read, others = read_trail(endpoint, "eu-west-1", "sqs", url, TRAIL_BUCKET)
    if read != digests(told):
        failures.append(f"by queue {len(read)} of {len(told)} files were read as they are")
    aside = [line["reason"] for line in others if "set_aside" in line]
    waiting = [line["pass"]["waiting"] for line in others if "pass" in line]
    if len(aside) != 1 or not aside[0].startswith("not JSON") or waiting[-1] != 0 or len(others) != 3:
        failures.append(f"queue: {others}")
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    if int(left["ApproximateNumberOfMessages"]) + int(left["ApproximateNumberOfMessagesNotVisible"]) != 0:
        failures.append(f"the queue is not empty: {left}")
    print(f"moto's trail: {len(files)} files by listing, {len(told)} by queue")
    return [f"trail: {failure}" for failure in failures]


def check_messages(endpoint):
    """Serves a topic and an event bus of moto, each with a queue behind it. Returns what does not arrive."""
    import boto3

    base = dict(endpoint_url=endpoint, region_name="eu-west-1", aws_access_key_id="AKIASANDBOXHUB000000", aws_secret_access_key="sandbox")
    sns, events, sqs = (boto3.client(service, **base) for service in ("sns", "events", "sqs"))

    def queue(name):
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    (topic_queue, topic_queue_arn), (bus_queue, bus_queue_arn) = queue("topic"), queue("bus")
    topic = sns.create_topic(Name="findings")["TopicArn"]
    # Only what has the attribute passes.
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=topic_queue_arn, Attributes={
        "FilterPolicy": json.dumps({"type": ["webhook.test"]}), "RawMessageDelivery": "true"})
    bus = events.create_event_bus(Name="security")["EventBusArn"]
    events.put_rule(Name="tests", EventBusName="security", EventPattern=json.dumps(
        {"source": ["rolecall"], "detail-type": ["webhook.test"]}))
    events.put_targets(Rule="tests", EventBusName="security", Targets=[{"Id": "queue", "Arn": bus_queue_arn}])
    folder = WORK / "messages"
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir(parents=True)
    config = folder / "rolecall.toml"
    config.write_text(
        f'[schedule]\nenabled = false\n[[outgoing.webhooks]]\nname = "topic"\nkind = "sns"\ntopic_arn = "{topic}"\n'
        f'[[outgoing.webhooks]]\nname = "bus"\nkind = "eventbridge"\nevent_bus_arn = "{bus}"\n')
    command = [str(BINARIES / "rolecall"), "--config", str(config), "--data-dir", str(folder / "data")]
    env = environment(endpoint)
    server = subprocess.Popen([*command, "serve", "--bind", "127.0.0.1:45874"], env=env, stdout=subprocess.DEVNULL, stderr=open(folder / "log", "w"))
    failures = []
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen("http://127.0.0.1:45874/livez", timeout=1)
                break
            except OSError:
                time.sleep(0.2)
        for name, url in (("topic", topic_queue), ("bus", bus_queue)):
            out = subprocess.run([*command, "--format", "json", "admin", "webhook", "test", name], env=env, check=True, capture_output=True, text=True)
            sent = json.loads(out.stdout)["id"]
            got = []
            for _ in range(60):
                got += sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
                if got:
                    break
            message = json.loads(got[0]["Body"]) if got else {}
            message = message if name == "topic" else message.get("detail", {})
            if message.get("id") != sent or message.get("type") != "webhook.test":
                failures.append(f"messages: {name} got {message} and not {sent}")
    finally:
        server.terminate()
        server.wait()
    print(f"moto's topic and event bus: {2 - len(failures)} of 2 messages arrived")
    return failures


def check_exports(endpoint):
    """Gives the findings of the sandbox's scan to Security Hub of moto and to other models of OCSF. Returns what they
    refuse."""
    import boto3
    from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding
    from pydantic import ValidationError

    folder = WORK / "sandbox"
    command = [str(BINARIES / "rolecall"), "--data-dir", str(folder / "data"), "export", "findings", "--format"]

    def export(form):
        out = subprocess.run([*command, form], check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    failures = []
    batches = [batch["Findings"] if isinstance(batch, dict) else batch for batch in export("asff")]
    asff = [finding for batch in batches for finding in batch]
    hub = boto3.client("securityhub", endpoint_url=endpoint, region_name="eu-west-1",
                       aws_access_key_id="AKIASANDBOXHUB000000", aws_secret_access_key="sandbox")
    for batch in batches:
        refused = hub.batch_import_findings(Findings=batch)["FailedFindings"]
        failures += [f"asff: {finding['Id']}: {finding['ErrorMessage']}" for finding in refused]
    kept = sum(len(page["Findings"]) for page in hub.get_paginator("get_findings").paginate())
    if kept != len(asff) or not asff:
        failures.append(f"asff: Security Hub has {kept} of {len(asff)} findings")
    ocsf = export("ocsf")
    compliance = [event for event in ocsf if event["class_uid"] == 2003]
    for event in compliance:
        try:
            ComplianceFinding.model_validate(event)
        except ValidationError as error:
            # OCSF asks of a user for one of its name, uid and account; these models ask for all.
            wrong = [it for it in error.errors() if it["type"] != "missing" or "owner" not in it["loc"]]
            failures += [f"ocsf: {event['finding_info']['uid']}: {it['loc']}: {it['msg']}" for it in wrong]
    if not compliance:
        failures.append("ocsf: no compliance finding")
    print(f"moto's Security Hub: {kept} of {len(asff)} findings; OCSF: {len(compliance)} of {len(ocsf)} events are compliance findings, read")
    return failures


def main():
    enter_venv()
    WORK.mkdir(parents=True, exist_ok=True)
    sandbox, sandbox_endpoint = start_sandbox("--demo")
    moto, moto_endpoint = start_moto()
    try:
        estate = read_sandbox(sandbox_endpoint)
        refused, _ = seed_moto(moto_endpoint, estate)
        regions = sorted({region for content in estate.values() for region in content["clusters"]} | {"us-east-1"})
        ours, our_exports = scan("sandbox", sandbox_endpoint, sorted(estate), regions)
        theirs, their_exports = scan("moto", moto_endpoint, sorted(estate), regions)
        other_failures = check_refused_regions(moto_endpoint) + check_trails(moto_endpoint) + check_messages(moto_endpoint)
        other_failures += check_exports(moto_endpoint)
    finally:
        for process in (sandbox, moto):
            process.kill()
            process.wait()
    return compare(refused, ours, our_exports, theirs, their_exports, other_failures)


def compare(refused, ours, our_exports, theirs, their_exports, failures):
    unmade = {arn for (kind, arn), _ in refused if kind == "role"}
    partial = {arn for (kind, arn), _ in refused if kind in ("inline policy", "attachment")}
    print(f"moto refused {len(refused)} writes:")
    for (kind, arn), code in refused:
        print(f"  {code}: {kind} {arn}")

    def roles(export):
        keep = ("trust_digest", "boundary_arn", "inline_policies", "attached_policies", "tags")
        return {r["role_arn"]: {k: r.get(k) for k in keep} for r in export["roles"]}

    mine, other = roles(our_exports), roles(their_exports)
    for arn in sorted((set(mine) | set(other)) - unmade):
        if arn not in mine or arn not in other:
            failures.append(f"role {arn} only in {'the sandbox' if arn in mine else 'moto'}")
        elif arn not in partial and mine[arn] != other[arn]:
            failures.append(f"role {arn} differs:\n  sandbox {mine[arn]}\n  moto    {other[arn]}")
    missing_policies = sum(1 for (kind, _), _ in refused if kind == "policy")
    for count, allowance in (("clusters", 0), ("local_policies", missing_policies)):
        if ours[count] != theirs[count] + allowance:
            failures.append(f"{count}: sandbox {ours[count]}, moto {theirs[count]}, refused {allowance}")
    unseen = {(g["account_id"], g["scope"]) for g in their_exports["gaps"]}
    for account in {a["account_id"] for a in our_exports["associations"]}:
        if (account, "associations") not in unseen:
            failures.append(f"moto has no associations, and account {account} has no gap that says so")
    print(f"sandbox: {ours['roles']} roles, {ours['clusters']} clusters, {ours['associations']} associations")
    print(f"moto:    {theirs['roles']} roles, {theirs['clusters']} clusters, {theirs['gaps']} gaps")
    for failure in failures:
        print(f"DIFFERS {failure}")
    print(f"second opinion: {'agrees' if not failures else f'{len(failures)} differences'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The contract of the API, held against a running server by tools that are not ours.

openapi-spec-validator says whether `openapi.json` is OpenAPI 3.1, jsonschema whether each example in it is what its
schema says. Then Schemathesis sends requests that the contract allows, and requests that it does not, to
`rolecall serve` over the generated organization: with every scope, with the scopes that read, and without a
credential. Every check that it has is on.

Before that each example of the contract is sent again (examples.py).

Runs in a virtual environment that it makes under target/. One argument: how many requests of random data each
operation is sent, instead of a few. Or `--record` with `all` or names of operations: their examples are written anew,
and nothing else is done.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv

sys.dont_write_bytecode = True
from examples import Walk  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[4]
HERE = pathlib.Path(__file__).resolve().parent
WORK = ROOT / "target" / "contract"
VENV = WORK / "venv"
PACKAGES = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"]
ROLECALL = ROOT / "target" / "debug" / "rolecall"
READING = ["findings:read", "inventory:read", "policies:read", "scans:read"]
# So many requests of random data for each operation where nobody says how many.
EXAMPLES = 4
SEED = 20260117
CONFIG = """\
[server]
# A test sends more than people do.
requests_per_minute = 0

[[outgoing.webhooks]]
name = "soc"
url = "https://hooks.example.com/rolecall"
secret_files = ["secret"]
"""


def enter_venv():
    """Re-runs this script inside the virtual environment, making it first where it is missing."""
    python = VENV / "bin" / "python"
    if pathlib.Path(sys.prefix) == VENV:
        return
    wanted = VENV / ("-".join(PACKAGES).replace("==", "-") + ".ready")
    if not wanted.exists():
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        wanted.touch()
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


def rolecall(*words, **options):
    base = [str(ROLECALL), "--config", str(WORK / "rolecall.toml"), "--data-dir", str(WORK / "data" / "demo")]
    return subprocess.run([*base, *words], check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def check_document(contract):
    """Whether the contract is OpenAPI, and its examples are what their schemas say."""
    import jsonschema
    from openapi_spec_validator import validate

    validate(contract)
    wrong, count = [], 0

    def check(example, schema, place):
        nonlocal count
        count += 1
        whole = {**schema, "components": contract["components"]}
        checker = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
        wrong.extend(f"{place}{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in checker.iter_errors(example))

    for path, item in contract["paths"].items():
        for method, operation in item.items():
            place = f"{method.upper()} {path}"
            for parameter in operation.get("parameters", []):
                if "example" in parameter:
                    check(parameter["example"], parameter["schema"], f"{place} {parameter['name']} ")
            parts = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for name, part in parts.items():
                for content in part.get("content", {}).values():
                    if "example" in content:
                        check(content["example"], content["schema"], f"{place} {name} ")
    for name, schema in contract["components"]["schemas"].items():
        if "example" in schema:
            check(schema["example"], schema, f"{name} ")
    if wrong:
        raise SystemExit("examples that are not what their schemas say:\n" + "\n".join(wrong))
    print(f"openapi.json is OpenAPI {contract['openapi']}; {count} examples are what their schemas say", flush=True)


def start():
    """A server over the generated organization, which runs no scan of its own, and where it listens."""
    shutil.rmtree(WORK / "data", ignore_errors=True)
    (WORK / "rolecall.toml").write_text(CONFIG)
    (WORK / "secret").write_text("whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0")
    (WORK / "secret").chmod(0o600)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DATABASE_URL", "ROLECALL_BIND"))}
    subprocess.run(
        [str(ROLECALL), "--data-dir", str(WORK / "data"), "demo", "--once"],
        check=True, env=environment, cwd=WORK, stdout=subprocess.DEVNULL,
    )
    command = [str(ROLECALL), "--config", str(WORK / "rolecall.toml"), "--data-dir", str(WORK / "data" / "demo")]
    log = open(WORK / "serve.log", "w")
    server = subprocess.Popen(
        [*command, "serve", "--role", "web", "--bind", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=WORK,
    )
    line = server.stdout.readline()
    if "http://" not in line:
        raise SystemExit(f"the server ended: {line}; see {WORK / 'serve.log'}")
    return server, line[line.index("http://"):].split("/login")[0].rstrip("/ \n")


def test(name, address, token, examples):
    """One run of Schemathesis. Its checks are all on; what is left out is in schemathesis.toml, each with its reason."""
    # One worker: in CPython 3.11 threads share the depth of `ast.parse`, which Hypothesis calls (python/cpython#106905).
    command = [
        str(VENV / "bin" / "st"), "--config-file", str(HERE / "schemathesis.toml"), "run", str(WORK / "openapi.json"),
        "--url", address, "--checks", "all", "--max-examples", str(examples), "--seed", str(SEED),
        "--workers", "1", "--no-color", "--generation-database", "none", "--continue-on-failure",
        "--report", "junit", "--report-dir", str(WORK / name),
    ]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "ROLECALL_CREDENTIAL": name}
    print(f"\n== {name}", flush=True)
    with open(WORK / f"{name}.log", "w") as log:
        ended = subprocess.run(command, env=environment, cwd=WORK, stdout=log, stderr=subprocess.STDOUT)
    text = (WORK / f"{name}.log").read_text()
    print(text if ended.returncode else text[-1500:], flush=True)
    return ended.returncode == 0


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    enter_venv()
    words = sys.argv[1:]
    record = words[1:] if words[:1] == ["--record"] else []
    examples = int(words[0]) if words and not record else EXAMPLES
    printed = subprocess.run([str(ROLECALL), "openapi"], check=True, capture_output=True, text=True).stdout
    if not record and json.loads(printed) != json.loads((ROOT / "openapi.json").read_text()):
        raise SystemExit("openapi.json is not what `rolecall openapi` prints")
    (WORK / "openapi.json").write_text(printed)
    contract = json.loads(printed)
    if not record:
        check_document(contract)
    server, address = start()
    try:
        every = rolecall("admin", "token", "create", "--name", "tickets", "--scope", "admin").strip()
        wrong = Walk(address, every, contract, record).all()
        if wrong:
            raise SystemExit("examples and answers differ:\n" + "\n".join(wrong))
        if record:
            print("now build, and write openapi.json: rolecall openapi > openapi.json")
            return
        print(f"{len(contract['paths'])} addresses answer their examples in the same form", flush=True)
        reading = [word for scope in READING for word in ("--scope", scope)]
        reads = rolecall("admin", "token", "create", "--name", "contract-reads", *reading).strip()
        runs = [("nobody", None), ("reads", reads), ("admin", every)]
        passed = [test(name, address, token, examples) for name, token in runs]
    finally:
        server.terminate()
        server.wait(timeout=60)
    faults = [line for line in (WORK / "serve.log").read_text().splitlines() if "request failed" in line]
    if faults:
        raise SystemExit("the server failed:\n" + "\n".join(faults[:20]))
    if not all(passed):
        raise SystemExit(f"the server and its contract differ; logs in {WORK}")


if __name__ == "__main__":
    main()

"""What Schemathesis cannot make up by itself.

A cursor is signed by the server: the contract can say no more of it than that it is text. Where the request is meant to
be a good one it is left out, but for one that a list gave; where it is meant to be a bad one, it stays.

A time that has passed is one of which there is a scan: those that are made up are before the first or still to come.
"""

import re

import schemathesis

# As a list gives one: JSON, and its signature. The contract's example is signed by nobody.
GIVEN = re.compile(r"eyJ[\w-]*\.[\w-]{43}")


@schemathesis.hook
def before_call(context, case, **kwargs):
    if not case.query:
        return
    meta = case.meta
    if meta is not None and meta.generation.mode.is_positive:
        if "cursor" in case.query and not GIVEN.fullmatch(str(case.query["cursor"])):
            del case.query["cursor"]
        case.query.pop("at", None)
    # A reader that waits for what happens next waits as long as it says.
    wait = case.query.get("wait")
    if isinstance(wait, int) and 0 < wait <= 60:
        case.query["wait"] = 1

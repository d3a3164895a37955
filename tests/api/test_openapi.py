"""The API's description is valid, complete, and true."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from netbootd import mac
from netbootd.api import values
from netbootd.boots.boot import Boot, Note, Outcome, Stage, Step
from netbootd.http.api import PAGES
from netbootd.why.diagnosis import Cause, Diagnosis, State

DOCUMENT = json.loads(resources.files("netbootd.api").joinpath("openapi.json").read_bytes())
SCHEMAS = DOCUMENT["components"]["schemas"]
METHODS = {"get", "put", "post", "delete", "patch"}
DOCUMENTED = sorted(
    (path, method) for path, item in DOCUMENT["paths"].items() for method in METHODS & item.keys()
)
MAC = "52:54:00:12:34:56"


def test_the_description_is_valid_openapi():
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def routes(rig):
    """Every page and method that the API answers."""
    pages = {
        pattern: {**methods, **rig.api._own.get(pattern, {})} for pattern, methods in PAGES.items()
    }
    return sorted(
        (f"/{one}", method.lower()) for one, methods in pages.items() for method in methods
    )


def test_every_page_is_described_and_nothing_else(rig):
    assert routes(rig) == DOCUMENTED


def where(path):
    """*path* with something that exists in its braces."""
    for name, value in {
        "{id}": MAC,
        "{number}": "7",
        "{address}": "192.0.2.50",
        "{token}": "ops",
    }.items():
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize(("path", "method"), DOCUMENTED, ids=lambda word: word)
def test_every_page_that_is_described_answers_as_described(rig, path, method):
    bodies = {"post": {}, "put": {}, "patch": {}}
    rig.leases.give("192.0.2.50", MAC)
    real = where(path)
    done = rig.ask(method.upper(), real, bodies.get(method))
    described = DOCUMENT["paths"][path][method]["responses"]
    assert str(done.status) in described, done.body[:300]
    assert done.status != 404 or path == "/boots/{number}"


def test_every_page_asks_for_the_token_as_described(rig):
    for path, method in DOCUMENTED:
        real = where(path)
        status = rig.ask(method.upper(), real, token="").status
        is_open = DOCUMENT["paths"][path][method].get("security") == []
        assert (status == 401) is not is_open, path


def described(name):
    """The members of a schema, those of what it includes among them."""
    schema = SCHEMAS[name]
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= dict.fromkeys(
            described(part["$ref"].rpartition("/")[2]) if "$ref" in part else part["properties"]
        )
    return set(found)


def test_what_is_told_has_the_members_that_are_described(rig):
    (line, *_) = rig.get("/machines").json["machines"]
    assert set(line) == described("Machine")
    assert set(rig.machine("n1")) == described("MachineDetail")
    assert set(rig.get("/findings").json["findings"][0]) == described("Finding")
    assert set(rig.get("/machines/n1/why").json) == described("Diagnosis")
    error = rig.get("/nothing").json
    assert set(error["error"]) == set(SCHEMAS["Error"]["properties"]["error"]["properties"])
    added = rig.ask("POST", "/machines", {"mac": "52:54:00:12:34:99", "target": "localboot/disk"})
    assert set(added.json) == described("ChangedMachine")


def test_values_of_other_rooms_are_described_as_they_are():
    step, note = Step(stage=Stage.KERNEL, at=0.0, until=0.0), Note(code="x", at=0, until=0, text="")
    boot = Boot(number=1, key="k", began=0.0, last=0.0, steps=(step,), notes=(note,)).as_dict()
    assert set(boot) == described("Boot")
    assert set(boot["steps"][0]) == described("Step")
    assert set(boot["notes"][0]) == described("Note")
    told = Diagnosis(machine="k", causes=(Cause(code="c", sentence="s", confidence=1),)).as_dict()
    assert set(told) == described("Diagnosis")
    assert set(told["causes"][0]) == described("Cause")
    assert SCHEMAS["State"]["enum"] == list(State)
    assert SCHEMAS["Stage"]["enum"] == list(Stage)
    assert SCHEMAS["Outcome"]["enum"] == list(Outcome)


def test_transfers_and_strangers_are_described_as_they_are(rig):
    from netbootd.boots.strangers import Stranger
    from netbootd.events.progress import Progress
    from netbootd.http.apireading import _stranger

    card = mac.MAC.parse(MAC)
    running = Progress(
        protocol="HTTP", path="k", peer="p", mac=card, size=9, sent=4, began=rig.now - 2
    )
    (line,) = values.transfers([running], rig.desk.picture())
    assert set(line) == described("Transfer")
    assert (line["key"], line["rate"]) == (MAC, 2.0)
    assert set(_stranger(Stranger(mac=card, first=0.0, last=1.0))) == described("Stranger")


def test_leases_and_pools_are_described_as_they_are(rig):
    from netbootd.leases.usage import Foreign, Usage

    rig.leases.give("192.0.2.50", MAC)
    rig.leases.pools = (Usage(subnet="192.0.2.0/24", size=10),)
    rig.leases.others = (Foreign(server="192.0.2.9", interface="eth1", first=1.0, last=2.0),)
    said = rig.get("/leases").json
    pages = DOCUMENT["paths"]["/leases"]["get"]["responses"]["200"]["content"]
    assert set(said) == set(pages["application/json"]["schema"]["properties"])
    assert set(said["leases"][0]) == described("Lease")
    assert set(said["pools"][0]) == described("Pools")
    assert set(said["foreign"][0]) == described("ForeignServer")

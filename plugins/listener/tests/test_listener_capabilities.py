"""Capabilities in libmtev's shapes."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from mtev_listener import Capabilities, RegistrationError
from mtev_listener._capabilities import Snapshot, as_json, as_xml, this_machine
from mtev_listener._commands import Command

BUILD, RUN = this_machine()
SNAPSHOT = Snapshot(
    version="1.2",
    mtev_version="0.1.0",
    build=BUILD,
    run=RUN,
    now_ms=1_700_000_000_042,
    features={"gzip": "1.3", "plain": ""},
    services={"control_dispatch": [Command(b"GET ", "mtev_wire_rest_api", "1.0"), Command(b"REVE", "reverse")]},
    modules={"http": "generic"},
)


def test_json_has_libmtevs_fields():
    document = json.loads(json.dumps(as_json(SNAPSHOT)))
    assert list(document) == [
        "version", "mtev_version", "unameBuild", "unameRun", "features", "current_time", "services", "modules"
    ]  # fmt: skip
    assert document["current_time"] == 1_700_000_000_042
    assert document["features"] == {"gzip": {"version": "1.3"}, "plain": {}}
    assert document["modules"] == {"http": {"type": "generic"}}
    (service,) = document["services"].values()
    assert service == {
        "control_dispatch": "control_dispatch",
        "commands": {"0x47455420": {"name": "mtev_wire_rest_api", "version": "1.0"}, "0x52455645": {"name": "reverse"}},
    }
    assert document["unameRun"]["bitwidth"] in (32, 64)
    assert set(document["unameRun"]) == {"bitwidth", "sysname", "nodename", "release", "version", "machine"}


def test_xml_has_libmtevs_elements_in_their_order():
    root = ElementTree.fromstring(as_xml(SNAPSHOT, connected="control_dispatch"))
    assert root.tag == "mtev_capabilities"
    assert [each.tag for each in root] == [
        "version", "mtev_version", "unameBuild", "unameRun", "features", "current_time", "services", "modules"
    ]  # fmt: skip
    assert root.findtext("current_time") == "1700000000.042"
    assert [each.attrib for each in root.iter("feature")] == [{"name": "gzip", "version": "1.3"}, {"name": "plain"}]
    assert root.find("services/service").attrib == {"name": "control_dispatch", "connected": "true"}
    assert root.find("services/service/command").attrib == {
        "name": "mtev_wire_rest_api",
        "version": "1.0",
        "code": "0x47455420",
    }
    assert root.find("modules/module").attrib == {"type": "generic", "name": "http"}


def test_xml_says_connected_only_of_the_service_one_talks_through():
    assert b"connected" not in as_xml(SNAPSHOT)


def test_hostile_names_stay_text():
    snapshot = Snapshot("<&\"'>", "0", BUILD, RUN, 0, features={"<a&'\">": "]]>"})
    root = ElementTree.fromstring(as_xml(snapshot))
    assert root.findtext("version") == "<&\"'>"
    assert root.find("features/feature").attrib == {"name": "<a&'\">", "version": "]]>"}


def test_a_feature_is_declared_once():
    capabilities = Capabilities()
    capabilities.add_feature("gzip", "1")
    with pytest.raises(RegistrationError, match="gzip"):
        capabilities.add_feature("gzip", "2")
    assert capabilities.features() == {"gzip": "1"}

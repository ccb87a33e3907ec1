"""Prints the public test suite of RFC 7208 as JSON, for tests/it/spf.rs.

usage: spf_suite.py RFC7208-TESTS.YML
"""

import json
import sys

import yaml


def records(entries):
    """The records of a name as [type, value]; a type SPF stands for TXT where no TXT stands."""
    found = []
    for entry in entries:
        if entry == "TIMEOUT":
            found.append(["TIMEOUT", None])
        else:
            found.extend([kind, value] for kind, value in entry.items())
    if not any(kind == "TXT" for kind, _ in found):
        found.extend(["TXT", value] for kind, value in found[:] if kind == "SPF")
    return [
        [kind, "".join(value) if kind == "TXT" and isinstance(value, list) else value]
        for kind, value in found
        if kind != "SPF" and value != "NONE"
    ]


def cases(scenario):
    for name, case in scenario["tests"].items():
        result = case["result"]
        yield {
            "name": name,
            "helo": case["helo"],
            "host": case["host"],
            "sender": case["mailfrom"],
            "results": result if isinstance(result, list) else [result],
            "explanation": case.get("explanation"),
        }


with open(sys.argv[1], "rb") as file:
    scenarios = [
        {
            "description": scenario["description"],
            "zone": {name: records(entries) for name, entries in scenario["zonedata"].items()},
            "cases": list(cases(scenario)),
        }
        for scenario in yaml.safe_load_all(file)
    ]
json.dump(scenarios, sys.stdout)

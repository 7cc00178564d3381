"""Checks that every alert has a test that fires it, one that must not, and a runbook.

usage: alerts.py ALERTS TESTS

Reads both files line by line: alerts begin with `- alert: NAME`, tests with `alertname: NAME`, and what a test expects is
`exp_alerts: []` or a list below `exp_alerts:`. That the tests pass is promtool's business.
"""

import re
import sys
from pathlib import Path

SECTIONS = [
    "## Symptom",
    "## What it means for billing",
    "## What it means for privacy",
    "## What to look at",
    "## What to do",
]


def alerts(text: str) -> dict[str, str]:
    """The text of each alert by its name."""
    parts = re.split(r"^ *- alert: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def tested(text: str) -> dict[str, set[str]]:
    """What the tests of each alert expect: "fires", "is silent"."""
    found: dict[str, set[str]] = {}
    for name, expected in re.findall(r"alertname: (\w+)\n *exp_alerts:(.*)", text):
        found.setdefault(name, set()).add("is silent" if expected.strip() == "[]" else "fires")
    return found


def faults_of(name: str, alert: str, tests: set[str], house: Path) -> list[str]:
    faults = [f"{name}: no test in which it {which}" for which in ("fires", "is silent") if which not in tests]
    for wanted in ("severity", "summary", "description"):
        if not re.search(rf"^ +{wanted}: \S", alert, re.MULTILINE):
            faults.append(f"{name}: no {wanted}")
    runbook = re.search(r"^ +runbook_url: (\S+)$", alert, re.MULTILINE)
    page = house / runbook[1] if runbook else None
    if page is None or not page.is_file():
        return [*faults, f"{name}: its runbook_url is no page of this repository"]
    lines = page.read_text(encoding="utf-8").splitlines()
    faults += [f"{page.name}: no section {section!r}" for section in SECTIONS if section not in lines]
    if not any(line.startswith("Alerts: ") and f"`{name}`" in line for line in lines):
        faults.append(f"{page.name}: does not name {name}")
    return faults


def main() -> int:
    rules, tests = (Path(argument) for argument in sys.argv[1:])
    house = Path(__file__).resolve().parent.parent
    known = alerts(rules.read_text(encoding="utf-8"))
    expected = tested(tests.read_text(encoding="utf-8"))
    faults = [] if known else ["no alert was found"]
    for name, alert in known.items():
        faults += faults_of(name, alert, expected.get(name, set()), house)
    faults += [f"{name}: tested, but no alert" for name in expected if name not in known]
    named = "\n".join(known.values())
    for page in sorted((house / "docs" / "runbooks").glob("*.md")):
        if f"docs/runbooks/{page.name}" not in named:
            faults.append(f"{page.name}: the runbook of no alert")
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{len(known)} alerts, each with two tests and a runbook")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Wraps the rule files of config/alerts for the Prometheus operator.

usage: python3 tools/prometheus_rule.py > config/kubernetes/monitoring/prometheusrule.yaml

The files go in as they stand, comments and all, so that there is one place to edit. CI compares.
"""

import pathlib
import sys

HEAD = """\
# Made of config/alerts by tools/prometheus_rule.py: edit there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cdrveil
  labels:
    app.kubernetes.io/name: cdrveil
spec:
  groups:
"""


def groups(text: str) -> str:
    """What stands below `groups:`, four blanks deep; the files may indent their list or not."""
    lines = text.split("\ngroups:\n", 1)[-1].removeprefix("groups:\n").splitlines()
    first = next(line for line in lines if line.lstrip().startswith("- "))
    shift = 4 - (len(first) - len(first.lstrip()))
    return "".join(f"{' ' * shift}{line}\n" if line.strip() else "\n" for line in lines)


def main() -> int:
    house = pathlib.Path(__file__).resolve().parent.parent
    files = sorted((house / "config/alerts").glob("*.yml"))
    files = [file for file in files if not file.stem.endswith("test") and "groups:" in file.read_text()]
    body = "".join(groups(file.read_text()) for file in files)
    sys.stdout.write(HEAD + body if body else HEAD.replace("groups:\n", "groups: []\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

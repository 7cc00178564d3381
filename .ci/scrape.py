"""Waits until records flow through the daemon at HOST:PORT, then saves one scrape.

usage: scrape.py HOST:PORT FILE

Fails when nothing was read within the deadline, or when the books do not balance.
"""

import sys
import time
import urllib.error
import urllib.request

DEADLINE = 14.0


def scrape(address: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def total(page: str, name: str) -> float:
    """The sum over all series of a metric."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith((name + " ", name + "{"))
    )


def main() -> int:
    address, file = sys.argv[1:]
    until = time.monotonic() + DEADLINE
    page = None
    while time.monotonic() < until:
        page = scrape(address) or page
        if page and total(page, "cdrveil_records_read_total") > 0:
            break
        time.sleep(0.25)
    else:
        print("no record was read in time" if page else "no answer on /metrics", file=sys.stderr)
        return 1
    with open(file, "w", encoding="utf-8") as out:
        out.write(page)
    difference = total(page, "cdrveil_reconciliation_difference_records")
    if difference != 0:
        print(f"the books differ by {difference} records", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

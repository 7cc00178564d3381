"""Checks every dependency of the lock file against deny.toml: licence, source, MSRV.

A small stand-in for cargo-deny, whose build takes longer than all else here. It reads what
`cargo metadata --locked` says; nothing is fetched. Advisories are not looked at: their database
is fetched with git, which not every build machine may do (`cargo deny check advisories`).
"""

import json
import re
import subprocess
import sys
import tomllib


def licence_allowed(expression: str, allowed: set[str]) -> bool:
    """Evaluates an SPDX expression; the old spelling `A/B` means `A OR B`."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek() -> str | None:
        return tokens[position] if position < len(tokens) else None

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def either() -> bool:
        result = both()
        while peek() == "OR":
            take()
            right = both()
            result = result or right
        return result

    def both() -> bool:
        result = one()
        while peek() == "AND":
            take()
            right = one()
            result = result and right
        return result

    def one() -> bool:
        token = take()
        if token == "(":
            result = either()
            if take() != ")":
                raise ValueError(f"bad licence expression: {expression}")
            return result
        if peek() == "WITH":
            take()
            return f"{token} WITH {take()}" in allowed
        return token in allowed

    result = either()
    if peek() is not None:
        raise ValueError(f"bad licence expression: {expression}")
    return result


def version(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in text.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def self_test() -> None:
    allowed = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"}
    for expression, expected in [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT/GPL-3.0", True),
        ("GPL-2.0-only OR Apache-2.0", True),
        ("MIT AND GPL-2.0-only", False),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", True),
        ("GPL-2.0-only OR MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH LLVM-exception", False),
    ]:
        assert licence_allowed(expression, allowed) is expected, expression


def main() -> int:
    self_test()
    with open("deny.toml", "rb") as file:
        deny = tomllib.load(file)
    allowed = set(deny["licenses"]["allow"])
    registries = {"registry+" + url for url in deny["sources"]["allow-registry"]}
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    members = set(metadata["workspace_members"])
    packages = metadata["packages"]
    ours = next(package for package in packages if package["id"] in members)
    msrv = version(ours["rust_version"])

    faults = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        licence = package["license"]
        if not licence or not licence_allowed(licence, allowed):
            faults.append(f"{name}: licence {licence!r} is not in deny.toml's list")
        if package["id"] not in members and package["source"] not in registries:
            faults.append(f"{name}: source {package['source']} is not in deny.toml's list")
        needs = package["rust_version"]
        if needs and version(needs) > msrv:
            faults.append(f"{name}: needs Rust {needs}, our rust-version is {ours['rust_version']}")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} packages looked at, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

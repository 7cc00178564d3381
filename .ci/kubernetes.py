"""Builds the manifests with kustomize, and holds every object against the schemas of Kubernetes, offline and strictly.

usage: kubernetes.py OVERLAY...

The operator's own kinds have no schema here: of a PrometheusRule, promtool checks what is in it. Where there is no
kubectl (Debian's is too old for resources that are folders) the files a kustomization names are read one by one.
"""

import pathlib
import shutil
import subprocess
import sys

import kubernetes_validate
import yaml

OLDEST, NEWEST = "1.29.0", "1.37.0"
FOREIGN = {"ServiceMonitor", "PrometheusRule"}


def rules(document: dict) -> None:
    """Holds the groups of a PrometheusRule against promtool."""
    spec = yaml.safe_dump(document["spec"]).encode()
    subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input=spec, check=True, stdout=subprocess.DEVNULL)


def build(overlay: pathlib.Path) -> list[dict]:
    """All objects of an overlay and its bases."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(overlay)]
        built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return list(yaml.safe_load_all(built))
    print("no kubectl: nothing is put together, each file is held against its schema")
    return read(overlay)


def read(overlay: pathlib.Path) -> list[dict]:
    """As they stand in the files, without the generated ConfigMap."""
    documents = []
    for name in yaml.safe_load((overlay / "kustomization.yaml").read_text())["resources"]:
        resource = overlay / name
        documents += read(resource) if resource.is_dir() else yaml.safe_load_all(resource.read_text())
    return documents


def main() -> int:
    for overlay in map(pathlib.Path, sys.argv[1:]):
        documents = build(overlay)
        for document in documents:
            kind = document["kind"]
            if kind == "PrometheusRule":
                rules(document)
            if kind in FOREIGN:
                continue
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(document, version, strict=True)
        kinds = ", ".join(document["kind"] for document in documents)
        print(f"{overlay}: {kinds}")
        pod = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
        pod["containers"][0]["securityContex"] = {}
        try:
            kubernetes_validate.validate(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}, NEWEST, strict=True
            )
        except kubernetes_validate.ValidationError:
            continue
        print("a misspelt key was not noticed: this check checks nothing", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

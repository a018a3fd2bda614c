"""Splits YAML streams into files of one object, for kubectl-validate: `split.py FOLDER FILE...`. Leaves out kinds of others."""
import os
import re
import sys

folder, files = sys.argv[1], sys.argv[2:]
count = 0
for file in files:
    text = open(file, encoding="utf-8").read()
    for document in re.split(r"^---\s*$", text, flags=re.MULTILINE):
        group = re.search(r"^apiVersion: (\S+)", document, re.MULTILINE)
        if not group or "monitoring.coreos.com" in group[1] or "gateway.networking.k8s.io" in group[1]:
            continue
        count += 1
        name = f"{os.path.basename(file).removesuffix('.yaml')}-{count}.yaml"
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(document)
if not count:
    sys.exit("no object was found")

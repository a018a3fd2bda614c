"""Prints the configuration file in the Secret of a rendered chart. Without a YAML library: Debian has none by default."""
import base64
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
found = re.search(r'^  config\.yaml: "?([A-Za-z0-9+/=]+)"?$', text, re.MULTILINE)
if not found:
    sys.exit("there is no config.yaml in it")
print(base64.b64decode(found.group(1)).decode())

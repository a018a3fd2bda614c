"""Lints a chart with Helm's own code, as a library: `helm_lint.py LIBRARY CHART [VALUES]...`. Succeeds when no message is an error.

The library is in a wheel that is fetched in seconds; the program `helm` has to be built for minutes. Its linter takes the
values of the chart alone, so a file of VALUES is linted as the values of a chart that has CHART as its only part.
"""
import ctypes
import json
import os
import shutil
import sys
import tempfile

library = ctypes.CDLL(sys.argv[1])
library.helm_sdkpy_last_error.restype = ctypes.c_char_p
chart, values = sys.argv[2], sys.argv[3:]
handle = ctypes.c_ulonglong()
if library.helm_sdkpy_config_create(b"default", b"", b"", b"{}", ctypes.byref(handle)):
    sys.exit(library.helm_sdkpy_last_error())
ERROR = 3


def lint(path):
    result = ctypes.c_char_p()
    if library.helm_sdkpy_lint(handle, path.encode(), ctypes.byref(result)):
        sys.exit(library.helm_sdkpy_last_error())
    messages = json.loads(result.value)["Messages"] or []
    wrong = [message["Path"] for message in messages if message["Severity"] >= ERROR]
    if wrong:
        sys.exit(f"{path}: errors in {', '.join(wrong)}")


def part_of_another(folder, file):
    name = os.path.basename(os.path.normpath(chart))
    version = [line.split(":")[1].strip() for line in open(f"{chart}/Chart.yaml") if line.startswith("version:")][0]
    shutil.copytree(chart, f"{folder}/charts/{name}")
    with open(f"{folder}/Chart.yaml", "w", encoding="utf-8") as out:
        out.write(f"apiVersion: v2\nname: whole\nversion: 0.1.0\ndependencies:\n- {{name: {name}, version: {version}}}\n")
    with open(f"{folder}/values.yaml", "w", encoding="utf-8") as out:
        lines = open(file, encoding="utf-8").read().splitlines()
        out.write(f"{name}:\n" + "".join(f"  {line}\n" if line else "\n" for line in lines))
    os.mkdir(f"{folder}/templates")


lint(chart)
for file in values:
    with tempfile.TemporaryDirectory() as folder:
        whole = f"{folder}/whole"
        os.mkdir(whole)
        part_of_another(whole, file)
        lint(whole)

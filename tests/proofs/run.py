#!/usr/bin/env python3
"""Runs the bounded proofs: `proof NAME ok|FAILED|SKIP`; a failure prints what was refuted and the values that do it.

usage: run.py [--list] [NAME...]     NAME: of a file (pt) or of a proof in it (pt/indices)
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CBMC = shutil.which(os.environ.get("CBMC", "cbmc"))
LIMIT = 600  # seconds


def proofs():
    """(name, file, function) of each proof."""
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/proofs/proof_*.c"))):
        with open(path, encoding="utf-8") as f:
            functions = re.findall(r"^void proof_(\w+)\(void\)", f.read(), re.MULTILINE)
        name = os.path.basename(path)[len("proof_"):-len(".c")]
        found += [(f"{name}/{function}", path, "proof_" + function) for function in functions]
    return found


def words(path, key):
    with open(path, encoding="utf-8") as f:
        return " ".join(re.findall(rf"^// {key}: *(.*)$", f.read(), re.MULTILINE)).split()


def prove(name, path, function):
    command = [CBMC, *words(path, "CFLAGS"), "-I.", "-Iinclude", "-DHOST_TEST", path, *words(path, "SOURCES"),
               *words(path, "OPTIONS"), "--function", function, "--trace", "--drop-unused-functions"]
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        print(f"proof {name} FAILED: not finished after {LIMIT} s")
        return False
    if result.returncode == 0 and "VERIFICATION SUCCESSFUL" in result.stdout:
        checks = re.search(r"\*\* 0 of (\d+) failed", result.stdout)
        print(f"proof {name} ok: {checks[1] if checks else '?'} properties", flush=True)
        return True
    print(f"proof {name} FAILED")
    refuted = [line for line in result.stdout.splitlines() if line.endswith(": FAILURE")]
    values = re.findall(rf"^  (?:\w+)=.*$", result.stdout, re.MULTILINE)
    for line in (refuted + values[-20:]) or (result.stdout + result.stderr).splitlines()[-15:]:
        print("  | " + line.strip()[:200])
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    chosen = [p for p in proofs() if not options.name or p[0] in options.name or p[0].split("/")[0] in options.name]
    if not chosen:
        parser.error("no such proof")
    if options.list:
        print("\n".join(p[0] for p in chosen))
        return 0
    if not CBMC:
        print("SKIP proofs: cbmc is not installed (Debian 13 has it: apt-get install cbmc)")
        return 0
    return 0 if all([prove(*p) for p in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())

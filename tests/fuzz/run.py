#!/usr/bin/env python3
"""Runs the fuzzers: a line each, `fuzz NAME runs N coverage C seconds S ok|FOUND FILE`.

usage: run.py [--seconds N | --replay | --input FILE] [--jobs N] [--keep] [NAME...]
--replay runs the corpus in the tree only; --input runs one file on one fuzzer; --keep (after a run without a
finding) writes what reached new code into the tree's corpus, reduced to what is needed for its coverage.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Paths in ROOT: neither make nor libFuzzer's merge takes one with a space.
BUILD = os.path.relpath(os.environ.get("CAISSON_BUILD", os.path.join(ROOT, "build")), ROOT)
OUT = os.path.join(BUILD, "fuzz")
CORPUS = "tests/fuzz/corpus"
LIMITS = ["-timeout=25", "-rss_limit_mb=2048"]
# Inputs of findings, and those that reach deep but cover nothing else, are kept for ever.
KEPT = ("found-", "seed-")


def names():
    files = glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c"))
    return sorted(os.path.basename(f)[len("fuzz_"):-len(".c")] for f in files)


class Fuzzer:
    """One target: its program, its corpus in the tree, and the wider one in the build folder."""

    def __init__(self, name):
        self.name = name
        self.program = os.path.join(OUT, "fuzz_" + name)
        self.tree = os.path.join(CORPUS, name)
        self.work = os.path.join(OUT, "corpus", name)
        self.log = os.path.join(OUT, name + ".log")
        os.makedirs(self.work, exist_ok=True)

    def build(self):
        command = ["make", "--no-print-directory", "-s", f"B={BUILD}", self.program]
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode != 0:
            raise SystemExit(f"fuzz {self.name}: it does not build")

    def options(self):
        with open(os.path.join(ROOT, "tests/fuzz", f"fuzz_{self.name}.c"), encoding="utf-8") as f:
            length = re.search(r"^// MAX_LEN: *(\d+)", f.read(), re.MULTILINE)
        words = os.path.join(ROOT, "tests/fuzz", self.name + ".dict")
        return LIMITS + [f"-max_len={length[1] if length else 4096}"] + \
            ([f"-dict={words}"] if os.path.exists(words) else [])

    def execute(self, arguments, log, limit=None):
        # A fake's assertion outside of a test must end in a report, not in a quiet exit.
        environment = dict(os.environ, CMOCKA_TEST_ABORT="1")
        try:
            return subprocess.run([self.program] + self.options() + arguments, cwd=ROOT, env=environment, stdout=log,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=limit, check=False).returncode
        except subprocess.TimeoutExpired:
            return -1

    def corpora(self):
        return [self.work] + ([self.tree] if os.path.isdir(self.tree) else [])

    def run(self, seconds):
        """Prints the line; True: nothing was found."""
        start = time.monotonic()
        arguments = ["-print_final_stats=1", f"-artifact_prefix={OUT}/{self.name}-"]
        if seconds:
            arguments += [f"-max_total_time={seconds}"] + self.corpora()
        else:
            arguments += ["-runs=0"] + self.corpora()[1:]
        with open(self.log, "wb") as log:
            status = self.execute(arguments, log, seconds * 2 + 300)
        with open(self.log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        runs = re.findall(r"stat::number_of_executed_units: *(\d+)", text)
        coverage = re.findall(r"\bcov: (\d+)", text)
        unit = re.findall(r"Test unit written to (\S+)", text)
        result = "ok" if status == 0 else "FOUND " + (os.path.relpath(unit[-1], ROOT) if unit else self.log)
        print(f"fuzz {self.name} runs {runs[-1] if runs else 0} coverage {coverage[-1] if coverage else 0} "
              f"seconds {time.monotonic() - start:.0f} {result}", flush=True)
        if status != 0:
            why = re.findall(r"^.*(?:runtime error|ERROR: |broken: |SUMMARY: ).*$", text, re.MULTILINE)
            print("\n".join("  | " + line[:200] for line in why or text.splitlines()[-10:]), flush=True)
        return status == 0

    def keep(self):
        """Replaces the tree's corpus by the smallest inputs that reach the same edges."""
        with tempfile.TemporaryDirectory() as folder, open(self.log, "ab") as log:
            if self.execute(["-merge=1", "-use_counters=0", folder] + self.corpora(), log) != 0:
                print(f"fuzz {self.name}: the corpus was not reduced: {self.log}")
                return
            os.makedirs(self.tree, exist_ok=True)
            for old in os.listdir(self.tree):
                if not old.startswith(KEPT):
                    os.remove(os.path.join(self.tree, old))
            for new in os.listdir(folder):
                shutil.copy(os.path.join(folder, new), os.path.join(self.tree, new[:16]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--input")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    unknown = [n for n in options.name if n not in names()]
    if unknown:
        parser.error(f"no fuzzer {unknown[0]}; there are: {' '.join(names())}")
    os.chdir(ROOT)
    fuzzers = [Fuzzer(n) for n in options.name or names()]
    for fuzzer in fuzzers:
        fuzzer.build()
    if options.input:
        if len(fuzzers) != 1:
            parser.error("--input wants the name of the fuzzer too (make fuzz F=name INPUT=file)")
        return fuzzers[0].execute([options.input], None)
    seconds = 0 if options.replay else options.seconds
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        good = list(pool.map(lambda f: f.run(seconds), fuzzers))
        if options.keep:
            list(pool.map(lambda f: f.keep(), [f for f, ok in zip(fuzzers, good) if ok]))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs the tests of tests/table.py; docs/testing.md says what kinds there are.

usage: run.py [--list] [--jobs N] [--quick] [NAME]
NAME selects one test, or all whose name contains it; --quick those of daily work.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import table  # noqa: E402
from boot import cores, fair, hostile, hotplug, idle, media, pause, platform, pxe, refusals, ring3, scenes, tools, trace  # noqa: E402
from bochs import Bochs  # noqa: E402
from machine import BUILD, MAKE_B, ROOT, Machine, TestError, caisson_options, pc_options  # noqa: E402

SCENES = (scenes, refusals, platform, media, pxe, ring3, hostile, trace, fair, pause, cores, hotplug, idle, tools)
OUT = os.path.join(BUILD, "test")
TAIL_LINES = 25


class Job:
    """One run that decides one or several tests, on one machine of the table."""

    def __init__(self, tests, machine, run, log):
        self.tests, self.machine, self.run, self.log = tests, machine, run, log


def log_path(name):
    return os.path.join(OUT, name.replace("/", "-") + ".log")


def check_names():
    return subprocess.run([os.path.join(ROOT, "tools/check"), "--list"], capture_output=True, text=True,
                          check=True).stdout.split()


def names_in(folder, prefix, suffix):
    files = glob.glob(os.path.join(ROOT, folder, prefix + "*" + suffix))
    return sorted(os.path.basename(f)[len(prefix):-len(suffix)] for f in files)


def run_logged(command, log, limit):
    """A program with its output in the log; raises when it fails."""
    with open(log, "wb") as f:
        try:
            status = subprocess.run(command, cwd=ROOT, stdout=f, stderr=subprocess.STDOUT, timeout=limit,
                                    stdin=subprocess.DEVNULL, check=False).returncode
        except subprocess.TimeoutExpired:
            raise TestError(f"not finished after {limit} s") from None
    if status != 0:
        raise TestError(f"exit status {status}")


# ---- Each kind: name -> what decides it; returns {test: None or why it failed} ----

def run_host(name):
    log = log_path("host/" + name)
    run_logged(["make", "--no-print-directory", f"B={MAKE_B}", f"{MAKE_B}/host/test_{name}"], log, 600)
    run_logged([f"{BUILD}/host/test_{name}"], log, 600)


def run_check(name):
    run_logged(["tools/check", name], log_path("check/" + name), 900)


def run_mutants(name):
    run_logged(["tools/mutants", "--" + name], log_path("mutants/" + name), 1800)


def run_fuzz(name):
    """The corpus in the tree; with FUZZ_SECONDS also that long a search for new inputs."""
    search = ["--seconds", str(table.FUZZ_SECONDS)] if table.FUZZ_SECONDS else ["--replay"]
    run_logged(["tests/fuzz/run.py", *search, name], log_path("fuzz/" + name), 900 + 2 * table.FUZZ_SECONDS)


def proof_names():
    """Bounded proofs, where CBMC is installed."""
    if not shutil.which("cbmc"):
        return []
    listed = subprocess.run(["tests/proofs/run.py", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()


def run_proof(name):
    run_logged(["tests/proofs/run.py", name], log_path("proof/" + name), 900)


def run_pc(name):
    """A tiny guest on QEMU's own PC: the test of the test."""
    guest = f"{BUILD}/guests/{name}.elf"
    if not os.path.exists(guest):  # QEMU's own status for that would pass for the guest's
        raise TestError(f"no file {guest}")
    vcpus = table.GUEST_VCPUS.get(name, 1)
    # Its MP table has the first of each socket only.
    options = pc_options(guest) + ["-smp", f"{vcpus},sockets={vcpus}"]
    with Machine(options, log_path("pc/" + name), 120) as m:
        status = m.wait_end(110)
        expected = 0 if name in table.RESETTING else table.GUEST_STATUS.get(name, 0) * 2 + 1
        check_guest(name, m.output(), status, expected, "QEMU")


def check_guest(name, output, status, expected, who):
    failures = re.findall(rf"FAIL {re.escape(name)}: .*", output)
    if failures:
        raise TestError(failures[0])
    if status != expected:
        raise TestError(f"{who}'s status is {status}, expected {expected}")


def kernel_of(machine):
    return f"{BUILD}/debug/kernel.elf" if machine.endswith("-debug") else f"{BUILD}/kernel.elf"


def guest_vm(name, words):
    return (f"{name}.vm", f"name = {name}\nmemory = {table.GUEST_MEMORY}\nvcpus = {table.GUEST_VCPUS.get(name, 1)}\n"
                          f"kernel = @{name}\ncmdline = {words}\n")


def start_guests(label, names, machine, limit):
    """A machine that runs tiny guests as VMs, and ends with the last one."""
    args = "exit=last-vm" if table.on_bochs(machine) else scenes.CI_ARGS
    # Who is alone may measure how long others wait, but for the debug kernel: it audits each entry, which makes turns long.
    timed = table.on_bochs(machine) and not machine.endswith("-debug") and len(names) == 1
    words = "caisson pause-exits" if timed else "caisson"
    own = table.GUEST_ARGS.get(label.split("/", maxsplit=1)[0], "")
    image = scenes.mkimage(os.path.join(OUT, label.replace("/", "-") + ".iso"), args + own, scenes.tiny(*names),
                           [guest_vm(n, words + own) for n in names], kernel=kernel_of(machine))
    if table.on_bochs(machine):
        return Bochs(image, table.MACHINES[machine], log_path(label), limit)
    return Machine(caisson_options(image, table.MACHINES[machine]), log_path(label), limit)


def run_guests(kind, label, names, machine, limit):
    """Several tiny guests as VMs of one boot; each one's status line decides."""
    results = {}
    with start_guests(label, names, machine, limit) as m:
        try:
            m.wait_end(limit - 20)
            ended = f"no status line; {m.ending()}"
        except TestError as error:
            ended = str(error)
        text = m.output()
    for name in names:
        match = re.search(rf"^vm {re.escape(name)}: status (\d+) \((.*)\)", text, re.MULTILINE) or \
            re.search(rf"vm {re.escape(name)} ended: status (\d+) \((.*)\)", text)
        try:
            if not match:
                raise TestError(ended)
            check_guest(name, text, int(match[1]), table.GUEST_STATUS.get(name, 0), "the VM")
            results[f"{kind}/{name}"] = None
        except TestError as error:
            results[f"{kind}/{name}"] = str(error)
    return results


def run_boot(name, machine, scene, limit):
    options = table.MACHINES[machine]
    play = next(getattr(module, scene) for module in SCENES if hasattr(module, scene))
    play(scenes.Scene(name, options, limit, kernel_of(machine), table.on_bochs(machine)))


# ---- Selection and order ----

def guest_jobs(names, kind, machine, per_boot, limit):
    jobs = []
    alone = [n for n in names if n in table.GUESTS_ALONE and table.on_bochs(machine)]
    others = [n for n in names if n not in alone]
    parts = [others[start:start + per_boot] for start in range(0, len(others), per_boot)] + [[n] for n in alone]
    for number, part in enumerate(parts):
        label = f"{kind}/boot{number}" if len(part) > 1 else f"{kind}/{part[0]}"
        jobs.append(Job([f"{kind}/{name}" for name in part], machine,
                        lambda p=part, l=label: run_guests(kind, l, p, machine, limit), log_path(label)))
    return jobs


def all_jobs(wanted):
    """Jobs with the tests that are wanted only; slow ones first, so that both processors end together."""
    jobs = []
    for name, machine, scene, limit in table.BOOTS:
        if wanted("boot/" + name):
            jobs.append(Job(["boot/" + name], machine,
                            lambda n=name, m=machine, s=scene, l=limit: run_boot(n, m, s, l), log_path("boot/" + name)))
    guests = names_in("tests/guest", "", ".c")
    for run in table.GUEST_RUNS:
        jobs += guest_jobs([g for g in guests if table.runs_guest(run[0], g) and wanted(f"{run[0]}/{g}")], *run)
    for name in guests:
        if wanted("pc/" + name):
            jobs.append(Job(["pc/" + name], "pc", lambda n=name: run_pc(n), log_path("pc/" + name)))
    if wanted("mutants/ci"):
        jobs.append(Job(["mutants/ci"], "host", lambda: run_mutants("ci"), log_path("mutants/ci")))
    for name in check_names():
        if wanted("check/" + name):
            jobs.append(Job(["check/" + name], "host", lambda n=name: run_check(n), log_path("check/" + name)))
    for name in names_in("tests/fuzz", "fuzz_", ".c"):
        if wanted("fuzz/" + name):
            jobs.append(Job(["fuzz/" + name], "host", lambda n=name: run_fuzz(n), log_path("fuzz/" + name)))
    for name in proof_names():
        if wanted("proof/" + name):
            jobs.append(Job(["proof/" + name], "host", lambda n=name: run_proof(n), log_path("proof/" + name)))
    for name in names_in("tests/host", "test_", ".c"):
        if wanted("host/" + name):
            jobs.append(Job(["host/" + name], "host", lambda n=name: run_host(n), log_path("host/" + name)))
    return jobs


def everything():
    return [t for job in all_jobs(lambda _: True) for t in job.tests]


def selector(pattern):
    if not pattern:
        return lambda _: True
    if pattern in everything():
        return lambda test: test == pattern
    short = [t for t in everything() if t.split("/", 1)[1] == pattern]
    if short:
        return lambda test: test in short
    return lambda test: pattern in test


# ---- Running ----

def skipped(job):
    """What a check says when it could not run here."""
    if not job.tests[0].startswith("check/"):
        return ""
    with open(job.log, encoding="utf-8", errors="replace") as f:
        return "".join(re.findall(r"^check \w+( SKIP: .*)$", f.read(), re.MULTILINE))


class Report:
    """Counts and prints; one line a test."""

    def __init__(self):
        self.passed, self.failed = 0, 0
        self.lock = threading.Lock()

    def add(self, job, results, seconds):
        with self.lock:
            for test in job.tests:
                why = results.get(test)
                if why is None:
                    self.passed += 1
                    print(f"ok {test} ({seconds:.1f} s){skipped(job)}", flush=True)
                else:
                    self.failed += 1
                    print(f"FAIL {test}: {why}", flush=True)
            if any(results.values()):
                self.tail(job.log)

    @staticmethod
    def tail(log):
        if not os.path.exists(log):
            return
        with open(log, encoding="utf-8", errors="replace") as f:
            lines = [line.rstrip() for line in f]
        print(f"---- end of {os.path.relpath(log, ROOT)}")
        for line in lines[-TAIL_LINES:]:
            print("  | " + line[:200])
        sys.stdout.flush()


def execute(job, report):
    start = time.monotonic()
    try:
        results = job.run() or {}
    except TestError as error:
        results = {test: str(error) for test in job.tests}
    except Exception as error:  # a bug in a test must not end the run
        results = {test: f"{type(error).__name__}: {error}" for test in job.tests}
    report.add(job, results, time.monotonic() - start)


def work(own, others, report):
    """Runs the jobs of one list, then what is left of the other."""
    for jobs in (own, others):
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                break
            execute(job, report)


def run_jobs(jobs, workers, report):
    """
    One worker begins with Bochs, which takes one processor, the others with the rest, so that two runs that count
    on both processors seldom meet.
    """
    bochs = collections.deque(job for job in jobs if table.on_bochs(job.machine))
    rest = collections.deque(job for job in jobs if not table.on_bochs(job.machine))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        pool.submit(work, bochs, rest, report)
        for _ in range(workers - 1):
            pool.submit(work, rest, bochs, report)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="only print the tests and their machines")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--quick", action="store_true", help="only the tests of daily work")
    parser.add_argument("name", nargs="?", default="")
    options = parser.parse_args()
    if options.list:
        for job in all_jobs(lambda _: True):
            print("\n".join(f"{test:<28} {job.machine}" for test in job.tests))
        return 0
    os.makedirs(OUT, exist_ok=True)
    wanted = selector(options.name)
    jobs = all_jobs(lambda test: wanted(test) and (not options.quick or table.QUICK.match(test)))
    report = Report()
    run_jobs(jobs, max(1, options.jobs), report)
    if not jobs:
        print(f"no test named {options.name}")
    print(f"{report.passed} passed, {report.failed} failed")
    return 0 if jobs and not report.failed else 1


sys.exit(main())

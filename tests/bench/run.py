#!/usr/bin/env python3
"""Prints `bench NAME VALUE UNIT goal GOAL` lines.

Instructions are counted by QEMU: under -icount shift=0 the TSC advances by one per instruction.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from boot import scenes  # noqa: E402
from machine import BUILD, COMMON, ROOT, Machine, TestError, mkimage  # noqa: E402

OUT = os.path.join(BUILD, "bench")
# name -> goal in instructions; "-" = none set
EXIT_GOALS = {
    "cpuid": 700, "port-monitor": 1800, "pm-timer": 1800, "rdmsr": "-", "wrmsr": "-", "eoi": 400,
    "self-ipi-x2apic": 1200, "self-ipi-xapic-hlt": 2000,
}
START_GOAL = 150_000_000
KIB_PER_VM = 1024
KIB_HOST = 12 * 1024
RING0_GOAL = 7500


def report(name, value, unit, goal, extra=""):
    print(f"bench {name} {value} {unit} goal {goal}{extra}", flush=True)


def machine(name, cpus, memory, args, modules, definitions, limit=300):
    image = mkimage(f"{OUT}/{name}.iso", args, modules, definitions)
    options = ["-accel", "tcg,thread=single", "-icount", "shift=0", "-machine", "q35", "-cpu", "max,+svm", "-smp",
               str(cpus), "-m", memory] + COMMON + ["-drive", f"file={image},format=raw,media=cdrom,readonly=on",
                                                    "-boot", "d"]
    return Machine(options, f"{OUT}/{name}.log", limit)


def definition(name, **keys):
    return (f"{name}.vm", scenes.definition(name, name, memory="16M", cmdline="caisson", **keys))


def bench_exits():
    with machine("exits", 1, "1G", scenes.CI_ARGS, scenes.tiny("exits"), [definition("exits", console="attach")]) as m:
        m.wait_end(280)
        found = dict(re.findall(r"^BENCH (\S+) (\d+)$", m.output(), re.MULTILINE))
    for name, goal in EXIT_GOALS.items():
        if name in found:
            report(name, found[name], "instructions", goal)
        else:
            raise TestError(f"no figure for {name}; see build/bench/exits.log")


def hostinfo(m):
    m.send("hostinfo\r")
    values = {}
    for key in ("Memory", "Free memory"):
        values[key] = int(m.expect(rf"^{key}: +(\d+) KiB", 60)[1])
    m.expect(scenes.PROMPT, 60)
    return values


def bench_memory():
    """A machine of 4 GiB with two CPUs: memory before any VM, then with one whose memory is all populated."""
    with machine("memory", 2, "4G", "autostart=off", scenes.tiny("idle"), [definition("idle", populate="yes")]) as m:
        m.expect(scenes.PROMPT, 200)
        empty = hostinfo(m)
        used = empty["Memory"] - empty["Free memory"]
        report("memory-no-vm", used, "KiB", KIB_HOST + empty["Memory"] // 500)
        m.send("start idle\r")
        m.expect(r"vm idle started", 60)
        m.expect(scenes.PROMPT, 60)
        m.send("console idle\r")
        m.expect(r"^idle", 60)
        scenes.escape(m)
        m.send("dominfo idle\r")
        tables = int(m.expect(r"page tables (\d+) KiB", 60)[1])
        m.expect(scenes.PROMPT, 60)
        one = hostinfo(m)
        report("memory-per-vm", empty["Free memory"] - one["Free memory"] - 16 * 1024 - tables, "KiB", KIB_PER_VM)
        m.send("poweroff\r")
        m.wait_end(60)


def bench_start():
    """Kernel entry to the first guest instruction, VM started by autostart, two CPUs and 4 GiB."""
    with machine("start", 2, "4G", "", scenes.tiny("idle"), [definition("idle")]) as m:
        m.expect(scenes.PROMPT, 200)
        for _ in range(20):
            m.send("hostinfo\r")
            match = m.expect(r"^First guest: +(\d+) cycles|^Up for", 60)
            if match[1]:
                break
        m.expect(scenes.PROMPT, 60)
        if not match[1]:
            raise TestError("hostinfo gives no time of the first guest instruction")
        report("start-to-guest", match[1], "instructions", START_GOAL)
        m.send("poweroff\r")
        m.wait_end(60)


def bench_lines():
    text = subprocess.run([f"{ROOT}/tools/tcb"], capture_output=True, text=True, check=True).stdout
    report("ring0", re.search(r"^tcb ring0 (\d+)$", text, re.MULTILINE)[1], "lines", RING0_GOAL)


def main():
    os.makedirs(OUT, exist_ok=True)
    failed = False
    for part in (bench_lines, bench_exits, bench_start, bench_memory):
        try:
            part()
        except TestError as error:
            failed = True
            print(f"bench: {part.__name__[6:]}: {error}", file=sys.stderr)
    return failed


sys.exit(main())

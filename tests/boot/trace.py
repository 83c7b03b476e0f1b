"""The trace: what the console prints, as tools/trace decodes it."""
import os
import re
import subprocess
import xml.dom.minidom

from machine import BUILD, ROOT, TestError
from boot.scenes import PROMPT, command, definition, tiny

GUEST = "exits-counted"
EXPECTED = {r"cpuid +leaf 0x40000000 ": 1000, r"io +out 0x80 ": 300, r"io +in 0x61 ": 200, r"hypercall +number 0x1 ": 50,
            r"inject +interrupt 0x51$": 100}


def decode(*arguments):
    result = subprocess.run([os.path.join(ROOT, "tools/trace"), *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise TestError(f"tools/trace {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def summary_count(text, reason):
    """Exits of this reason in the table of the VM."""
    match = re.search(rf"^VM \d+ \({GUEST}\).*?^  {reason} +(\d+) ", text, re.MULTILINE | re.DOTALL)
    return int(match[1]) if match else 0


def check_counts(dump):
    listed = decode(dump, "--list")
    for pattern, expected in EXPECTED.items():
        got = len(re.findall(rf"{GUEST}/0 +{pattern}", listed, re.MULTILINE))
        if got != expected:
            raise TestError(f"records of {pattern!r}: got {got}, expected {expected}")
    text = decode(dump)
    if ", 0 lost, 0 lines damaged" not in text or "not complete" in text:
        raise TestError(f"summary: {text.splitlines()[0]}")
    for reason in ("cpuid", "io", "hypercall"):
        got, expected = summary_count(text, reason), len(re.findall(rf"{GUEST}/0 +{reason} ", listed))
        if got != expected:
            raise TestError(f"summary: {reason}: got {got}, expected {expected}")


def check_drawing(dump, svg):
    decode(dump, "--svg", svg)
    drawing = xml.dom.minidom.parse(svg).documentElement
    lanes = [node.firstChild.data for node in drawing.getElementsByTagName("text")]
    if f"{GUEST} vCPU 0" not in lanes or "cpu0" not in lanes:
        raise TestError(f"the drawing has the lanes {lanes}")


def dump_trace(scene, m, line):
    """The file that holds what the command prints."""
    start = len(m.text)
    command(m, line, r"^trace: end", 400)
    dump = os.path.join(BUILD, "test", os.path.basename(scene.base) + ".dump")
    with open(dump, "w", encoding="utf-8") as f:
        f.write(m.text[start:])
    return dump


def trace(scene, args=""):
    """On, a guest with known numbers of exits, off, a dump that tools/trace decodes to these numbers."""
    vm = (f"{GUEST}.vm", definition(GUEST, GUEST, memory="16M", autostart="no", cmdline="caisson"))
    with scene.start(args, tiny(GUEST), [vm]) as m:
        m.expect(PROMPT, 200)
        command(m, "trace dump", r"error: nothing was traced")
        command(m, "trace on", r"^trace on")
        m.send(f"start {GUEST}\r")
        m.expect(rf"vm {GUEST} ended", 200)
        command(m, "trace off", r"^trace off")
        dump = dump_trace(scene, m, "trace dump")
        check_counts(dump)
        check_drawing(dump, dump + ".svg")
        command(m, "trace dump 8", r"^trace: end", 60)
        command(m, "trace never", r"error: trace: expected on, off, or dump")
        m.send("poweroff\r")
        m.expect_power_off()


def trace_noapicv(scene):
    """The same, without the CPU's virtualization of local APICs: the guest's IPIs to itself would not leave it."""
    trace(scene, "noapicv")

#!/usr/bin/env python3
"""Prints `bench NAME VALUE UNIT goal GOAL` lines; `slow N` behind a path's figure: its slow operations.

Instructions are counted by QEMU, where under -icount shift=0 the TSC advances by one per instruction, and for the
exits on VT-x by Bochs, where it always does. Slow operations are counted by a kernel that is built with
BENCH_BUILD=1; see docs/performance.md.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import table  # noqa: E402
from bochs import Bochs  # noqa: E402
from boot import scenes  # noqa: E402
from machine import BUILD, COMMON, ROOT, Machine, TestError, caisson_options, mkimage  # noqa: E402

OUT = os.path.join(BUILD, "bench")
# name -> goal in instructions
EXIT_GOALS = {
    "cpuid": 400, "port-monitor": 1000, "pm-timer": 1100, "rdmsr": 400, "wrmsr": 400, "eoi": 400,
    "self-ipi-x2apic": 1200, "self-ipi-xapic-hlt": 2000, "timer-rearm": 1000,
}
MANY = (8, 32)  # VMs that wait beside the measured one; an image has room for 62 modules and definitions
ROUNDS = 1000  # of tests/bench/exits.c
START_GOAL = 150_000_000
KIB_PER_VM = 1024
KIB_HOST = 12 * 1024
SLICE = 5_000_000  # instructions, 1 ns each: another thread may come first
IDLE_VMS = 16  # enough that the kernel heap's blocks of 2 MiB make little of a difference
RING0_GOAL = 7500


def report(name, value, unit, goal, extra=""):
    print(f"bench {name} {value} {unit} goal {goal}{extra}", flush=True)


def machine(name, cpus, memory, args, modules, definitions, kernel=None):
    image = mkimage(f"{OUT}/{name}.iso", args, modules, definitions, **({"kernel": kernel} if kernel else {}))
    options = ["-accel", "tcg,thread=single", "-icount", "shift=0", "-machine", "q35", "-cpu", "max,+svm", "-smp",
               str(cpus), "-m", memory] + COMMON + ["-drive", f"file={image},format=raw,media=cdrom,readonly=on",
                                                    "-boot", "d"]
    return Machine(options, f"{OUT}/{name}.log", 600)


def qemu_exits(name, args, modules, definitions, kernel=None):
    return machine(name, 1, "1G", args, modules, definitions, kernel)


def bochs_exits(name, args, modules, definitions, kernel=None):
    image = mkimage(f"{OUT}/{name}.iso", args, modules, definitions, **({"kernel": kernel} if kernel else {}))
    return Bochs(image, table.MACHINES["vmx-bochs-1cpu"], f"{OUT}/{name}.log", 1200)


def bochs_exits_noapicv(name, args, *parts):
    return bochs_exits(name, args + " noapicv", *parts)


# prefix of the figures' names -> what starts the machine with one CPU
EXIT_MACHINES = {"": qemu_exits, "vmx-": bochs_exits, "vmx-noapicv-": bochs_exits_noapicv}


def definition(name, kernel, cmdline="caisson", **keys):
    return (f"{name}.vm", scenes.definition(name, kernel, memory="16M", cmdline=cmdline, **keys))


def hostinfo(m, *keys):
    """Values of these lines of `hostinfo`, which are in this order there."""
    m.send("hostinfo\r")
    values = [int(m.expect(rf"^{key}: +(\d+)\b.*\n", 60)[1]) for key in keys]
    m.expect(scenes.PROMPT, 60)
    return values


def counting_kernel():
    """A kernel that counts slow operations, in a build folder of its own."""
    build = f"{OUT}/slow"
    result = subprocess.run(["make", "--no-print-directory", "-j2", f"B={build}", "BENCH_BUILD=1", "kernel"], cwd=ROOT,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise TestError("the counting kernel: " + result.stderr.strip())
    return f"{build}/kernel.elf"


def slow_operations(prefix, kernel):
    """name -> slow operations a round: what two runs of different length differ by."""
    runs = [(name, length) for name in EXIT_GOALS for length in ("short", "long")]
    vms = [definition(f"{name}-{length}", "exits", f"caisson only {name} {length}") for name, length in runs]
    spent = {}
    with EXIT_MACHINES[prefix](prefix + "slow", "autostart=off", scenes.tiny("exits"), vms, kernel) as m:
        m.expect(scenes.PROMPT, 300)
        before = hostinfo(m, "Slow operations")[0]
        for name, length in runs:
            m.send(f"start {name}-{length}\r")
            m.expect(rf"vm {name}-{length} ended", 120)
            now = hostinfo(m, "Slow operations")[0]
            spent[name, length] = now - before
            before = now
        m.send("poweroff\r")
        m.expect_power_off()
    return {name: round((spent[name, "long"] - spent[name, "short"]) / (2 * ROUNDS)) for name in EXIT_GOALS}


def exits(prefix):
    slow = slow_operations(prefix, counting_kernel())
    with EXIT_MACHINES[prefix](prefix + "exits", "exit=last-vm", scenes.tiny("exits"),
                               [definition("exits", "exits", console="attach")], None) as m:
        m.expect_power_off(400)
        found = dict(re.findall(r"^BENCH (\S+) (\d+)$", m.output(), re.MULTILINE))
    for name, goal in EXIT_GOALS.items():
        if name not in found:
            raise TestError(f"no figure for {prefix}{name}; see {OUT}/{prefix}exits.log")
        report(prefix + name, found[name], "instructions", goal, f" slow {slow[name]}")


def bench_exits():
    exits("")


def bench_vmx_exits():
    exits("vmx-")


def bench_vmx_noapicv_exits():
    exits("vmx-noapicv-")


def bench_exits_among_many():
    """The same paths while other VMs exist, halted, on the same CPU."""
    for count in MANY:
        vms = [definition(f"idle{i}", "idle") for i in range(count)]
        vms.append(definition("exits", "exits", console="attach", autostart="no"))
        with qemu_exits(f"exits-{count}", "", scenes.tiny("exits", "idle"), vms) as m:
            m.expect(scenes.PROMPT, 300)
            m.send("start exits\r")
            m.expect(r"vm exits ended", 300)
            found = dict(re.findall(r"^BENCH (\S+) (\d+)\r?$", m.output(), re.MULTILINE))
            m.send("poweroff\r")
            m.expect_power_off()
        for name, goal in EXIT_GOALS.items():
            if name not in found:
                raise TestError(f"no figure for {name} beside {count} VMs; see {OUT}/exits-{count}.log")
            report(f"{name}-beside-{count}", found[name], "instructions", goal)


def bench_memory():
    """Two CPUs and 4 GiB: all that is not free before any VM, then what each of some VMs takes beside its memory."""
    names = [f"idle{i}" for i in range(IDLE_VMS)]
    vms = [definition(name, "idle", populate="yes") for name in names]
    ram, tables = 4 << 20, 0
    with machine("memory", 2, "4G", "autostart=off", scenes.tiny("idle"), vms) as m:
        m.expect(scenes.PROMPT, 200)
        empty = hostinfo(m, "Free memory")[0]
        report("memory-no-vm", ram - empty, "KiB", KIB_HOST + ram // 500)
        for name in names:
            m.send(f"start {name}\r")
            m.expect(rf"^vm {name} started", 60)
            m.expect(scenes.PROMPT, 60)
            m.send(f"console {name}\r")
            m.expect(r"^idle", 60)
            scenes.escape(m)
            m.send(f"dominfo {name}\r")
            tables += int(m.expect(r"page tables (\d+) KiB", 60)[1])
            m.expect(scenes.PROMPT, 60)
        taken = empty - hostinfo(m, "Free memory")[0]
        report("memory-per-vm", (taken - tables) // IDLE_VMS - 16 * 1024, "KiB", KIB_PER_VM)
        m.send("poweroff\r")
        m.wait_end(60)


def bench_start():
    """Kernel entry to the first instruction of Linux, its VM started by autostart, two CPUs and 4 GiB."""
    with machine("start", 2, "4G", "", scenes.LINUX, [scenes.linux("linux", memory="512M")]) as m:
        m.expect(r"vm: first guest instruction after", 200)
        m.send("\r")
        m.expect(scenes.PROMPT, 200)
        report("start-to-guest", hostinfo(m, "First guest")[0], "instructions", START_GOAL)
        m.send("poweroff\r")
        m.wait_end(60)


def destroy(name, cpus, args):
    """Output of the program that destroys VMs in each state, in the place of init."""
    image = mkimage(f"{OUT}/{name}.iso", f"exitport=0xf4 loglevel=error {args}", init=f"{BUILD}/programs/destroy")
    options = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", str(cpus), "-m", "2G"]
    with Machine(caisson_options(image, options), f"{OUT}/{name}.log", 600) as m:
        m.wait_end(590)
        if "destroy: PASS" not in m.output():
            raise TestError(f"the program failed; see {OUT}/{name}.log")
        return m.output()


def bench_destroy():
    """Two CPUs, so that the VM runs on another one; a VM of 1 GiB on one CPU, where all compete."""
    text = destroy("destroy", 2, "rounds=3 big=64")
    report("destroy-unreachable", max(map(int, re.findall(r"unreachable after (\d+)", text))), "instructions", 1_000_000)
    text = destroy("destroy-1g", 1, "rounds=0 big=1024")
    back, stall = re.search(r"back after (\d+) ticks; another VM's longest stall (\d+)", text).groups()
    report("destroy-1g-memory-back", back, "instructions", 20_000_000)
    report("destroy-stall-other", stall, "instructions", 2 * SLICE)


def bench_lines():
    text = subprocess.run([f"{ROOT}/tools/tcb"], capture_output=True, text=True, check=True).stdout
    report("ring0", re.search(r"^tcb ring0 (\d+)$", text, re.MULTILINE)[1], "lines", RING0_GOAL)


def main():
    os.makedirs(OUT, exist_ok=True)
    failed = False
    for part in (bench_lines, bench_exits, bench_vmx_exits, bench_vmx_noapicv_exits, bench_exits_among_many,
                 bench_start, bench_memory, bench_destroy):
        try:
            part()
        except (TestError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"bench: {part.__name__[6:]}: {error}", file=sys.stderr)
    return failed


sys.exit(main())

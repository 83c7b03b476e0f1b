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
from machine import BUILD, COMMON, MAKE_B, ROOT, Machine, TestError, caisson_options, mkimage  # noqa: E402

OUT = os.path.join(BUILD, "bench")
# name -> goal in instructions
EXIT_GOALS = {
    "cpuid": 400, "port-monitor": 1000, "pm-timer": 1100, "rdmsr": 400, "wrmsr": 400, "eoi": 400,
    "self-ipi-x2apic": 1200, "self-ipi-xapic-hlt": 2000, "timer-rearm": 1000,
}
# of tests/bench/pair.c: two vCPUs that run beside each other, and on one CPU
BESIDE_GOALS = {"ipi-running": 1500, "hlt-wakeup": 2000}
SWITCH_GOALS = {"vcpu-switch": 4000}
CALL_GOALS = {"channel-call": 3500, "channel-call-inside": 3500}
MANY = (1, 8, 64, 256)  # VMs that there are, the measured one among them
DEFINITIONS = 256  # that a machine takes: slow operations, of 2 VMs a path, are counted beside so many fewer
BOCHS_MEMORY = ["memory: guest=2048, host=2048"]  # for 256 VMs
ROUNDS = 1000  # of tests/bench/exits.c and pair.c
# times the rounds of a "long" run; with several CPUs what starting them takes is not always the same
LONG = {"exits": 3, "pair": 21}
START_GOAL = 150_000_000
KIB_PER_VM = 1024
KIB_HOST = 12 * 1024
SLICE = 5_000_000  # instructions, 1 ns each: another thread may come first
SETTLED = 3  # seconds of the machine's, of which a start takes milliseconds
IDLE_VMS = 16  # enough that the kernel heap's blocks of 2 MiB make little of a difference
RING0_GOAL = 12000
GROWN_SHARE, GROWN_MOST = 0.05, 30  # of a path beside all of MANY: the larger one, in instructions
missed = []  # what is above its goal or has grown too much, in words


def report(name, value, unit, goal, extra=""):
    print(f"bench {name} {value} {unit} goal {goal}{extra}", flush=True)
    if int(value) > goal:
        missed.append(f"{name}: got {value} {unit}, goal {goal}")


def report_of(name, count, value, alone, goal, slow):
    """A path while that many VMs exist; without others it takes `alone`."""
    grown, most = value - alone, max(GROWN_MOST, GROWN_SHARE * alone)
    report(f"{name}-of-{count}", value, "instructions", goal, f" slow {slow} grown {grown}")
    if count == MANY[-1] and grown > most:
        missed.append(f"{name}-of-{count}: grown by {grown} instructions, expected at most {most:.0f}")


def machine(name, cpus, memory, args, modules, definitions, kernel=None):
    image = mkimage(f"{OUT}/{name}.iso", args, modules, definitions, **({"kernel": kernel} if kernel else {}))
    options = ["-accel", "tcg,thread=single", "-icount", "shift=0", "-machine", "q35", "-cpu", "max,+svm", "-smp",
               str(cpus), "-m", memory] + COMMON + ["-drive", f"file={image},format=raw,media=cdrom,readonly=on",
                                                    "-boot", "d"]
    return Machine(options, f"{OUT}/{name}.log", 1800)


def svm(name, cpus, args, *parts):
    # with QEMU's TCG no VM runs on the first of several CPUs
    return machine(name, cpus if cpus == 1 else cpus + 1, "2G", args, *parts)


def vmx(name, cpus, args, modules, definitions, kernel=None):
    image = mkimage(f"{OUT}/{name}.iso", args, modules, definitions, **({"kernel": kernel} if kernel else {}))
    machine_lines = table.MACHINES["vmx-bochs-1cpu" if cpus == 1 else "vmx-bochs"][:1] + BOCHS_MEMORY
    return Bochs(image, machine_lines, f"{OUT}/{name}.log", 1800)


def vmx_noapicv(name, cpus, args, *parts):
    return vmx(name, cpus, args + " noapicv", *parts)


# prefix of the figures' names -> what starts the machine with CPUs that run VMs
EXIT_MACHINES = {"": svm, "vmx-": vmx, "vmx-noapicv-": vmx_noapicv}


def definition(name, kernel, cmdline="caisson", **keys):
    keys = {"memory": "16M", **keys}
    return (f"{name}.vm", scenes.definition(name, kernel, cmdline=cmdline, **keys))


def hostinfo(m, *keys):
    """Values of these lines of `hostinfo`, which are in this order there."""
    m.send("hostinfo\r")
    values = [int(m.expect(rf"^{key}: +(\d+)\b.*\n", 60)[1]) for key in keys]
    m.expect(scenes.PROMPT, 60)
    return values


def counting_kernel():
    """A kernel that counts slow operations, in a build folder of its own."""
    command = ["make", "--no-print-directory", "-j2", f"B={MAKE_B}/bench/slow", "BENCH_BUILD=1", "kernel"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise TestError("the counting kernel: " + result.stderr.strip())
    return f"{OUT}/slow/kernel.elf"


def until_vms(m, count):
    """
    As many exist, a monitor that has started makes its VM soon, and all halt: what ends a start on the CPU of a guest
    that measures would count as its own.
    """
    since = None

    def look():
        nonlocal since
        m.send("hostinfo\r")
        there, up = map(int, m.expect(r" (\d+) VMs, \d+ vCPUs[\s\S]*Up for: +(\d+) s", 60).groups())
        m.expect(scenes.PROMPT, 60)
        if there != count:
            since = None
            raise TestError(f"{there} VMs, expected {count}")
        since = up if since is None else since
        if up - since < SETTLED:
            raise TestError(f"{count} VMs for {up - since} s, expected {SETTLED} s")

    m.until(look, 300)


def with_others(prefix, log, cpus, guest, vms, counts, kernel=None):
    """A machine, again for each count: as many VMs there are when one of `vms` has started; the others halt."""
    most = DEFINITIONS - len(vms) + 1
    idle = [definition(f"idle{i}", "idle", memory="2M") for i in range(1, min(max(counts), most))]
    args = "autostart=off" + ("" if kernel else " loglevel=error")  # the log says how a VM ended
    with EXIT_MACHINES[prefix](log, cpus, args, scenes.tiny(guest, "idle"), idle + vms, kernel) as m:
        m.expect(scenes.PROMPT, 300)
        exist = 1
        for count in counts:
            for i in range(exist, min(count, most)):
                m.send(f"start idle{i}\r")
                m.expect(rf"^vm idle{i} started", 60)
            exist = min(count, most)
            until_vms(m, exist - 1)
            yield m, count
        m.send("poweroff\r")
        m.expect_power_off()


def spent(m, vm):
    """Slow operations while this VM exists."""
    before = hostinfo(m, "Slow operations")[0]
    m.send(f"start {vm}\r")
    status = m.expect(rf"vm {vm} ended: (.*)\n", 300)[1]
    if "status 0" not in status:
        raise TestError(f"{vm} ended with {status}")
    return hostinfo(m, "Slow operations")[0] - before


def slow_operations(prefix, guest, goals, vcpus, cpus, counts=(1,)):
    """(name, VMs there are) -> slow operations a round: what two runs of different length differ by."""
    vms = [definition(f"{name}-{length}", guest, f"caisson only {name} {length}", vcpus=vcpus)
           for name in goals for length in ("short", "long")]
    rounds = (LONG[guest] - 1) * ROUNDS
    log = f"{prefix}{guest}-{cpus}-slow" + ("-many" if len(counts) > 1 else "")
    return {(name, count): round((spent(m, f"{name}-long") - spent(m, f"{name}-short")) / rounds)
            for m, count in with_others(prefix, log, cpus, guest, vms, counts, counting_kernel()) for name in goals}


def figures(text, goals, log):
    """name -> what the guest has printed."""
    found = {name: int(value) for name, value in re.findall(r"^BENCH (\S+) (\d+)\r?$", text, re.MULTILINE)}
    for name in goals:
        if name not in found:
            raise TestError(f"no figure for {name}; see {OUT}/{log}.log")
    return found


def paths(prefix, guest, goals, vcpus=1, cpus=1):
    slow = slow_operations(prefix, guest, goals, vcpus, cpus)
    log = f"{prefix}{guest}-{cpus}"
    vm = definition(guest, guest, f"caisson {' '.join(goals)}", console="attach", vcpus=vcpus)
    with EXIT_MACHINES[prefix](log, cpus, "exit=last-vm", scenes.tiny(guest), [vm], None) as m:
        m.expect_power_off(400)
        found = figures(m.output(), goals, log)
    for name, goal in goals.items():
        report(prefix + name, found[name], "instructions", goal, f" slow {slow[name, 1]}")


def guests(prefix):
    paths(prefix, "exits", EXIT_GOALS)
    paths(prefix, "pair", SWITCH_GOALS, vcpus=2)
    paths(prefix, "pair", BESIDE_GOALS, vcpus=2, cpus=2)


def bench_exits():
    guests("")


def bench_vmx_exits():
    guests("vmx-")


def bench_vmx_noapicv_exits():
    guests("vmx-noapicv-")


def calls(prefix):
    """Between programs, without a VM and beside some: tests/ring3/calls.c in the place of init."""
    found = {}
    for name, kernel in (("", None), ("slow", counting_kernel())):
        parts = {"kernel": kernel} if kernel else {}
        log = f"{prefix}calls{name}"
        image = mkimage(f"{OUT}/{log}.iso", "exitport=0xf4 loglevel=error noreboot",
                        init=f"{BUILD}/programs/calls", **parts)
        with bare(prefix, image, log) as m:
            m.expect(r"^calls: PASS", 300)
            found[name] = {(path, int(vms)): (int(value), slow) for path, vms, value, slow in
                           re.findall(r"^calls: BENCH (\S+) (\d+) (\d+) (\d+)\r?$", m.output(), re.MULTILINE)}
    for name, goal in CALL_GOALS.items():
        alone = found[""][name, 0][0]
        report(prefix + name, alone, "instructions", goal, f" slow {found['slow'][name, 0][1]}")
        for count in MANY:
            report_of(prefix + name, count, found[""][name, count][0], alone, goal, found["slow"][name, count][1])


def bare(prefix, image, log):
    """A machine with one CPU and this image."""
    if prefix:
        return Bochs(image, table.MACHINES["vmx-bochs-1cpu"], f"{OUT}/{log}.log", 600)
    options = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1", "-m", "1G"]
    return Machine(caisson_options(image, options), f"{OUT}/{log}.log", 600)


def bench_calls():
    calls("")
    calls("vmx-")


def among_many(prefix, guest, goals, counts, vcpus=1, cpus=1):
    """The paths while other VMs exist, which halt: what they cost more than alone."""
    slow = slow_operations(prefix, guest, goals, vcpus, cpus, counts)
    log = f"{prefix}{guest}-{cpus}-many"
    vms = [definition(guest, guest, f"caisson {' '.join(goals)}", console="attach", vcpus=vcpus)]
    alone = {}
    for m, count in with_others(prefix, log, cpus, guest, vms, counts):
        before = len(m.output())
        m.send(f"start {guest}\r")
        m.expect(rf"vm {guest} ended", 600)
        found = figures(m.output()[before:], goals, log)
        alone = alone or found
        for name, goal in goals.items():
            report_of(prefix + name, count, found[name], alone[name], goal, slow[name, count])


def bench_among_many():
    among_many("", "exits", EXIT_GOALS, MANY)
    among_many("", "pair", SWITCH_GOALS, MANY, vcpus=2)
    among_many("", "pair", BESIDE_GOALS, MANY, vcpus=2, cpus=2)


def bench_vmx_among_many():
    among_many("vmx-", "exits", EXIT_GOALS, MANY)
    among_many("vmx-", "pair", SWITCH_GOALS, MANY, vcpus=2)
    among_many("vmx-", "pair", BESIDE_GOALS, MANY, vcpus=2, cpus=2)


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
        m.expect(scenes.PROMPT, 200)
        start = m.until(lambda: scenes.command(m, "dominfo linux", r"First entry: +(\d+) us", 5), 200)
        report("start-to-guest", int(start[1]) * 1000, "instructions", START_GOAL)
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
    parts = (bench_lines, bench_exits, bench_vmx_exits, bench_vmx_noapicv_exits, bench_calls, bench_among_many,
             bench_vmx_among_many, bench_start, bench_memory, bench_destroy)
    asked = sys.argv[1:]
    for part in parts:
        if asked and part.__name__[6:] not in asked:
            continue
        try:
            part()
        except (TestError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"bench: {part.__name__[6:]}: {error}", file=sys.stderr)
    for miss in missed:
        print(f"bench: {miss}", file=sys.stderr)
    return 1 if failed or missed else 0


sys.exit(main())

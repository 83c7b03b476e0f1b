"""Guests that do anything, and a machine that reports its own faults."""
import os
import random
import re
import subprocess
import threading
import time

import gdb
from boot.scenes import (LINUX, PROMPT, command, definition, escape, expect_memory_back, expect_status, free_memory, linux,
                         tiny, wild_programs)
from machine import BUILD, TestError

OPERATIONS = int(os.environ.get("HOSTILE_OPERATIONS", "100000"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
DEBUG_SHARE = 10            # of the operations on the debug kernel
BOCHS_SHARE = 20            # of the operations under Bochs
WORST_GAP_MS = 5000         # of the bystander, beside the host's own: other programs use the test machine too
HOST_NAP = 0.05             # seconds between two looks at how the host keeps this program waiting
# Seconds without a report (one takes half a second of a machine like ours), then the guest has wedged itself.
SILENCE = {"QEMU": 8, "Bochs": 120}
NEW_LINE = 0.3             # seconds since the one before: not one of those that the console kept
LEAST_SHARE = 0.05          # of all operations, for each kind but the last
OPERATIONS_PER_FAULT = {"QEMU": 500000, "Bochs": 15000}     # of the emulator itself, at least
LOG_BURST, LOG_SECOND = 250, 2  # lines that one VM may cause: kernel 128 + 1/s, init 40 + 1/5 s
KINDS = ("ports", "MSRs", "control registers", "memory", "APICs", "hypercalls", "bytes", "others")
REPORT = r"hostile: seed (0x[0-9a-f]+) did \d+, \d+ had no end, of each kind ([\d ]+)\n"


class HostGap:
    """The longest time in which the host let a thread of this program not run that wants to, in ms, by a thread that naps."""

    def __enter__(self):
        self.ms, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def watch(self):
        before = time.monotonic()
        while not self.over.wait(HOST_NAP):
            now = time.monotonic()
            self.ms, before = max(self.ms, round((now - before - HOST_NAP) * 1000)), now


def bystander_line(m):
    """
    The bystander's newest line: its number and the longest gap between two of its timer's interrupts. The console
    shows the older ones first, all at once; a new one comes each second.
    """
    begin, lines, fresh = len(m.output()), [], 0
    m.send("console bystander\r")
    came = time.monotonic()
    end = came + 180
    while fresh < 2 and time.monotonic() < end and m.read(1):
        before = len(lines)
        lines = re.findall(r"^bystander: line (\d+), longest gap (\d+) ms$", m.output()[begin:], re.MULTILINE)
        if len(lines) > before:
            fresh += time.monotonic() - came > NEW_LINE
            came = time.monotonic()
    escape(m)
    if fresh < 2:
        raise TestError("the bystander stands still")
    return int(lines[-1][0]), int(lines[-1][1])


def restart_hostile(m):
    escape(m)
    m.send("destroy hostile\r")
    m.expect(r"destroyed|error", 60)
    m.expect(PROMPT, 60)
    m.send("start hostile\r")


def total(lives):
    return sum(map(sum, lives.values()))


def next_report(m):
    """None: the guest is silent, though the emulator could work."""
    end, waited = time.monotonic() + SILENCE[m.who], m.kept_waiting()
    while True:
        try:
            return m.expect(REPORT, max(0.1, end - time.monotonic()))
        except TestError:
            now_waited = m.kept_waiting()
            end, waited = end + now_waited - waited, now_waited
            if m.process.poll() is not None:
                raise
            if time.monotonic() >= min(end, m.deadline):
                return None


def operate(m, wanted, lives):
    """Until the guest has done that many operations, over all its lives: the number of each kind in each life."""
    while total(lives) < wanted:
        match = next_report(m)
        if not match:
            restart_hostile(m)
            continue
        done = [int(n) for n in match[2].split()]
        if sum(done) > sum(lives.get(match[1], [])):    # the console shows older lines again when it is attached
            lives[match[1]] = done


def check_kinds(lives):
    done = [sum(n) for n in zip(*lives.values())]
    for kind, n in list(zip(KINDS, done))[:-1]:
        if n < LEAST_SHARE * sum(done):
            raise TestError(f"{kind}: {n} of {sum(done)} operations, expected at least {LEAST_SHARE:.0%}")
    return ", ".join(f"{n} {kind}" for kind, n in zip(KINDS, done))


def check_log(m, seconds):
    text = m.output()
    lines = re.findall(r"^.*\] cpu\d+ \w+: (?:vm \d+|vcpu|svm|vmx|init: vm hostile).*$", text, re.MULTILINE)
    allowed = LOG_BURST + LOG_SECOND * seconds
    if len(lines) > allowed:
        raise TestError(f"{len(lines)} lines of log in {seconds:.0f} s, expected at most {allowed:.0f}")
    bad = re.search(r"panic: .*", text)
    if bad:
        raise TestError(bad[0])


def emulator_fault(m, words):
    """
    The emulator's own words when it has ended by a fault of its own: an assert of QEMU's translator, a breakpoint
    register of the guest at the end of the address space, which QEMU trips over, a task register that an
    instruction overwrote which the guest leaves out (docs/testing.md) but then wrote over its own code, or a triple
    fault of the calm guest, for which Bochs' AMD-V has no exit.
    """
    if m.process.poll() is None:
        return None
    if m.who == "Bochs":
        return m.ending() if "calm" in words and m.guest_tripled() else None
    fault = re.search(r"killed by (SIGABRT.*target/i386/tcg/.*Assertion|SIGABRT.*fatal: invalid tss$|"
                      r"SIGSEGV.*invalid watchpoint).*", m.ending())
    return fault and f"QEMU {fault[0]}"


def hostile_machine(m, operations, lives):
    """Adds to the lives until they have done that many operations; then the neighbour, the log and the memory."""
    m.expect(PROMPT, 120)
    before = free_memory(m)
    start = time.monotonic()
    with HostGap() as host:
        command(m, "start bystander", r"vm bystander started")
        m.send("start hostile\r")
        operate(m, operations, lives)
        escape(m)
        gap = bystander_line(m)[1]
    if gap > WORST_GAP_MS + host.ms:
        raise TestError(f"the bystander's timer was {gap} ms late, expected at most {WORST_GAP_MS} and the host's {host.ms}")
    m.send("destroy hostile\r")
    m.expect(r"destroyed|error", 60)
    m.expect(PROMPT, 60)
    bystander_line(m)
    command(m, "destroy bystander", r"vm bystander destroyed")
    command(m, "selftest", r"selftest: live page tables: 0 violations: PASS")
    check_log(m, time.monotonic() - start)
    expect_memory_back(m, before)
    m.send("poweroff\r")
    m.expect_power_off()
    return gap


def hostile(scene, operations, words=""):
    """
    It ends only itself, over and over; its neighbour, the log and the memory stay well. When random bytes have ended
    the emulator itself, another machine goes on with another seed.
    """
    lives, gap, faults = {}, None, 0
    while gap is None:
        cmdline = f"caisson seed={SEED + faults} {words}"
        vms = [("bystander.vm", definition("bystander", "bystander", memory="16M", cmdline="caisson")),
               ("hostile.vm", definition("hostile", "hostile", memory="16M", cmdline=cmdline, console="attach",
                                         on_exit="restart"))]
        with scene.start("autostart=off", tiny("hostile", "bystander"), vms) as m:
            try:
                gap = hostile_machine(m, operations, lives)
            except TestError:
                fault = emulator_fault(m, words)
                faults += 1
                if not fault or faults > 1 + operations // OPERATIONS_PER_FAULT[m.who]:
                    raise
                print(f"hostile: after {total(lives)} operations {fault}; goes on with seed {SEED + faults}")
    kinds = check_kinds(lives)
    print(f"hostile: {total(lives)} operations in {len(lives)} lives: {kinds}; longest gap of the neighbour {gap} ms")


def hostile_guest(scene):
    hostile(scene, OPERATIONS)


def hostile_guest_debug(scene):
    hostile(scene, OPERATIONS // DEBUG_SHARE)


def hostile_guest_bochs(scene):
    hostile(scene, OPERATIONS // BOCHS_SHARE)


def hostile_guest_calm(scene):
    """Without what Bochs' AMD-V does wrong."""
    hostile(scene, OPERATIONS // BOCHS_SHARE, "calm")


NMIS = 500


def nmis(scene):
    """NMIs at random moments, from the kernel's first line on: through its start, entries and exits; all are ignored."""
    moments = random.Random(SEED)
    vms = [linux("linux", "smoke"), ("bystander.vm", definition("bystander", "bystander", memory="16M", cmdline="caisson"))]
    with scene.start("", definitions=vms, modules=LINUX + tiny("bystander")) as m:
        m.expect(r"Caisson, a hypervisor", 60)
        sent = 0
        while (sent < NMIS or "vm linux ended" not in m.output()) and time.monotonic() < m.deadline:
            m.monitor("nmi")
            sent += 1
            m.read_for(moments.random() * 0.03)
        expect_status(m, "vm linux ended: status 0")
        m.send("\r")
        m.expect(PROMPT, 60)
        seen = int(command(m, "hostinfo", r"NMIs ignored: +(\d+)")[1])
        if seen < NMIS // 2:   # those that meet a pending one are lost: most, where the emulator gets little of its host
            raise TestError(f"{seen} NMIs were counted, {sent} sent to each CPU, expected at least {NMIS // 2}")
        bystander_line(m)
        command(m, "selftest", r"selftest: live page tables: 0 violations: PASS")
        if "panic" in m.output() or " error: " in m.output():
            raise TestError("the kernel logged an error")
        m.send("poweroff\r")
        m.wait_end(60)


# Ways into and out of ring 0 and a guest: from a symbol to the next one. Left out: VERW, which this CPU does not need,
# and what fills up to the next function.
WAYS = (("syscall_entry", "trap_return"), ("svm_switch", None))


def nmi_points(kernel):
    """Addresses of their instructions."""
    points = []
    for first, behind in WAYS:
        words = [f"--disassemble={first}"]
        if behind:
            words = [f"--start-address={gdb.symbol(kernel, first):#x}", f"--stop-address={gdb.symbol(kernel, behind):#x}"]
        listed = subprocess.run(["objdump", "-d", "--no-show-raw-insn", *words, kernel], capture_output=True, text=True,
                                check=True).stdout
        points += [int(address, 16) for address, name in re.findall(r"^([0-9a-f]{16}):\t(\w+)", listed, re.MULTILINE)
                   if name not in ("verw", "int3")]
    return points


def nmi_everywhere(scene):
    """An NMI before each instruction of the ways into and out of ring 0 and a guest: none is lost, none does harm."""
    points, taken = nmi_points(scene.kernel), gdb.symbol(scene.kernel, "trap_paranoid")
    vms = [(f"{name}.vm", definition(name, name, memory="16M", cmdline=cmdline))
           for name, cmdline in (("worker", "ports"), ("bystander", "caisson"))]
    with scene.start("", tiny("worker", "bystander"), vms) as m:
        m.expect(PROMPT, 60)
        with gdb.Gdb(m) as debugger:
            for point in points:
                debugger.run_to(point)
                m.monitor("nmi")
                debugger.run_to(taken)  # before the next one: there is room for one that waits
        seen = int(command(m, "hostinfo", r"NMIs ignored: +(\d+)")[1])
        if len(points) < 150 or seen != len(points):
            raise TestError(f"{seen} NMIs were counted, {len(points)} sent, expected 150 or more, all counted")
        bystander_line(m)
        command(m, "list", r"worker +running")
        command(m, "selftest", r"selftest: live page tables: 0 violations: PASS")
        m.send("poweroff\r")
        m.wait_end(60)


# An uncorrected error without an address that asks for action (SRAR); what was interrupted may go on, and has met it or not.
UNCORRECTED, MET, ELSEWHERE = 0xb180000000000000, 7, 5


def machine_check(scene):
    """An error that a program meets ends its domain; one that the kernel meets the machine, with the bank's content."""
    vms = [("loop.vm", definition("loop", "pass", cmdline="loop", memory="16M"))]
    scene.parts["programs"] = wild_programs(scene)
    check = f"mce 0 1 {UNCORRECTED:#x} {MET} 0 0"
    for _ in range(5):      # now and then the moment is that of an interrupt, in ring 0
        with scene.start("exitport=0xf4", [("pass", f"{BUILD}/guests/cpuid.elf")], vms) as m:
            m.expect(PROMPT, 60)
            m.let_work(2)   # now nothing runs but the monitor that never stops
            m.monitor(f"mce 0 2 {UNCORRECTED:#x} {ELSEWHERE} 0 0")  # another CPU's
            command(m, "list", r"loop +running")
            m.monitor(check)
            if "panic" in m.expect(r"(panic: machine check in ring 0|mce): bank 1, status 0xb180000000000000", 60)[0]:
                continue
            m.expect(r"vm loop ended: status 124", 60)
            m.send("\r")
            m.expect(PROMPT, 60)
            command(m, "list --all", r"loop +crashed")
            m.monitor(check)
            m.expect_exit(127, 60)
            expect_status(m, "panic: machine check in ring 0: bank 1, status 0xb180000000000000")
            return
    raise TestError("5 machine checks met the kernel, none the program that never stops")


VMRUN = b"\x0f\x01\xd8"
VMCB_EXIT_CODE, EXIT_MACHINE_CHECK, EXIT_NOBODY_KNOWS = 0x70, 0x52, 0x3fe


def forge_exit(scene, m, code, check=None):
    """
    The next exit of the guest `checked` gets this code, as if the CPU had made it so. check: before, a command for
    QEMU's monitor while the guest runs, that lets a machine check come to it.
    """
    guest = f"{BUILD}/guests/checked.elf.full"
    switch = gdb.symbol(scene.kernel, "svm_switch")
    behind_vmrun = switch + gdb.code(scene.kernel, switch, 256).index(VMRUN) + len(VMRUN)
    def run_to_guest(debugger, name):
        for _ in range(20):     # other guests have code at the same address
            debugger.run_to(gdb.symbol(guest, name))
            if debugger.register(gdb.R14) == int.from_bytes(b"checked", "little"):
                return
            debugger.run_to(behind_vmrun)
        raise TestError("the guest did not run")

    with gdb.Gdb(m) as debugger:
        run_to_guest(debugger, "checked_turn")
        if check:
            m.monitor(check)
            run_to_guest(debugger, "checked_handler")
        debugger.run_to(behind_vmrun)
        debugger.write_physical(debugger.register(gdb.RAX) + VMCB_EXIT_CODE, code, 8)


def machine_check_guest(scene):
    """
    A processor's machine check under a guest is an exit, which TCG does not make: there the check comes to the guest,
    with the banks set, and the next exit is made to one of it. It ends that guest, and nothing else; so does an exit
    that the kernel does not know.
    """
    vms = [(f"{name}.vm", definition(name, kernel, memory="16M", cmdline="caisson", autostart=autostart))
           for name, kernel, autostart in (("checked", "checked", "no"), ("unknown", "checked", "no"),
                                           ("bystander", "bystander", "yes"))]
    check = f"mce 0 1 {UNCORRECTED:#x} {MET} 0 0"
    with scene.start("", tiny("checked", "bystander"), vms) as m:
        m.expect(PROMPT, 60)
        command(m, "start checked", r"vm checked started")
        forge_exit(scene, m, EXIT_MACHINE_CHECK, check)
        for line in (r"error: mce: bank 1, status 0xb180000000000000, address 0: what ran is ended",
                     r"error: vm \d+: vCPU 0 stopped: machine check while the guest ran",
                     r"init: vm checked: the vCPU cannot go on: a machine check while the guest ran",
                     r"init: vm checked ended: status 122 \(internal error\)"):
            m.expect(line, 60)
        bystander_line(m)
        command(m, "start unknown", r"vm unknown started")
        forge_exit(scene, m, EXIT_NOBODY_KNOWS)
        for line in (r"error: vm \d+: vCPU 0 stopped: an exit that this kernel does not know: 0x3fe",
                     r"init: vm unknown: svm: ", r"init: vm unknown: +rip +\S+ +rflags ",
                     r"init: vm unknown: the vCPU cannot go on: the kernel doesn't know this exit",
                     r"init: vm unknown ended: status 122 \(internal error\)"):
            m.expect(line, 60)
        bystander_line(m)
        command(m, "list --all", r"checked +crashed[\s\S]*unknown +crashed|unknown +crashed[\s\S]*checked +crashed")
        command(m, "selftest", r"0 violations: PASS")
        m.send("poweroff\r")
        m.wait_end(60)

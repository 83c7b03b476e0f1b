"""Whole-machine runs with a test program in the place of init: programs against the kernel."""
import re
import time

from boot.scenes import LINUX, PROMPT, escape, expect_status, linux, to_shell
from bochs import Bochs
from machine import BUILD, Machine, TestError, caisson_options, mkimage

SLICE_US = 5000  # SCHED_SLICE_NS
SWITCH_US = 100
# A hostile program that uses up its quota ends its own VM, and the log says so.
OWN_FAULT = re.compile(r"error: vm \d+: vCPU \d+ stopped: no memory for a guest page or a nested table")


def seed_of(text):
    """The boot option that repeats a run's random numbers."""
    return "".join(re.findall(r"^\S+:( seed=\d+)", text, re.MULTILINE)[:1])


def run_program(scene, program, args, seconds=None):
    """The program as the root task; returns what it printed when it has ended well."""
    image = mkimage(scene.base + ".iso", f"exitport=0xf4 loglevel=error {args}", init=f"{BUILD}/programs/{program}",
                    kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        try:
            m.expect_exit(0, seconds or scene.limit)
        except TestError as error:
            failed = re.findall(rf"^{program}: FAIL: .*", m.output(), re.MULTILINE)
            raise TestError((failed[0] if failed else str(error)) + seed_of(m.output())) from None
        expect_status(m, f"{program}: PASS")
        text = m.output()
    errors = [line for line in text.split("\n") if " error: " in line and not OWN_FAULT.search(line)]
    if errors:
        raise TestError(f"the kernel logged {errors[0]!r}, expected no error{seed_of(text)}")
    return text


def run_program_bochs(scene, program, args):
    """The same on another engine: Bochs can't tell a program's status, so its output does."""
    image = mkimage(scene.base + ".iso", f"noreboot loglevel=error {args}", init=f"{BUILD}/programs/{program}",
                    kernel=scene.kernel)
    with Bochs(image, scene.machine, scene.log, scene.limit) as m:
        end = m.expect(rf"^({program}: (PASS|FAIL: .*)|panic: .*|.* error: .*)\n", scene.limit)[1]
        if end != f"{program}: PASS":
            raise TestError(end)


def ring3_stress(scene):
    """A million random system calls from several domains on all CPUs; then quota, memory and objects are what they were."""
    run_program(scene, "stress", "")


def ring3_stress_debug(scene):
    """The same, shorter, with the assertions of a debug build."""
    run_program(scene, "stress", "calls=200000")


def ring3_heartbeat(scene):
    """
    Beside it, a thread on each CPU that sleeps and wakes is never late by more than a slice, and before, one that had a CPU
    to itself takes turns with one that comes later from the first one on. Time is instructions.
    """
    text = run_program(scene, "stress", "calls=200000")
    waits = [int(us) for us in re.findall(r"^stress: newcomer: the other waits for (\d+) us", text, re.MULTILINE)]
    if len(waits) != 1 or waits[0] > 2 * SLICE_US + SWITCH_US:
        raise TestError(f"beside a newcomer: got waits of {waits} us, expected one of at most two slices{seed_of(text)}")
    late = [int(us) for us in re.findall(r"^stress: heartbeat: cpu\d+: \d+ beats, latest by (\d+) us", text, re.MULTILINE)]
    if len(late) != 2 or max(late) > SLICE_US:
        raise TestError(f"got beats late by {late} us, expected 2 of at most {SLICE_US}{seed_of(text)}")


DESTROY_TICKS = 1_000_000  # until no thread of a destroyed VM runs any more


def destroy_states(scene):
    """A VM is destroyed in each state that it can be in; then memory, objects and quota are what they were."""
    run_program(scene, "destroy", "rounds=3 big=256")


def destroy_states_bochs(scene):
    """The same on another engine, with fewer rounds."""
    run_program_bochs(scene, "destroy", "rounds=1 big=16")


def device_interrupts(scene):
    """A device process raises a guest's interrupts by an event that is bound to them; the monitor has no part in it."""
    run_program(scene, "irqs", "rounds=1000")


def device_interrupts_bochs(scene):
    run_program_bochs(scene, "irqs", "rounds=50")


def reply(scene):
    """rip wraps at 4 GiB as the mode says. What the kernel knew of an instruction counts no more when the guest's memory is
    gone: it asks again."""
    run_program(scene, "reply", "")


def reply_bochs(scene):
    run_program_bochs(scene, "reply", "")


def destroy_bounded(scene):
    """In each state it is unreachable soon. Time is instructions."""
    text = run_program(scene, "destroy", "rounds=3 big=64")
    found = re.findall(r"^destroy: (\S+): unreachable after (\d+) ticks", text, re.MULTILINE)
    slow = [f"{state} {ticks}" for state, ticks in found if int(ticks) > DESTROY_TICKS]
    if len(found) != 13 or slow:
        raise TestError(f"got {len(found)} states, too late: {slow}; expected 13, each within {DESTROY_TICKS}")


POPULATED_TICKS = 20_000_000    # until the memory of a VM of 1 GiB is free


def destroy_populated(scene):
    """What a VM of 1 GiB had populated is back soon. Time is instructions."""
    text = run_program(scene, "destroy", "rounds=0 big=1024")
    found = re.findall(r"^destroy: memory back after (\d+) ticks", text, re.MULTILINE)
    if len(found) != 1 or int(found[0]) > POPULATED_TICKS:
        raise TestError(f"got the memory back after {found} ticks, expected at most {POPULATED_TICKS}")


def count_of(m, when):
    """The guest's counter, read at its shell. when: a word that no output before had, which the console may show again."""
    m.send(f"echo {when}-$(cat /tmp/count)-\r")
    return int(m.expect(rf"^{when}-(\d+)-", 60)[1])


def killed_at_random(scene):
    """
    Monitors and manager are killed 100 times each, while the console is used; after each time memory, objects and quota
    are what they were, and another guest's program goes on.
    """
    vms = [linux("linux", populate="yes", memory="128M"), linux("victim-a", autostart="no", memory="128M"),
           linux("victim-b", autostart="no", populate="yes", memory="96M")]
    image = mkimage(scene.base + ".iso", "exitport=0xf4 loglevel=error", LINUX, vms, init=f"{BUILD}/programs/chaos",
                    kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect(PROMPT, 60)
        m.send("console linux\r")
        to_shell(m)
        m.send("i=0; while :; do i=$((i + 1)); echo $i > /tmp/new; mv /tmp/new /tmp/count; done &\r")
        m.expect(r"# $", 60)
        before = count_of(m, "before")
        escape(m)
        m.send("start victim-a\r")
        while "chaos: PASS" not in m.output() and "chaos: FAIL" not in m.output():
            m.send("hostinfo\rhelp\r")
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                if not m.read(until - time.monotonic()) or time.monotonic() > m.deadline:
                    raise TestError(f"not finished; last line: {m.last_line()!r}")
        failed = re.findall(r"chaos: FAIL: .*", m.output())
        if failed:
            raise TestError(failed[0])
        m.seen = len(m.text)
        m.send("\r")
        m.expect(PROMPT, 60)
        m.send("console linux\r")
        m.expect(r"onnected", 60)
        m.send("\r")
        m.expect(r"# $", 60)
        after = count_of(m, "after")
        if after <= before:
            m.send("jobs; ps; dmesg | tail -n 5; cat /tmp/new; echo end-$((1 + 1))\r")
            m.expect(r"end-2", 60)
            raise TestError(f"the other guest's counter: got {after}, expected more than {before}")
        errors = re.findall(r"^.* error: .*", m.output(), re.MULTILINE)
        if errors:
            raise TestError(f"the kernel logged {errors[0]!r}, expected no error")

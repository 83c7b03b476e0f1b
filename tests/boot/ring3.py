"""Whole-machine runs with a test program in the place of init: programs against the kernel."""
import re

from boot.scenes import expect_status
from machine import BUILD, Machine, TestError, caisson_options, mkimage

SLICE_US = 5000  # SCHED_SLICE_NS
# A hostile program that uses up its quota ends its own VM, and the log says so.
OWN_FAULT = re.compile(r"error: vm \d+: vCPU \d+ stopped: no memory for a guest page or a nested table")


def run_program(scene, program, args, seconds=None):
    """The program as the root task; returns what it printed when it has ended well."""
    image = mkimage(scene.base + ".iso", f"exitport=0xf4 loglevel=error {args}", init=f"{BUILD}/programs/{program}",
                    kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        try:
            m.expect_exit(0, seconds or scene.limit)
        except TestError as error:
            failed = re.findall(rf"^{program}: FAIL: .*", m.output(), re.MULTILINE)
            raise TestError(failed[0] if failed else str(error)) from None
        expect_status(m, f"{program}: PASS")
        text = m.output()
    errors = [line for line in text.split("\n") if " error: " in line and not OWN_FAULT.search(line)]
    if errors:
        raise TestError(f"the kernel logged {errors[0]!r}, expected no error")
    return text


def ring3_stress(scene):
    """A million random system calls from several domains on all CPUs; then quota, memory and objects are what they were."""
    run_program(scene, "stress", "")


def ring3_stress_debug(scene):
    """The same, shorter, with the assertions of a debug build."""
    run_program(scene, "stress", "calls=200000")


def ring3_heartbeat(scene):
    """Beside it, a thread on each CPU that sleeps and wakes is never late by more than a slice. Time is instructions."""
    text = run_program(scene, "stress", "calls=200000")
    late = [int(us) for us in re.findall(r"^stress: heartbeat: cpu\d+: \d+ beats, latest by (\d+) us", text, re.MULTILINE)]
    if len(late) != 2 or max(late) > SLICE_US:
        raise TestError(f"got beats late by {late} us, expected 2 of at most {SLICE_US}")


DESTROY_TICKS = 1_000_000  # until no thread of a destroyed VM runs any more


def destroy_states(scene):
    """A VM is destroyed in each state that it can be in; then memory, objects and quota are what they were."""
    run_program(scene, "destroy", "rounds=3 big=256")


def destroy_bounded(scene):
    """In each state it is unreachable soon. Time is instructions."""
    text = run_program(scene, "destroy", "rounds=3 big=64")
    found = re.findall(r"^destroy: (\S+): unreachable after (\d+) ticks", text, re.MULTILINE)
    slow = [f"{state} {ticks}" for state, ticks in found if int(ticks) > DESTROY_TICKS]
    if len(found) != 13 or slow:
        raise TestError(f"got {len(found)} states, too late: {slow}; expected 13, each within {DESTROY_TICKS}")

"""Guests that have nothing to do: the exits that Linux causes, the host's sleep, and clocks that stay together."""
import re

from boot.scenes import BOCHS_LINUX, CI_ARGS, command, definition, escape, expect_status, tiny, to_shell
from boot.trace import decode, dump_trace
from machine import Machine, TestError

EXITS_A_SECOND = 15     # fewer than these
CPU_TIME = 0.15         # of the seconds that pass: QEMU takes less than this part of one of our CPUs
DRIFT_SECONDS = 60
SETTLE = 15             # seconds in which what starts with the guest ends
PAUSE = 2               # seconds between two looks at the machine's clock


def wait_there(m, seconds):
    """By the machine's clock, which runs ahead of ours while its CPUs halt. Looks seldom: that is traced too."""
    begin = now = int(command(m, "hostinfo", r"Up for: +(\d+) s", 300)[1])
    while now < begin + seconds:
        m.read_for(PAUSE)
        now = int(command(m, "hostinfo", r"Up for: +(\d+) s", 300)[1])


def exits_a_second(scene, m, seconds, pause):
    """Of the one VM, by the time that its machine has; and the summary of the trace."""
    command(m, "trace on", r"^trace on")
    pause(m, seconds)
    command(m, "trace off", r"^trace off")
    text = decode(dump_trace(scene, m, "trace dump"))
    hz = int(re.search(r", 0 lost, .* TSC (\d+) Hz", text)[1])
    ticks = max(int(n) for n in re.findall(r"^\d+ +\d+ +(\d+) +\d+\.\d%", text, re.MULTILINE))
    exits = sum(int(n) for n in re.findall(r"^  \w+ +(\d+) +(?:\d+|-) ", text, re.MULTILINE))
    return exits * hz / ticks, ticks / hz, text


def expect_idle(scene, m, seconds, at_least, pause=Machine.read_for):
    """seconds, of ours or by what pause waits for, must have been at_least in the machine."""
    rate, measured, text = exits_a_second(scene, m, seconds, pause)
    print(f"idle: {rate:.1f} exits a second over {measured:.0f} s")
    if measured < at_least or not rate < EXITS_A_SECOND:
        raise TestError(f"{rate:.1f} exits a second in {measured:.0f} seconds, expected fewer than {EXITS_A_SECOND} "
                        f"in at least {at_least}:\n{text}")


def expect_asleep(m, seconds):
    """The host's CPUs halt too: what QEMU takes of ours."""
    begin = m.cpu_time()
    m.read_for(seconds)
    used = m.cpu_time() - begin
    print(f"idle: {used:.2f} s of CPU time in {seconds} s")
    if not used < seconds * CPU_TIME:
        raise TestError(f"QEMU took {used:.1f} s of CPU time in {seconds} s, expected less than {seconds * CPU_TIME:.1f}")


def linux_idle(scene):
    """A minute at the shell, on one vCPU; and Linux takes the TSC as its clock, unwatched."""
    vm = definition("linux", cmdline="console=ttyS0", console="attach")
    with scene.start(CI_ARGS, definitions=[("linux.vm", vm)]) as m:
        to_shell(m)
        m.send("cat /sys/devices/system/clocksource/clocksource0/current_clocksource\r")
        m.expect(r"^tsc", 60)
        m.send("cat /sys/devices/system/cpu/cpuidle/current_driver\r")
        m.expect(r"^acpi_idle", 60)
        escape(m)
        m.read_for(SETTLE)
        expect_idle(scene, m, 62, 60)
        expect_asleep(m, 10)
        m.send("poweroff\r")
        m.wait_end(60)


def linux_idle_bochs(scene):
    """The same on VT-x, where the timer's deadline and a HLT are other exits; noapicv: docs/testing.md, Bochs' third fault."""
    vm = definition("linux", cmdline=BOCHS_LINUX, console="attach")
    with scene.start("noapicv", definitions=[("linux.vm", vm)]) as m:
        m.expect(r"guest: ready", 900)
        m.expect(r"# $", 60)
        escape(m)
        wait_there(m, SETTLE)
        expect_idle(scene, m, 62, 60, wait_there)
        m.send("poweroff\r")
        m.expect_power_off()


def clock_drift(scene):
    """A guest that mostly sleeps has the same minute by KVM's clock as by its APIC's timer."""
    vm = definition("clock", "pv-clock", memory="16M", console="attach", cmdline=f"caisson seconds={DRIFT_SECONDS}")
    with scene.start("exit=last-vm" if scene.bochs else CI_ARGS, tiny("pv-clock"), [("clock.vm", vm)]) as m:
        m.expect_power_off(scene.limit - 20) if scene.bochs else m.expect_exit(0, scene.limit - 20)
        expect_status(m, "vm clock: status 0 (exit port)")
        if not re.search(rf"after {DRIFT_SECONDS} s the APIC's timer is ahead by", m.output()):
            raise TestError("the clocks were not compared")

"""Whole-machine runs: suspend and resume."""
import re
import time

from boot.scenes import LINUX, PROMPT, command, command_to_new, definition, escape, linux, tiny, to_shell
from machine import TestError

PAUSES = 3
SECONDS = 3     # of each


def pass_seconds(m, seconds):
    """Of the machine's own time, which is not the test's."""
    for _ in range(seconds):
        command(m, "top -1", r"CPU%", 120)


def suspend(m, name):
    command_to_new(m, f"suspend {name}", rf"^vm {name} suspended")


def resume(m, name):
    command(m, f"resume {name}", rf"^vm {name} resumed")


def pause_clocks(scene):
    """What five CPUs see of pauses: nothing but a flag and the RTC; the console tells the state, and refuses the rest."""
    vm = definition("tiny", "pausing", memory="16M", vcpus=5, maxvcpus=7, cmdline=f"caisson pauses={PAUSES}", console="attach",
                    autostart="no")
    with scene.start("", tiny("pausing"), [("tiny.vm", vm)]) as m:
        m.expect(PROMPT, 120)
        command(m, "suspend tiny; resume tiny", r"error: vm tiny is not running\n.*error: vm tiny is not running")
        command(m, "schedinfo tiny --cpus 40", r"error: --cpus 40: expected CPUs that are up and run VMs")
        begin = len(m.output())
        m.send("start tiny; vcpupin tiny 4 1\r")   # while it is loaded
        m.expect(r"^ready", 120)
        if "error" in m.output()[begin:]:
            raise TestError("vcpupin of a VM that is being loaded is an error")
        escape(m)
        for n in range(1, PAUSES + 1):
            command(m, "resume tiny", r"error: vm tiny is not paused")
            suspend(m, "tiny")
            command(m, "suspend tiny", r"error: vm tiny is paused already")
            command(m, "list", r"tiny +paused")
            command(m, "dominfo tiny", r"State: +paused")
            command(m, "vcpuinfo tiny", r"paused(?:.*\n)+.*paused")
            command(m, "start tiny", r"error: vm tiny is paused")
            command(m, "vcpupin tiny 1 1; schedinfo tiny", r"Weight: ")
            pass_seconds(m, SECONDS)
            resume(m, "tiny")
            command(m, "list", r"tiny +running" if n < PAUSES else r"Name")
            m.send("console tiny\r")
            match = m.expect(rf"^(FAIL.*)|^pause {n}: by the RTC (\d+) s", 120)
            if match[1] or int(match[2]) < SECONDS - 1:
                raise TestError(match[1] or f"the RTC went on by {match[2]} s, expected about {SECONDS}")
            if n < PAUSES:
                escape(m)
        match = m.expect(r"vm tiny ended: (.*), status (\d+)", 120)
        if match[2] != "0":
            raise TestError(f"the guest ended with status {match[2]}")
        paused_ends(m)
        m.send("poweroff\r")
        m.expect_power_off() if scene.bochs else m.wait_end(60)


def start_ready(m, life):
    """The VM's console shows what its lives before said, too."""
    m.send("start tiny\r")
    for _ in range(life):
        m.expect(r"^ready", 120)
    escape(m)


def paused_ends(m):
    """A paused VM can be left, found again by another manager, destroyed, and starts anew as one that runs."""
    m.expect(PROMPT, 60)
    start_ready(m, 2)
    suspend(m, "tiny")
    m.send("restart-manager\r")
    m.expect(r"restart-manager", 60)
    m.expect(r"lists the commands", 60)
    m.expect(PROMPT, 60)
    command(m, "list", r"tiny +paused")
    m.send("console tiny\r")
    m.expect(r"Connected to tiny.*paused", 60)
    escape(m)
    command(m, "destroy tiny", r"vm tiny destroyed")
    command(m, "list --all", r"tiny +shut off")
    start_ready(m, 3)
    command(m, "list", r"tiny +running")
    suspend(m, "tiny")
    resume(m, "tiny")
    command(m, "destroy tiny", r"vm tiny destroyed")


# Tiny guests that test clocks, interrupts and the start of CPUs, and know nothing of pauses: vCPUs.
DISTURBED = {"apic-timer": 1, "init-sipi": 4, "ipi-64": 64, "pit-pic": 1, "pv-clock": 1, "pv-smp": 4, "shootdown-storm": 8,
             "tsc-deadline": 1}


def pause_disturbs_none(scene):
    """Tiny guests pass while they are paused again and again; a hostile one is paused and destroyed as well."""
    vms = [(f"{name}.vm", definition(name, name, memory="16M", vcpus=vcpus, cmdline="caisson", autostart="no"))
           for name, vcpus in DISTURBED.items()]
    vms.append(("hostile.vm", definition("hostile", "hostile", memory="16M", autostart="no", on_exit="restart",
                                         cmdline="seed=1")))
    with scene.start("", tiny(*DISTURBED, "hostile"), vms) as m:
        m.expect(PROMPT, 60)
        pauses = {}
        for name in DISTURBED:
            command(m, f"start {name}", rf"vm {name} started")
            pauses[name] = pause_to_the_end(m, name)
        command(m, "start hostile", r"vm hostile started")
        for _ in range(20):     # it may be between two lives, too
            command(m, "suspend hostile; resume hostile", r"(resumed|error: vm hostile .*)$", 60)
        m.send("suspend hostile\r")
        m.expect(PROMPT, 60)
        command(m, "destroy hostile", r"vm hostile destroyed")
        print("pauses:", ", ".join(f"{name} {n}" for name, n in pauses.items()))
        m.send("poweroff\r")
        m.wait_end(60)


def pause_to_the_end(m, name):
    """Pauses a VM until it has ended well; how often it was."""
    n, end = 0, time.monotonic() + 200
    while time.monotonic() < end:
        begin = len(m.output())
        command(m, f"suspend {name}; resume {name}", r"(resumed|error: vm .*)$", 60)
        if re.search(rf"error: vm {name} (is not running|has ended)", m.output()[begin:]):
            command(m, f"dominfo {name}", r"Ended: +exit port, status 0\n")
            return n
        n += 1
    raise TestError(f"{name} has not ended after {n} pauses")


LOOP = 100
PAUSE = 8   # seconds: rounding takes up to 2 off
LOAD = "for i in 1 2 3 4 5 6; do sh -c 'while :; do i=$((i + 1)); done' & done\r"


def pause_linux(scene):
    """4 busy vCPUs, paused for some seconds and then a hundred times: Linux' clock and watchdogs see nothing."""
    with scene.start("", definitions=[linux("linux", console="attach", memory="512M", vcpus=4)]) as m:
        to_shell(m)
        m.send(LOAD)
        m.send("t() { echo $(cut -d. -f1 /proc/uptime) $(cat /sys/class/rtc/rtc0/since_epoch) $1-$((1 + 1)); }; t a\r")
        up, wall = map(int, m.expect(r"^(\d+) (\d+) a-2", 60).groups())
        escape(m)
        suspend(m, "linux")
        pass_seconds(m, PAUSE)
        resume(m, "linux")
        m.send("console linux\r")
        m.send("t b\r")
        up2, wall2 = map(int, m.expect(r"^(\d+) (\d+) b-2", 60).groups())
        if not 4 <= (wall2 - wall) - (up2 - up) <= 300:    # the host may be slow between the two
            raise TestError(f"in a pause of {PAUSE} s the RTC went on by {wall2 - wall} s, Linux by {up2 - up} s")
        escape(m)
        for _ in range(LOOP // 4):
            command(m, ";".join(["suspend linux; resume linux"] * 4), r"(vm linux suspended\s+vm linux resumed\s+){4}", 120)
        m.send("console linux\r")
        m.send("sleep 1; dmesg | grep -E 'BUG:|WARNING: CPU|Call Trace|soft lockup|detected stall|clocksource:.*unstable|"
               "time warp|hrtimer: interrupt took'; t c\r")
        said = m.expect(r"^((?:.*\n)*?)(\d+) (\d+) c-2", 120)
        if "] " in said[1].replace("\r", "").split("t c\n", 1)[-1]:
            raise TestError(f"Linux complained: {said[1][-300:]!r}")
        m.send("poweroff -f\r")
        m.expect(r"init: vm linux ended: status 0 \(power-off\)", 120)
        m.expect(PROMPT, 60)
        m.send("poweroff\r")
        m.wait_end(60)

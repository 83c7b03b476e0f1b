"""Core scheduling: what runs at the same time on CPUs that share a core, as the trace shows it."""
import re

from boot.fair import BOCHS_SECOND, WORKER, expect_near, rate, told, worker
from boot.pause import pass_seconds
from boot.scenes import PROMPT, command, definition, escape, tiny
from boot.trace import decode, dump_trace
from machine import TestError

CORES = ((0, 1), (2, 3))
SWITCH = re.compile(r"^ *(\d+) cpu(\d+) .* switch +(\S.*?) *$", re.MULTILINE)
RUN = re.compile(r"^ *(\d+) cpu(\d+) (\S+)/\d+ .* after (\d+), rip", re.MULTILINE)
SHARE_ERROR = 0.03


def spans(listed):
    """What the trace says ran: (cpu, from, to, whose), of threads by their switches and of guests by their exits."""
    running, found = {}, []
    for tsc, cpu, name in SWITCH.findall(listed):
        if cpu in running and running[cpu][1] != "idle":
            found.append((int(cpu), running[cpu][0], int(tsc), running[cpu][1]))
        running[cpu] = (int(tsc), name)
    guests = [(int(cpu), int(tsc) - int(ran), int(tsc), name) for tsc, cpu, name, ran in RUN.findall(listed)]
    return found, guests


def together(listed_spans):
    """Pairs of spans of different owners that overlap on one core."""
    pairs = []
    for core in CORES:
        here = sorted((s for s in listed_spans if s[0] in core), key=lambda s: s[1])
        for i, a in enumerate(here):
            for b in here[i + 1:]:
                if b[1] >= a[2]:
                    break
                if a[0] != b[0] and a[3] != b[3]:
                    pairs.append((a, b))
    return pairs


def traced(scene, m, seconds):
    command(m, "trace on", r"^trace on")
    pass_seconds(m, seconds)
    command(m, "trace off", r"^trace off")
    return decode(dump_trace(scene, m, "trace dump 1000"), "--list")


def check_apart(listed, apart):
    threads, guests = spans(listed)
    for what, found in (("threads", threads), ("guests", guests)):
        pairs = together(found)
        if len(found) < 50:
            raise TestError(f"the trace has {len(found)} runs of {what}, expected at least 50")
        if apart and pairs:
            raise TestError(f"{what} of two VMs on one core: got {len(pairs)} pairs of {len(found)}, expected none; "
                            f"the first: {pairs[0]}")
        if not apart and not pairs:
            raise TestError(f"{what}: without coresched no two of {len(found)} runs met on a core, expected some")


def core_sched(scene):
    """Two threads a core: with coresched=on never two VMs at once on one, without it they are; all get on."""
    names = {"one": 1, "two": 2, "three": 3, "other": 1}
    vms = [worker(name, "on ticks=20000000", vcpus=str(n), autostart="yes") for name, n in names.items()]
    vms.append(("idler.vm", definition("idler", "bystander", memory="16M", vcpus="2")))
    for args, line in (("coresched=on", "2, of one VM at a time"),
                       ("coresched=off", r"2, of any VMs \(coresched=on keeps these apart\)")):
        with scene.start(args, WORKER + tiny("bystander"), vms) as m:
            m.expect(PROMPT, 60)
            command(m, "hostinfo", f"Threads a core: {line}")
            check_apart(traced(scene, m, 3), args == "coresched=on")
            command(m, "vcpuinfo two", r"^ 0 +[1-3] +running +\d*[1-9]\d*\.\ds +0-3\n 1 +[1-3] +running +\d+\.\ds +0-3\n")
            command(m, "vcpuinfo idler", r"^ 0 +[1-3] +(halted|running) +\d+\.\ds +0-3\n 1 +(-|\d) +offline +0\.\ds +0-3\n")
            command(m, "suspend idler; vcpuinfo idler", r"^ 0 +[1-3] +paused +(?s:.*)\n 1 +(-|\d) +offline ")
            for name in names:
                told(m, name, r"[1-9]\d* in \d+\D", 60)
                escape(m)
            m.send("poweroff\r")
            m.expect_power_off()


def core_shares(scene):
    """On one core of two threads VMs with one and two vCPUs get their shares, one at a time."""
    weights = {"w100": (100, 1), "w200": (200, 2), "w400": (400, 1)}
    words = f"on skip={BOCHS_SECOND} ticks={3 * BOCHS_SECOND}"
    vms = [worker(name, words, weight=str(w), vcpus=str(n), autostart="yes") for name, (w, n) in weights.items()]
    with scene.start("coresched=on loglevel=notice", WORKER, vms) as m:
        m.expect(PROMPT, 60)
        command(m, "hostinfo", "Threads a core: 2, of one VM at a time")
        got = {name: rate(m, name) for name in weights}
        check_apart(traced(scene, m, 3), True)
        m.send("poweroff\r")
        m.expect_power_off()
    for name, (weight, _) in weights.items():
        expect_near(f"the share of {name}", got[name] / sum(got.values()), weight / 700, SHARE_ERROR)

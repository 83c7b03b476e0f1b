"""The scheduler, measured by work that guests count, where time is the number of instructions executed: on Bochs, whose CPUs
take turns after a few, and under QEMU's -icount with one CPU (with two it does not give both the same)."""
from boot.scenes import LAST_LINE, PROMPT, command, definition, escape, expect_memory_back, free_memory, tiny
from machine import TestError

BOCHS_SECOND = 50_000_000  # of its TSC
QEMU_SECOND = 1_000_000_000  # of the TSC under -icount: one tick a nanosecond
SLICE_US = 5000      # SCHED_SLICE_NS
WORKER = tiny("worker")
# What it floods with, as `stat` names it: a guest that does not has 5 by its start.
FLOODS = {"ports": "port I/O", "eois": "APIC page", "ipis": "interrupts injected", "timers": "interrupts injected",
          "others": "HLT"}
FLOOD = 200
# A timer goes on while its vCPU waits for its turn: whoever runs then is interrupted so often a second
# (VLAPIC_TIMER_FLOOR_NS), for at most so many ticks; of Bochs' CPU that is a tenth.
TIMER_RATE, TIMER_TICKS = 5000, 1000
SHARE_ERROR, CAP_ERROR = 0.02, 0.01


def worker(name, words="", **keys):
    keys = {"memory": "16M", "autostart": "no", **keys}
    return (f"{name}.vm", definition(name, "worker", cmdline=f"{words}", **keys))


def flood(word):
    """A VM of that name. `others` are CPUs that sleep until the first one interrupts them."""
    return worker(word, word, vcpus="4" if word == "others" else "1")


def told(m, name, what, seconds=900):
    """What the guest has printed, or prints next."""
    m.send(f"console {name}\r")
    found = m.expect(rf"^worker: {what}", seconds)
    return [int(n) for n in found.groups()]


def rate(m, name):
    """Rounds a tick, of a guest that goes on."""
    rounds, ticks = told(m, name, r"(\d+) in (\d+)\D")
    escape(m)
    return rounds / ticks


def up(m):
    """The machine's age, in whole seconds."""
    return int(command(m, "hostinfo", r"Up for: +(\d+) s")[1])


def rate_since(m, name, started):
    """Of what begins later than now, by a guest whose TSC began when the machine was `started` seconds old or older."""
    now = up(m) + 1
    m.send(f"console {name}\r")
    begin = 0
    while started + begin / BOCHS_SECOND < now:
        rounds, ticks, begin = map(int, m.expect(r"^worker: (\d+) in (\d+) from (\d+)\D", 300).groups())
    escape(m)
    return rounds / ticks


def end(m, *names):
    for name in names:
        command(m, f"destroy {name}", rf"vm {name} destroyed")


def expect_near(what, got, expected, error):
    if abs(got / expected - 1) > error:
        raise TestError(f"{what}: got {got:.4g}, expected {expected:.4g} within {error:.0%}")


def fair_shares(scene):
    """Four VMs of two vCPUs each, with weights from 100 to 800, on two CPUs: each gets its share."""
    weights = {f"w{n}": n for n in (100, 200, 400, 800)}
    words = f"on skip={BOCHS_SECOND} ticks={5 * BOCHS_SECOND}"
    vms = [worker(name, words, weight=str(w), vcpus="2", autostart="yes") for name, w in weights.items()]
    with scene.start("loglevel=notice", WORKER, vms) as m:
        m.expect(PROMPT, 60)
        got = {name: rate(m, name) for name in weights}
    for name, weight in weights.items():
        expect_near(f"the share of {name}", got[name] / sum(got.values()), weight / sum(weights.values()), SHARE_ERROR)


def pins(scene):
    """Two VMs pinned to one CPU of two have half of it each; when one may leave, each has a CPU."""
    names, words = ("left", "right"), f"on again ticks={BOCHS_SECOND}"
    with scene.start("loglevel=notice", WORKER, [worker(name, words) for name in names]) as m:
        m.expect(PROMPT, 60)
        started = up(m)
        command(m, "start left", "started")
        whole = rate_since(m, "left", started)
        command(m, "start right", "started")
        command(m, "vcpupin left 0 1; vcpupin right 0 1; vcpuinfo right", r"^ 0 +\d+ +\w+ +\d+\.\ds +1$")
        for name in names:
            expect_near(f"{name}, on one CPU", rate_since(m, name, started) / whole, 0.5, SHARE_ERROR)
        command(m, "vcpupin left 0 any", r"vcpupin left 0 any" + LAST_LINE)
        for name in names:
            expect_near(f"{name}, with a CPU to itself", rate_since(m, name, started) / whole, 1, SHARE_ERROR)
        m.send("poweroff\r")
        m.expect_power_off()


def expect_capped(m):
    """-> the rate of VM alone, of which VM capped gets a quarter."""
    command(m, "start alone", "started")
    whole = rate(m, "alone")
    end(m, "alone")
    command(m, "start capped", "started")
    expect_near("a cap of 25%", rate(m, "capped") / whole, 0.25, CAP_ERROR)
    return whole


def fair_cap(scene):
    """A cap of 25% holds, and none where the CPU is free."""
    words = f"on skip={BOCHS_SECOND // 5} ticks={BOCHS_SECOND}"
    with scene.start("loglevel=notice", WORKER, [worker("alone", words), worker("capped", words, cap="25%")]) as m:
        m.expect(PROMPT, 60)
        expect_capped(m)
        m.send("poweroff\r")
        m.expect_power_off()


def expect_flood(m, name):
    got = command(m, f"stat -1 {name}", rf"^  {FLOODS[name]} +(\d+)|^  exits ")[1] or 0
    if int(got) < FLOOD:
        raise TestError(f"{name}: {got} of {FLOODS[name]}, expected a flood of at least {FLOOD}")


def destroy_floods(scene, args=""):
    """VMs that flood the machine with exits end at once when they are destroyed in the middle of it, and leave nothing behind."""
    with scene.start(f"loglevel=notice{args}", WORKER, [flood(word) for word in FLOODS]) as m:
        m.expect(PROMPT, 60)
        before = free_memory(m)
        for _ in range(2):
            for word in FLOODS:
                command(m, f"start {word}", "started")
            command(m, "top -1", rf"exits/s.*\n(?: \d+ +\w+ +\d+\.\d +\d+\.\ds +\d+ +\d+\n){{{len(FLOODS)}}}")
            for word in FLOODS:
                m.until(lambda name=word: expect_flood(m, name))
            for word in FLOODS:
                command(m, f"destroy {word}", rf"vm {word} destroyed", 60)
        command(m, "selftest", r"0 violations: PASS", 120)
        expect_memory_back(m, before)
        m.send("poweroff\r")
        m.expect_power_off()


def destroy_floods_noapicv(scene):
    """With the CPU's APIC most of them would cause no exits."""
    destroy_floods(scene, " noapicv")


def expect_share(m, word, rival, share, least):
    """Beside a flood a rival of equal weight gets what it has to; share: its rate for this much of a CPU."""
    command(m, f"start {word}; start {rival}", rf"vm {word} started(?s:.*)vm {rival} started")
    got = rate(m, rival) / share
    expect_flood(m, word)
    if got < least:
        raise TestError(f"beside a flood of {word} {rival} got {got:.3f} of its share, expected at least {least:.3f}")
    end(m, rival, word)


def fair_others(scene):
    """
    `ipis` is answered where it is sent; here a vCPU wakes another one each time, on the other CPU or on its own. Both
    are one group: beside them a rival keeps one of the two CPUs, whether it has one vCPU or two.
    """
    words = f"on skip={BOCHS_SECOND} ticks={3 * BOCHS_SECOND}"
    rivals = {"one": "1", "two": "2"}
    vms = [worker("alone", words), *(worker(name, words, vcpus=vcpus) for name, vcpus in rivals.items())]
    with scene.start("loglevel=notice", WORKER, vms + [flood("others")]) as m:
        m.expect(PROMPT, 60)
        command(m, "start alone", "started")
        whole = rate(m, "alone")
        end(m, "alone")
        for name in rivals:
            expect_share(m, "others", name, whole, 1 - SHARE_ERROR)
        m.send("poweroff\r")
        m.expect_power_off()


def fair_guests(scene, args="", second=QEMU_SECOND):
    """Beside what other guests do, one gets its share; a cap holds; one that wakes up is on the CPU within a slice."""
    ms = second // 1000
    skip = 300 * ms     # of the napper: its start may take more than its share, for which it waits as others do
    vms = [worker("alone", f"on skip={50 * ms} ticks={200 * ms}"),
           worker("capped", f"on skip={150 * ms} ticks={1000 * ms}", cap="25%"),
           *(worker(f"rival-{word}", f"on skip={50 * ms} ticks={600 * ms}") for word in FLOODS)]
    vms += [flood(word) for word in FLOODS]
    vms += [worker(f"burner{i}", f"ticks={1 << 60}") for i in range(8)] + [worker("napper", f"naps skip={skip} nap={ms}")]
    with scene.start(f"loglevel=notice{args}", WORKER, vms) as m:
        m.expect(PROMPT, 60)
        whole = expect_capped(m)
        command(m, "schedinfo capped --cap none", r"Cap: +none")
        end(m, "capped")
        for word in FLOODS:
            least = 1 - SHARE_ERROR - (TIMER_TICKS * TIMER_RATE / second if word == "timers" else 0)
            # another for each: a console shows what earlier lives said too
            expect_share(m, word, f"rival-{word}", whole / 2, least)
        for i in range(8):
            command(m, f"start burner{i}", "started")
        command(m, "start napper", "started")
        late = told(m, "napper", r"late by (\d+)\D")[0] * 1_000_000 / second
        if late > SLICE_US:
            raise TestError(f"a VM that woke up was late by {late:.0f} us, expected at most {SLICE_US}")


def fair_guests_bochs(scene):
    """The same on VT-x. With the CPU's APIC most floods would cause no exits."""
    fair_guests(scene, " noapicv", BOCHS_SECOND)

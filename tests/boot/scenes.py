"""Whole-machine runs: what is typed, what must come. Each scene is one function that the table names."""
import glob
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bochs import LINUX_WORDS, Bochs  # noqa: E402
from machine import BUILD, ROOT, Machine, TestError, caisson_options, mkimage  # noqa: E402

# Lines of the log may follow it, and come before it.
LOG_LINES = r"(?:\[ *\d+\.\d+\] cpu\d+ .*\n)*"
PROMPT = rf"hv> {LOG_LINES}$"
LAST_LINE = rf"\n{LOG_LINES}(?=hv> )"   # the end of a command's last line
ESCAPE_KEY = "\x1d"
LINUX = [("linux", f"{BUILD}/guest/vmlinuz"), ("initrd", f"{BUILD}/guest/initrd.gz")]
CI_ARGS = "exit=last-vm exitport=0xf4"
BOCHS_LINUX = "console=ttyS0 " + LINUX_WORDS


def definition(name, kernel="linux", **keys):
    """Text of a VM definition."""
    lines = {"name": name, "memory": "256M", "kernel": f"@{kernel}"}
    if kernel == "linux":
        lines["initrd"] = "@initrd"
    lines.update(keys)
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def linux(name, test=None, **keys):
    cmdline = "console=ttyS0" + (f" caisson.test={test}" if test else "")
    return (f"{name}.vm", definition(name, cmdline=cmdline, **keys))


def tiny(*names):
    return [(name, f"{BUILD}/guests/{name}.elf") for name in names]


class Scene:
    """One run: makes the image, starts the machine."""

    def __init__(self, name, machine, limit, kernel, bochs=False):
        self.base = f"{BUILD}/test/boot-{name}"
        self.machine, self.limit, self.kernel, self.bochs = machine, limit, kernel, bochs
        self.log = self.base + ".log"
        self.parts = {}     # further options of mkimage

    def image(self, args="", modules=LINUX, definitions=()):
        return mkimage(self.base + ".iso", args, modules, definitions, kernel=self.kernel, **self.parts)

    def start(self, *args, **kwargs):
        image = self.image(*args, **kwargs)
        if self.bochs:
            return Bochs(image, self.machine, self.log, self.limit)
        return Machine(caisson_options(image, self.machine), self.log, self.limit)


def to_shell(m):
    m.expect(r"guest: ready", 240)
    m.expect(r"# $", 60)


def command(m, text, expected, seconds=60):
    """A command at Caisson's prompt: its output must match; ends at the next prompt."""
    m.send(text + "\r")
    match = m.expect(expected, seconds)
    m.expect(PROMPT, seconds)
    return match


def command_to_new(m, text, expected, seconds=60):
    """The same to a VM that was started just now, again while it is being loaded; expected has no groups."""
    def look():
        if command(m, text, rf"{expected}|(is still being loaded)", seconds)[1]:
            raise TestError(f"{text}: the VM is still being loaded")
    m.until(look)


def escape(m):
    m.send(ESCAPE_KEY)
    m.expect(PROMPT, 60)


def expect_status(m, *lines):
    for line in lines:
        if line not in m.output():
            raise TestError(f"no line {line!r}")


# ---- Linux ----

def linux_shell(scene):
    """To the shell, commands there, power-off; QEMU's status is the guest's."""
    with scene.start(CI_ARGS, definitions=[linux("linux", console="attach", memory="512M")]) as m:
        to_shell(m)
        m.send("echo $((6 * 7))-works\r")
        m.expect(r"^42-works", 60)
        m.send("uname -sr\r")
        m.expect(r"^Linux \d", 60)
        m.send("dmesg | grep -i 'hypervisor detected'\r")
        m.expect(r"Hypervisor detected: KVM", 60)
        m.send("cat /sys/devices/system/clocksource/clocksource0/current_clocksource\r")
        m.expect(r"^tsc", 60)   # invariant: Linux prefers it to KVM's clock
        m.send("dmesg | grep -i x2apic | head -n 3; echo end-of-$((1 + 1))\r")
        m.expect(r"x2apic", 60)
        m.expect(r"end-of-2", 60)
        m.send("grep MemTotal /proc/meminfo\r")
        m.expect(r"MemTotal: +(4[5-9]|5[01])\d{4} kB", 60)
        m.send("sleep 1; echo slept-$((40 + 2))\r")
        m.expect(r"slept-42", 60)
        m.send("poweroff -f\r")
        m.expect_exit(0)
        expect_status(m, "vm linux: status 0 (power-off)")


def linux_status(scene):
    with scene.start(CI_ARGS, definitions=[linux("linux", "status42", console="attach")]) as m:
        m.expect_exit(42, 220)
        expect_status(m, "vm linux: status 42")


def linux_without_acpi(scene):
    """Debian's kernel reads no MP table either: it keeps to the PIC."""
    vm = definition("linux", cmdline="console=ttyS0 acpi=off", console="attach", memory="512M")
    with scene.start(CI_ARGS, definitions=[("linux.vm", vm)]) as m:
        to_shell(m)
        m.send("grep ttyS0 /proc/interrupts\r")
        m.expect(r"4: +\d+ +XT-PIC +ttyS0", 60)
        m.send("port-write 0xf4 7\r")
        m.expect_exit(7)
        expect_status(m, "vm linux: status 7")


def linux_bochs(scene, args="", vcpus=1):
    """An emulator that shows time as it passes in the machine: a start takes minutes."""
    vm = definition("linux", cmdline=BOCHS_LINUX, console="attach", vcpus=vcpus)
    with scene.start("exit=last-vm" + args, definitions=[("linux.vm", vm)]) as m:
        m.expect(r"guest: ready", 2400)
        m.expect(r"# $", 240)
        m.send("echo $((6 * 7))-works $(grep -c ^processor /proc/cpuinfo)\r")
        m.expect(rf"^42-works {vcpus}\s", 240)
        m.send("poweroff -f\r")
        m.expect(r"^vm linux: status 0 \(power-off\)", 240)
        m.expect_power_off()


def linux_bochs_restricted(scene):
    """The second vCPU begins in real mode, which is emulated here."""
    linux_bochs(scene, vcpus=2)


def apicv(scene):
    """Where the CPU has the local APICs in hand, an access costs no exit; `noapicv` gives the exits back."""
    for args, ticks, rate in (("", range(1, 100), range(10)), (" noapicv", range(300, 5000), range(50, 200))):
        with scene.start(args, tiny("exits", "bystander"),
                         [("exits.vm", definition("exits", "exits", memory="16M", console="attach")),
                          ("bystander.vm", definition("bystander", "bystander", memory="32M", autostart="no"))]) as m:
            for path in ("wrmsr", "eoi"):
                got = int(m.expect(rf"^BENCH {path} (\d+)\s", 600)[1])
                if got not in ticks:
                    raise TestError(f"{path}{args}: {got} ticks, expected {ticks}")
            m.expect(r"^vm exits ended: exit port, status 0", 60)
            m.expect(PROMPT, 60)
            command(m, "start bystander", "vm bystander started")  # 100 timer interrupts a second, each with its EOI
            m.send("stat bystander\r")
            got = int(m.expect(r"APIC page +\d+ +(\d+)\s", 120)[1])
            if got not in rate:
                raise TestError(f"{got} exits a second for the APIC's page{args}, expected {rate}")
            m.send("qpoweroff\r")
            m.expect_power_off()


def refused_entry(scene):
    """A state that the CPU refuses, from a monitor: the field and the rule, a full dump, and nothing else suffers."""
    vms = [("state.vm", definition("state", "pass", cmdline="state", memory="16M", autostart="no"))]
    scene.parts["programs"] = wild_programs(scene)
    with scene.start("", [("pass", f"{BUILD}/guests/cpuid.elf")], vms) as m:
        m.expect(PROMPT, 120)
        m.send("start state\r")
        for line in (r"error: vm \d+: vCPU 0 stopped: the CPU refused the guest state: 0x80000021",
                     r"init: vm state: entry refused: GUEST_CS_ATTR: a type that it can't have", r"init: vm state: vmx: EXIT_REASON 80000021",
                     r"init: vm state: vmx:.* EPT_POINTER 5e ", r"init: vm state: it does not run again",
                     r"init: vm state ended: status 124 \(monitor died\)"):
            m.expect(line, 60)
        command(m, "selftest", r"0 violations: PASS", 120)
        m.send("poweroff\r")
        m.expect_power_off()


def debug_nesting(scene):
    """A guest whose #DB raises itself for ever, without an instruction in between, has no more than its share of the CPU."""
    vms = [("nest.vm", definition("nest", "debug-nesting", cmdline="caisson nest", memory="16M", autostart="no"))]
    with scene.start("", tiny("debug-nesting"), vms) as m:
        m.expect(PROMPT, 120)
        command(m, "start nest", "vm nest started")
        for _ in range(5):
            m.read_for(1)
            command(m, "hostinfo", r"Up for:", 120)
        command(m, "destroy nest", "vm nest destroyed", 60)
        m.send("poweroff\r")
        m.expect_power_off()


def linux_smoke(scene):
    with scene.start(CI_ARGS, definitions=[linux("linux", "smoke", console="attach", memory="512M")]) as m:
        m.expect(r"PASS smoke", 300)
        m.expect_exit(0)
        if " error: " in m.output():
            raise TestError("the kernel logged an error")


def linux_smoke_small(scene):
    with scene.start(CI_ARGS, definitions=[linux("linux", "smoke", console="attach", memory="128M")]) as m:
        m.expect(r"PASS smoke", 300)
        m.expect_exit(0)


def three_linux(scene):
    vms = [linux(f"linux{i}", "smoke") for i in range(3)]
    with scene.start(CI_ARGS, definitions=vms) as m:
        m.expect_exit(0, 580)
        expect_status(m, *(f"vm linux{i}: status 0" for i in range(3)))


def linux_smp(scene):
    """8 CPUs on the host's 2: all work, leave and come back; the machine restarts with 8, and is switched off with 8."""
    vm = definition("linux", cmdline="console=ttyS0 caisson.cpus=8", vcpus=8, memory="512M", console="attach",
                    on_exit="restart:1")
    with scene.start(CI_ARGS, definitions=[("linux.vm", vm)]) as m:
        to_shell(m)
        m.send("sh /test/smp && reboot -f\r")
        m.expect(r"^PASS smp", 600)
        m.expect(r"init: vm linux ended: status 120 \(reset\)", 60)
        to_shell(m)
        m.send("dmesg | grep kvm-guest\r")
        for feature in ("PV spinlocks enabled", "setup PV IPIs"):
            m.expect(feature, 60)
        m.send("nproc; poweroff -f\r")
        m.expect(r"^8\s", 60)
        m.expect(r"init: vm linux ended: status 0 \(power-off\)", 60)
        m.expect_exit(120)  # the first end that was none, of all


def linux_smp_bochs(scene):
    """The same on VT-x, without the restart. noapicv: see "Bochs" in docs/testing.md."""
    vm = definition("linux", cmdline=BOCHS_LINUX + " caisson.cpus=8", vcpus=8, console="attach")
    with scene.start("exit=last-vm noapicv", definitions=[("linux.vm", vm)]) as m:
        m.expect(r"guest: ready", 1800)
        m.expect(r"# $", 240)
        m.send("sh /test/smp 4; poweroff -f\r")
        result = m.expect(r"^(PASS|FAIL) smp.*\n", 2400)
        if result[1] != "PASS":
            raise TestError(result[0].strip())
        m.expect(r"^vm linux: status 0 \(power-off\)", 240)
        m.expect_power_off()


def linux_16(scene):
    with scene.start(CI_ARGS, definitions=[linux("linux", console="attach", memory="512M", vcpus=16)]) as m:
        to_shell(m)
        m.send("nproc; poweroff -f\r")
        m.expect(r"^16\s", 60)
        m.expect_exit(0)


def linux_16_bochs(scene):
    """noapicv: see "Bochs" in docs/testing.md."""
    linux_bochs(scene, " noapicv", vcpus=16)


def expect_vms(m, count):
    """As many exist, each with its vCPU."""
    vms, vcpus = command(m, "hostinfo", r"Objects: .* (\d+) VMs, (\d+) vCPUs", 60).groups()
    if vms != str(count) or vcpus != str(count):
        raise TestError(f"{vms} VMs and {vcpus} vCPUs, expected {count} of each")


def vms_256(scene):
    """As many as there may be, all at once: each gets on, all end."""
    vms = [(f"vm{i}.vm", definition(f"vm{i}", "crowd", memory="2M", cmdline="ticks=200")) for i in range(256)]
    with scene.start("exit=last-vm" if scene.bochs else CI_ARGS, tiny("crowd"), vms) as m:
        m.expect(r"init: vm vm255 started", 400)
        m.expect(PROMPT, 60)
        m.until(lambda: expect_vms(m, 256), 200)    # a monitor that has started makes its VM soon
        m.expect_power_off(800) if scene.bochs else m.expect_exit(0, 400)
        expect_status(m, *(f"vm vm{i}: status 0 (exit port)" for i in range(256)))


def extint_once(scene):
    """Interrupts of one VM's PIC, while the other makes QEMU stop all its CPUs thousands of times a second."""
    vms = [("extint.vm", definition("extint", "extint-once", memory="16M", cmdline="ticks=5000")),
           ("lock.vm", definition("lock", "split-lock", memory="16M", cmdline="rounds=40000000"))]
    with scene.start("", tiny("extint-once", "split-lock"), vms) as m:
        match = m.expect(r"vm extint ended: status (\d+)", 500)
        if match[1] != "0":
            raise TestError("interrupts came twice")
        command(m, "list", r"lock +running")    # all the time


def steal_time(scene):
    """Of two guests that share a CPU, each sees half of the time stolen. Time is instructions."""
    names = ("left", "right")
    vms = [(f"{n}.vm", definition(n, "steal-time", memory="16M", cmdline="caisson share=2")) for n in names]
    with scene.start("exit=last-vm" if scene.bochs else CI_ARGS, tiny("steal-time"), vms) as m:
        m.expect_power_off(500) if scene.bochs else m.expect_exit(0, 500)
        expect_status(m, *(f"vm {n}: status 0 (exit port)" for n in names))


def crash_beside_linux(scene):
    vms = [linux("linux", "smoke"), ("crash.vm", definition("crash", "triple-fault", memory="16M"))]
    with scene.start(CI_ARGS, LINUX + tiny("triple-fault"), vms) as m:
        m.expect_exit(121, 300)
        expect_status(m, "vm crash: status 121 (triple fault)", "vm linux: status 0")


# ---- Definitions and options ----

BAD_DEFINITIONS = [
    ("key.vm", "name = key\nkernel = @pass\nmemroy = 16M\n", r"key.vm:3: memroy: unknown key: expected one of"),
    ("module.vm", "name = module\nkernel = @absent\n", r"module.vm:2: kernel = @absent: expected the name of a boot module"),
    ("size.vm", "name = size\nkernel = @pass\nmemory = 3M\n", r"size.vm:3: memory = 3M: expected a multiple of 2M"),
    ("huge.vm", "name = huge\nkernel = @pass\nmemory = 64G\n", r"huge.vm:3: memory = 64G: it needs 65795M with its monitor, other VMs have "),
    ("vcpus.vm", "name = vcpus\nkernel = @pass\nvcpus = 65\n", r"vcpus.vm:3: vcpus = 65: expected a number of vCPUs from 1 to 64"),
    ("line.vm", "name = line\nkernel = @pass\nautostart\n", r"line.vm:3: autostart: expected key = value"),
    ("bool.vm", "name = bool\nkernel = @pass\nautostart = perhaps\n", r"bool.vm:3: autostart = perhaps: expected yes or no"),
    ("noname.vm", "kernel = @pass\n", r"noname.vm: no name: expected a line name = "),
    ("twice.vm", "name = good\nkernel = @pass\n", r"twice.vm"),
]


def definition_errors(scene):
    """Each error names file, line and what was expected; the good VM starts all the same."""
    vms = [("good.vm", definition("good", "pass", memory="16M"))] + [(f, text) for f, text, _ in BAD_DEFINITIONS]
    with scene.start(CI_ARGS, [("pass", f"{BUILD}/guests/port-widths.elf")], vms) as m:
        m.wait_end(200)
        text = m.output()
        for file, _, expected in BAD_DEFINITIONS:
            if expected not in text:
                raise TestError(f"{file}: no text {expected!r}")
        expect_status(m, "vm good: status 0")


def expect_used(m, name, kib):
    used = int(command(m, f"dominfo {name}", r"Used memory: +(\d+) KiB")[1])
    if used < kib:
        raise TestError(f"{used} KiB of VM {name} are there, expected {kib}")


def memory_refused(scene):
    """A VM that another's memory leaves too little for is refused and told so, though free memory is plenty; then it starts."""
    vms = [(f"{name}.vm", definition(name, "worker", memory="112M", populate=populate, autostart="no",
                                     cmdline=f"ticks={1 << 60}")) for name, populate in (("first", "no"), ("second", "yes"))]
    with scene.start("", tiny("worker"), vms) as m:
        m.expect(PROMPT, 110)
        whole = free_memory(m)
        command(m, "start first", "vm first started")
        m.until(lambda: expect_used(m, "first", 2 << 10))       # it is loaded behind the prompt
        before = free_memory(m)
        command(m, "start second", r"error: second.vm:2: memory = 112M: it needs 116M with its monitor, other VMs have 116M of 251M: "
                                   r"give it less, or destroy another\r?\n")
        if before >> 10 < 116:
            raise TestError(f"{before >> 10} MiB are free, expected that the second VM could take it from the first")
        expect_memory_back(m, before)
        command(m, "destroy first; start second", "vm second started")
        m.until(lambda: expect_used(m, "second", 112 << 10))    # it is populated behind the prompt
        command(m, "destroy second", "vm second destroyed")
        expect_memory_back(m, whole)


def memory_preserved(scene):
    """A VM that is preserved keeps its memory from others until it is destroyed; it starts again at once."""
    vms = [("kept.vm", definition("kept", "cpuid", memory="112M", autostart="no", on_exit="preserve")),
           ("next.vm", definition("next", "worker", memory="128M", autostart="no", cmdline=f"ticks={1 << 60}"))]
    with scene.start("", tiny("cpuid", "worker"), vms) as m:
        m.expect(PROMPT, 110)
        for _ in range(2):
            m.send("start kept\r")
            m.expect("vm kept ended", 60)
            time.sleep(1.5)     # longer than a start waits for what comes back
        command(m, "start next", r"error: next.vm:2: memory = 128M: it needs 132M with its monitor, other VMs have 116M of 251M: ")
        command(m, "destroy kept; start next", "vm next started")


def boot_options(scene):
    """Unknown options and bad values are reported; the machine starts."""
    vms = [("cpuid.vm", definition("cpuid", "cpuid", memory="16M", cpus="1")),
           ("lost.vm", definition("lost", "cpuid", memory="16M"))]
    with scene.start(CI_ARGS + " colour=blue maxcpus=many loglevel=info isolcpus=0-63", tiny("cpuid"), vms) as m:
        m.wait_end(200)
        expect_status(m, "vm cpuid: status 0", "isolcpus= leaves the CPUs (none), of which none runs VMs: lost.vm needs")
        for word in ("colour", "maxcpus=many"):
            if not any(word in line and "option" in line for line in m.output().split("\n")):
                raise TestError(f"boot option {word} was not reported")


def no_vm(scene):
    """Without definitions: the prompt, and `poweroff` ends the machine."""
    with scene.start("", ()) as m:
        m.expect(PROMPT, 110)
        command(m, "hostinfo", r"Virtualization: svm")
        command(m, "hostinfo", r"Speculation: +no defences")
        m.send("poweroff\r")
        if m.wait_end(60) != 0:
            raise TestError("QEMU's status is not 0 after power-off")


def spec_ctrl(scene):
    """With all defences on VERW runs on each way to ring 3; `hostinfo` tells."""
    with scene.start("spec-ctrl=on", tiny("cpuid"), [("cpuid.vm", definition("cpuid", "cpuid", memory="16M"))]) as m:
        m.expect(r"vm cpuid ended: status 0", 110)
        command(m, "hostinfo", r"Speculation: .* buffer-clear")


# ---- The console ----

def console(scene):
    with scene.start("", definitions=[linux("linux", console="attach")]) as m:
        to_shell(m)
        escape(m)
        command(m, "help", r"hostinfo")
        command(m, "list", r"1 +linux +running")
        command(m, "dominfo linux", r"Max memory: +262144 KiB[\s\S]*First entry: +[1-9]\d* us after the host's start")
        command(m, "stat -1 linux", r"CPUID +\d+")
        command(m, "schedinfo linux --weight 200 --cap 50%", r"Weight: +200\nCap: +50000/100000 us\nCPUs: +\d")
        command(m, "schedinfo linux --cap 50", r"error: --cap 50: expected none, a percentage")
        command(m, "schedinfo linux --cap none", r"Weight: +200\nCap: +none")
        command(m, "vcpupin linux 0 1", r"vcpupin linux 0 1" + LAST_LINE)
        command(m, "vcpuinfo linux", r"^ 0 +\d+ +(halted|running) +\d+\.\ds +1$")
        command(m, "vcpupin linux 0 9", r"error: 9: expected CPUs that the VM may use")
        command(m, "vcpupin linux 0 any; vcpuinfo linux", r"^ 0 +1 +(halted|running) +\d+\.\ds +0-1$")
        command(m, "top -1", r"^ 1 +linux +\d+\.\d +\d+\.\ds +\d+ +\d+$")
        m.send("stat linux\r")
        m.expect(r"per second", 60)
        m.expect(r"any key ends", 60)
        m.send("q")
        m.expect(PROMPT, 60)
        command(m, "hostinfo", r"CPU\(s\): +2 of 2")
        command(m, "dmesg", r"init")
        command(m, "nonsense", r"error: ")
        command(m, "loglevel", r"loglevel \d")
        m.send("console linux\r")
        m.expect(r"onnected|\^\]", 60)
        m.send("\r")
        m.expect(r"# $", 60)
        m.send("echo back-$((1 + 1))\r")
        m.expect(r"^back-2", 60)
        escape(m)
        m.send("poweroff\r")
        if m.wait_end(60) != 0:
            raise TestError("QEMU's status is not 0 after power-off")


def shutdown(scene):
    """The ACPI power button reaches the guest, which switches itself off."""
    with scene.start(CI_ARGS, definitions=[linux("linux", console="attach")]) as m:
        to_shell(m)
        escape(m)
        m.send("shutdown linux\r")
        m.expect_exit(0, 180)
        expect_status(m, "vm linux: status 0 (power-off)")


def free_memory(m):
    return int(command(m, "hostinfo", r"Free memory: +(\d+) KiB")[1])


def expect_memory_back(m, before):
    """As much as before, but for a mebibyte; the kernel frees it some time after the end of a VM."""
    def look():
        lost = before - free_memory(m)
        if lost > 1024:
            raise TestError(f"{lost} KiB did not come back")
    m.until(look)


def destroy_bochs(scene):
    """Guests that would go on for ever are destroyed at once, their memory comes back, and they start again."""
    names = ("extint-once", "bystander")
    vms = [(f"{name}.vm", definition(name, name, memory="32M", cmdline="ticks=4000000000", autostart="no"))
           for name in names]
    with scene.start("", tiny(*names), vms) as m:
        m.expect(PROMPT, 120)
        before = free_memory(m)
        for _ in range(2):
            for name in names:
                command(m, f"start {name}", rf"vm {name} started")
            for name in names:
                command(m, "list", rf"{name} +running")
                command(m, f"destroy {name}", rf"vm {name} destroyed")
        command(m, "list --all", r"bystander +shut off")
        expect_memory_back(m, before)
        m.send("poweroff\r")
        m.expect_power_off()


def destroy(scene):
    """A busy guest is destroyed at once, its memory comes back, and it starts again."""
    with scene.start("autostart=off", definitions=[linux("linux")]) as m:
        m.expect(PROMPT, 60)
        before = free_memory(m)
        for _ in range(3):
            command(m, "start linux", r"vm linux started")
            command(m, "list", r"linux +running")
            m.send("console linux\r")
            to_shell(m)
            m.send("dd if=/dev/zero of=/dev/null bs=1M &\r")
            m.expect(r"# $", 60)
            escape(m)
            command(m, "destroy linux", r"vm linux destroyed")
            command(m, "list --all", r"linux +shut off")
        expect_memory_back(m, before)
        m.send("poweroff\r")
        m.wait_end(60)


def restart_manager(scene):
    """The console program dies; the guest does not notice, and the new one adopts it."""
    with scene.start(CI_ARGS, definitions=[linux("linux", console="attach")]) as m:
        to_shell(m)
        m.send("i=0; while :; do i=$((i + 1)); echo $i > /tmp/count; done &\r")
        m.expect(r"# $", 60)
        for _ in range(3):
            escape(m)
            m.send("restart-manager\r")
            m.expect(r"restart-manager", 60)
            m.expect(r"lists the commands", 60)
            m.send("\r")
            if m.expect(rf"{PROMPT}|# $", 60)[0].startswith("hv"):
                m.send("console linux\r")
                m.expect(r"onnected|\^\]", 60)
                m.send("\r")
                m.expect(r"# $", 60)
        m.send("until [ 0$(cat /tmp/count) -gt 100 ]; do :; done; echo counting-$((1 + 1))\r")
        m.expect(r"^counting-2", 60)
        m.send("poweroff -f\r")
        m.expect_exit(0)


def on_exit_restart(scene):
    """on_exit = restart:2 starts a VM twice more; then its last status counts."""
    vms = [("again.vm", definition("again", "reset-kbc", memory="16M", on_exit="restart:2"))]
    with scene.start(CI_ARGS, tiny("reset-kbc"), vms) as m:
        m.expect_exit(120, 200)
        expect_status(m, "vm again: status 120 (reset)")


def destroy_in_a_life(m, name):
    """Of a VM that starts again and again: between two lives it is not running."""
    if command(m, f"destroy {name}", rf"^vm {name} destroyed|^(error: vm {name} is not running)")[1]:
        raise TestError(f"destroy {name}: it is not running")


def on_exit_restart_leaves_terminal(scene):
    """A VM whose console somebody has left does not take the terminal at each restart; `start` gives it back."""
    vms = [("again.vm", definition("again", "split-lock", memory="16M", console="attach", on_exit="restart",
                                   cmdline="rounds=20000"))]
    with scene.start("", tiny("split-lock"), vms) as m:
        m.expect(r"Connected to again", 60)
        for _ in range(3):      # nobody left it: it keeps the terminal
            m.expect(r"PASS split-lock", 60)
        escape(m)   # during a life or between two
        command(m, "list --all", r"again")
        begin = len(m.output())
        for _ in range(3):
            m.expect(r"vm again started", 60)
        if "Connected" in m.output()[begin:]:
            raise TestError("a restart took the terminal")
        m.send("\r")
        m.expect(PROMPT, 60)
        m.until(lambda: destroy_in_a_life(m, "again"))
        m.send("start again\r")
        m.expect(r"Connected to again", 60)


def live_tables(scene):
    """No mapping is writable and executable, no mapped frame of ring 0 belongs to guest memory."""
    with scene.start("", definitions=[linux("linux", console="attach"), linux("other")]) as m:
        to_shell(m)
        escape(m)
        command(m, "selftest", r"selftest: live page tables: 0 violations: PASS")
        m.send("destroy other\r")
        m.expect(PROMPT, 60)
        command(m, "selftest", r"selftest: live page tables: 0 violations: PASS")
        m.send("poweroff\r")
        m.wait_end(60)


def reboot(scene):
    """`reboot` resets the machine: with -no-reboot QEMU ends."""
    with scene.start("", ()) as m:
        m.expect(PROMPT, 110)
        m.send("reboot\r")
        if m.wait_end(60) != 0:
            raise TestError("QEMU's status is not 0 after a reset")


# ---- Images ----

def image_size(scene):
    guests = sum(os.path.getsize(path) for _, path in LINUX)
    for efi in ("grub", "direct"):
        scene.parts["efi"] = efi
        beside = os.path.getsize(scene.image(definitions=[linux("linux")])) - guests
        if beside > 12 << 20:
            raise TestError(f"--efi={efi}: {beside >> 10} KiB beside the guests, expected at most 12288")


IMAGE_ERRORS = [
    (["--module", "linux=/nowhere/vmlinuz"], "--module linux: no file /nowhere/vmlinuz"),
    (["--module", "linux"], "expected NAME=FILE"),
    (["--module", "a b=README.md"], "can't be a module's name"),
    (["--module", "init=README.md"], "can't be a module's name"),
    (["--module", "a=README.md", "--module", "a=README.md"], "a: given twice"),
    (["--vm", "/nowhere/x.vm"], "--vm: no file /nowhere/x.vm"),
    (["--args", "a;b"], "--args: "),
    (["--vm", "README.md"] * 257, "--vm README.md: VM definition 257: at most 256 fit"),
    (["--vm", f"{BUILD}/kernel.elf"], "bytes: expected a definition of at most 64 KiB"),
    (["-o", "{base}.fifo"], "boot-image-errors.fifo: is no regular file"),
    (["-o", "/nowhere/x.iso"], "-o /nowhere/x.iso: no folder /nowhere"),
    (["--pxe", "{base}.pxe", "--efi=direct"], "--efi=direct: expected -o"),
    (["--pxe", "README.md"], "README.md: File exists"),
    ([], "no program strip: run tools/setup"),      # on this PATH
]


def image_errors(scene):
    if not os.path.exists(scene.base + ".fifo"):
        os.mkfifo(scene.base + ".fifo")
    for arguments, expected in IMAGE_ERRORS:
        output = [] if "--pxe" in arguments else ["-o", scene.base + ".iso"]
        arguments = output + [argument.replace("{base}", scene.base) for argument in arguments]
        r = subprocess.run([sys.executable, f"{ROOT}/tools/mkimage"] + arguments, cwd=ROOT, env=dict(os.environ, PATH="/nowhere"),
                           capture_output=True, text=True, check=False)
        if r.returncode != 1 or r.stderr.count("\n") != 1 or expected not in r.stderr:
            raise TestError(f"{' '.join(arguments)[-100:]}: got {r.returncode} {r.stderr.strip()!r}, expected {expected!r}")


def image_on_full_disk(scene):
    """An image that did not fit leaves nothing, and the one before it stays."""
    for efi in ("grub", "direct"):
        output = f"{scene.base}.{efi}.iso"
        with open(output, "w", encoding="ascii") as f:
            f.write("before")
        r = subprocess.run(["prlimit", f"--fsize={4 << 20}", f"{ROOT}/tools/mkimage", "-o", output, f"--efi={efi}"], cwd=ROOT,
                           capture_output=True, text=True, check=False)
        left = sorted(os.path.basename(path) for path in glob.glob(output + "*"))
        if r.returncode != 1 or not r.stderr.startswith("mkimage: ") or left != [os.path.basename(output)]:
            raise TestError(f"--efi={efi}: got {r.returncode}, {left}, {r.stderr.strip()!r}")
        with open(output, encoding="ascii") as f:
            if f.read() != "before":
                raise TestError(f"--efi={efi}: the image before it is gone")


def ring0_count(folder):
    r = subprocess.run([f"{ROOT}/tools/tcb"], cwd=ROOT, env=dict(os.environ, CAISSON_BUILD=folder), capture_output=True,
                       text=True, check=True)
    return int(re.search(r"^tcb ring0 (\d+)$", r.stdout, re.MULTILINE)[1])


def count_of_linked(scene):
    """`make tcb` in a build folder that has what an earlier build left, and what assembly includes."""
    folder = scene.base + ".count"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(f"{BUILD}/ring0", f"{folder}/ring0")
    before = ring0_count(folder)
    with open(f"{folder}/ring0/lib/left.d", "w", encoding="utf-8") as f:
        f.write("left.o: lib/insn_decode.c include/hv/guest_regs.inc\n")
    after = ring0_count(folder)
    if after != before:
        raise TestError(f"with an object of an earlier build: got {after} lines, expected {before}")
    with open(f"{folder}/ring0/objects", "a", encoding="utf-8") as f:
        f.write("ring0/lib/left.o\n")
    if ring0_count(folder) <= before:
        raise TestError(f"with one more that is linked: expected more than {before} lines")
    with open(f"{folder}/ring0/kernel/entry.asm.d", encoding="utf-8") as f:
        if "include/hv/stack.inc" not in f.read():
            raise TestError("kernel/entry.asm: expected include/hv/stack.inc among its dependencies")
    shutil.rmtree(folder)


# ---- Programs against the kernel ----

def wild_programs(scene):
    """An archive of programs with tests/ring3/wild.c in the monitor's place."""
    folder = scene.base + ".programs"
    os.makedirs(folder, exist_ok=True)
    shutil.copy(f"{BUILD}/programs/manager", f"{folder}/manager")
    shutil.copy(f"{BUILD}/programs/wild", f"{folder}/vmm")
    with open(scene.base + ".cpio", "wb") as archive:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=folder, check=True,
                       input=b"manager\nvmm\n", stdout=archive)
    return scene.base + ".cpio"


def wild_monitors(scene):
    """Monitors that fault, leave, never stop or want to fill the log end only their own VM, with a reason."""
    modes = ("fault", "exit", "loop", "flood")
    vms = [(f"{name}.vm", definition(name, "pass", cmdline=name, memory="16M")) for name in modes]
    image = mkimage(scene.base + ".iso", CI_ARGS, [("pass", f"{BUILD}/guests/cpuid.elf")], vms,
                    programs=wild_programs(scene))
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        start = time.monotonic()
        for _ in ("fault", "exit", "flood"):
            m.expect(r"vm (fault|exit|flood) ended: status 124", 60)
        lines = re.findall(r"^.*init, or so the log shall say\?\?: thread \d+ ended by", m.output(), re.MULTILINE)
        most = 140 + time.monotonic() - start   # 128, and one a second
        if not 10 < len(lines) < most:
            raise TestError(f"{len(lines)} of 400 faults that one monitor causes are in the log, expected about 128, "
                            f"fewer than {most:.0f}")
        m.send("\r")
        m.expect(PROMPT, 60)
        m.send("destroy loop\r")
        m.expect_exit(124, 60)
        expect_status(m, "ended by #PF at rip", "vm fault: status 124 (monitor died)",
                      "vm exit: status 124 (monitor died)", "vm loop: status 125 (destroyed)",
                      "vm flood: status 124 (monitor died)")


def init_ends(scene):
    """Without the root task there is no console and no VM: the machine doesn't stay like that."""
    image = mkimage(scene.base + ".iso", "exitport=0xf4", init=f"{BUILD}/programs/wild")
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect_exit(127, 60)
        expect_status(m, "panic: init has ended with status 5")


def panic(scene):
    """What the kernel cannot go on without: a message, registers or backtrace with symbols, and an exit status."""
    image = mkimage(scene.base + ".iso", "exitport=0xf4", init=os.path.join(ROOT, "README.md"))
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect_exit(127, 60)
        expect_status(m, 'panic: init: the module "init" is refused: not a ring-3 image', "panic: cpu0, thread",
                      "_main+0x", "upper+0x", "panic: cpu1 stopped at")

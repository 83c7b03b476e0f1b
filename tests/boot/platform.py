"""Whole-machine runs about the platform: CPUs, NUMA nodes, power."""
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import time

from bochs import LINUX_WORDS
from boot.scenes import CI_ARGS, LOG_LINES, PROMPT, command, definition, escape, expect_status, linux, mkimage, tiny
from machine import BUILD, MAKE_B, ROOT, Machine, TestError, caisson_options
from table import NUMA_CPUS, numa_distance, numa_megabytes, numa_node

RESETS = {
    "acpi": "reset: by the ACPI reset register",
    "pci": "reset: by port 0xcf9",
    "kbd": "reset: by the keyboard controller",
    "triple": "reset: by a triple fault",
}


def expect_resets(m, *methods):
    """QEMU has ended (-no-reboot), and these methods were tried, the last with success."""
    status = m.wait_end(60)
    got = re.findall(r"reset: by .*", m.output())
    expected = [RESETS[method] for method in methods]
    if status != 0 or got != expected:
        raise TestError(f"got status {status} and {got}, expected 0 and {expected}")


def reset_methods(scene):
    """`reboot` with each reboot=: that method alone resets the machine. A machine without one takes the next."""
    for method in RESETS:
        with scene.start("reboot=" + method, ()) as m:
            m.expect(PROMPT, 60)
            m.send("reboot\r")
            has_register = "pc" not in scene.machine  # the FADT of QEMU's PC is of revision 1
            expect_resets(m, method if method != "acpi" or has_register else "pci")


def reset_by_firmware_register(scene):
    """A machine without legacy hardware, whose registers lie in memory: reset and power-off."""
    for action in ("reboot", "poweroff"):
        with scene.start("", ()) as m:
            m.expect(PROMPT, 60)
            command(m, "hostinfo", r"CPU\(s\): +2 of 2")
            m.send(action + "\r")
            if action == "reboot":
                expect_resets(m, "acpi")
            elif m.wait_end(60) != 0 or "init: power off" not in m.output():
                raise TestError("the machine did not power off")


def panic_resets(scene):
    """After a panic the machine is reset, by the method of reboot=; with noreboot it is not."""
    for args, method in (("reboot=kbd", "kbd"), ("", "acpi")):
        image = mkimage(scene.base + ".iso", args, init=ROOT + "/README.md", kernel=scene.kernel)
        with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
            m.expect(r"panic: the machine is reset in 5 s", 60)
            start = time.monotonic()
            expect_resets(m, method)
            if time.monotonic() - start < 2:   # of 5: the host may let this program wait
                raise TestError("nobody can have read it")
    image = mkimage(scene.base + ".iso", "noreboot", init=ROOT + "/README.md", kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect(r"^halted", 60)
        m.read(2)
        if m.process.poll() is not None or "reset: by" in m.output():
            raise TestError("the machine was reset in spite of noreboot")


def s5_of_firmware(scene):
    """
    _S5_ is found in an SSDT; where no table has it, power-off says so and the machine stays, with a console after the end
    of the last VM too.
    """
    text = scene.base + ".vm"
    with open(text, "w", encoding="ascii") as f:
        f.write(definition("cpuid", "cpuid", memory="16M", autostart="no"))
    modules = [*tiny("cpuid"), ("vm:cpuid.vm", text)]
    s5 = b"\x08_S5_\x12\x06\x04\x00\x00\x00\x00"
    for ssdt, found in ((acpi_table(b"SSDT", s5), True), (acpi_table(b"SSDT", s5.replace(b"5", b"4")), False)):
        image = image_with_tables(scene, acpi_table(b"DSDT", b""), ssdt, args="exit=last-vm", modules=modules)
        with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
            m.expect(PROMPT, 60)
            m.send("poweroff\r")
            if found and m.wait_end(60) != 0:
                raise TestError("QEMU's status is not 0 after power-off")
            if not found:
                m.expect(r"can't power off: no _S5_ in the ACPI tables", 60)
                m.expect(PROMPT, 60)
                m.send("start cpuid\r")
                m.expect(r"can't power off: no _S5_ in the ACPI tables", 60)
                m.expect(PROMPT, 60)
                command(m, "hostinfo", r"CPU\(s\): +2 of 2")


def firmware_tables(scene):
    """A table with a bad checksum is reported, and used; DMAR may ask for xAPIC mode."""
    hpet = bytearray(acpi_table(b"HPET", struct.pack("<IBBBBQBHB", 0x8086A201, 0, 64, 0, 0, 0xfed00000, 0, 0, 0)))
    hpet[9] ^= 1
    for flags, mode in ((1, "x2APIC"), (3, "xAPIC")):
        dmar = acpi_table(b"DMAR", struct.pack("<BB10x", 38, flags))
        image = image_with_tables(scene, bytes(hpet), dmar)
        with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
            m.expect(PROMPT, 60)
            for line in (r"acpi: HPET at 0x[0-9a-f]+: bad checksum; used all the same", r"acpi: .* nodes, HPET",
                         rf"lapic: {mode} mode"):
                if not re.search(line, m.output()):
                    raise TestError(f"no line {line!r} with DMAR's flags {flags}")


# ---- CPUs ----

def many_cpus(scene):
    """All CPUs come up, and VMs run on them."""
    count = int(scene.machine[scene.machine.index("-smp") + 1])
    with scene.start("", ()) as m:
        m.expect(rf"smp: {count} of {count} CPUs are up", 120)
        m.expect(PROMPT, 60)
        command(m, "hostinfo", rf"CPU\(s\): +{count} of {count}")
        command(m, "nodeinfo", rf" 0-{count - 1}$")
        command(m, "selftest", r"0 violations: PASS", 120)
        m.send("poweroff\r")
        m.wait_end(60)
    names = ("cpuid", "tsc", "apic-timer", "hlt-wakeup", "self-ipi", "fpu-state")
    vms = [(f"{n}.vm", definition(n, n, memory="16M", cmdline="caisson")) for n in names]
    with scene.start(CI_ARGS, tiny(*names), vms) as m:
        m.expect_exit(0, 240)
        expect_status(m, *(f"vm {name}: status 0" for name in names))


def acpi_table(signature, body, revision=2):
    table = bytearray(struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, b"TEST", b"TEST", 1, b"TEST", 1)
                      + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


def madt(*entries):
    """A MADT with these CPU entries and QEMU's I/O APIC and timer override."""
    body = struct.pack("<II", 0xfee00000, 1) + b"".join(entries)
    body += struct.pack("<BBBBII", 1, 12, 0, 0, 0xfec00000, 0) + struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)
    return acpi_table(b"APIC", body, 3)


def local_apic(apic_id, enabled=1):
    return struct.pack("<BBBBI", 0, 8, apic_id, apic_id, enabled)


def x2apic(apic_id):
    return struct.pack("<BBHIII", 9, 16, 0, apic_id, 1, apic_id)


def image_with_tables(scene, *tables, args="", modules=()):
    """
    An image whose boot loader puts these tables in the place of the firmware's, and adds those it has not. modules: boot
    modules, as (name, path).
    """
    tree = scene.base + ".tree"
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree + "/boot/grub")
    for path in (f"{BUILD}/programs/init", f"{BUILD}/programs.cpio"):
        shutil.copy(path, tree + "/boot")
    shutil.copyfile(scene.kernel, tree + "/boot/caisson.elf")
    for number, table in enumerate(tables):
        with open(f"{tree}/boot/table{number}", "wb") as f:
            f.write(table)
    for number, (_, path) in enumerate(modules):
        shutil.copyfile(path, f"{tree}/boot/module{number}")
    lines = "".join(f"module2 --nounzip /boot/module{number} {name}\n" for number, (name, _) in enumerate(modules))
    names = ",".join(table[:4].decode() for table in tables)
    files = " ".join(f"/boot/table{number}" for number in range(len(tables)))
    with open(tree + "/boot/grub/grub.cfg", "w", encoding="ascii") as f:
        f.write(f"serial --unit=0 --speed=115200\nterminal_output serial console\nacpi --exclude={names} {files}\n"
                f"multiboot2 /boot/caisson.elf {args}\nmodule2 --nounzip /boot/init init\n"
                f"module2 --nounzip /boot/programs.cpio programs\n{lines}boot\n")
    install = "--install-modules=biosdisk iso9660 multiboot2 normal configfile search serial terminal acpi"
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", scene.base + ".iso", install, "--fonts=",
                    "--locales=", "--themes=", tree], check=True, capture_output=True)
    return scene.base + ".iso"


def cpus_left_out(scene):
    """A CPU that the firmware lists and that does not come up, or can't, is reported; the others work."""
    table = madt(local_apic(0), local_apic(7), x2apic(0xffffffff), local_apic(1), local_apic(2, enabled=0))
    with Machine(caisson_options(image_with_tables(scene, table), scene.machine), scene.log, scene.limit) as m:
        m.expect(r"warn: smp: the CPU with APIC id 7 is left out: it did not start within 5 s", 60)
        m.expect(r"warn: smp: the CPU with APIC id 4294967295 is left out: no interrupt reaches this id", 60)
        m.expect(r"smp: 2 of 4 CPUs are up", 60)
        m.expect(PROMPT, 60)
        command(m, "hostinfo", r"CPU\(s\): +2 of 4")
        command(m, "nodeinfo", r" 0-1$")
        m.send("poweroff\r")
        if m.wait_end(60) != 0:
            raise TestError("QEMU's status is not 0 after power-off")


# ---- NUMA ----

def read_nodeinfo(m):
    """-> {the firmware's number: (total KiB, free KiB, CPUs)}, [[distance]] in the order of these numbers."""
    text = re.sub(rf"^{LOG_LINES}", "", command(m, "nodeinfo", rf"nodeinfo\n([\s\S]*?)(?={PROMPT})")[1], flags=re.MULTILINE)
    rows = re.findall(r"^ (\d+) +(\d+) +(\d+) +(\d+) +(\S+)$", text, re.MULTILINE)
    nodes = {int(domain): (int(total), int(free), cpus) for _, domain, total, free, cpus in rows}
    order = sorted(rows, key=lambda row: int(row[1]))
    distances = [[int(d) for d in line.split()[1:]] for line in text.split("Distances")[1].strip().split("\n")]
    return nodes, [[distances[int(a[0])][int(b[0])] for b in order] for a in order]


def expect_taken(m, before, where, megabytes):
    """That much memory, and little more, is gone from one node, none from the others."""
    after, _ = read_nodeinfo(m)
    for node in range(8):
        taken, expected = (before[node][1] - after[node][1]) >> 10, megabytes if node == where else 0
        if not expected <= taken <= expected + (16 if expected else 0):
            raise TestError(f"the VM took {taken} MiB of node {node}, expected {expected}")


def numa_nodes(scene):
    """What nodeinfo shows is what QEMU was told; a VM's memory comes from the node of the CPU that runs it."""
    with scene.start("", ()) as m:
        m.expect(PROMPT, 60)
        nodes, distances = read_nodeinfo(m)
        expected = [[numa_distance(a, b) for b in range(8)] for a in range(8)]
        if distances != expected:
            raise TestError(f"got the distances {distances}, expected {expected}")
        for cpu in range(NUMA_CPUS):
            if nodes[numa_node(cpu)][2] != str(cpu):
                raise TestError(f"got CPUs {nodes[numa_node(cpu)][2]} at node {numa_node(cpu)}, expected {cpu}")
        for node in range(8):
            missing = numa_megabytes(node) * 1024 - nodes[node][0]
            # The first has the hole below 1 MiB, and the firmware keeps some of the last.
            if not 0 <= missing <= (1024 if node in (0, 7) else 0):
                raise TestError(f"got {nodes[node][0]} KiB at node {node}, expected {numa_megabytes(node)} MiB")
        command(m, "selftest", r"0 violations: PASS")
        m.send("poweroff\r")
        m.wait_end(60)
    boot_node = numa_node(0)
    with scene.start("autostart=off maxcpus=1", definitions=[linux("linux", memory="128M", populate="yes")]) as m:
        m.expect(PROMPT, 60)
        before, _ = read_nodeinfo(m)
        command(m, "start linux", r"vm linux started", 120)
        m.until(lambda: expect_taken(m, before, boot_node, 128))    # it is populated behind the prompt
        command(m, "destroy linux", r"vm linux destroyed")
        m.send("poweroff\r")
        m.wait_end(60)


def numa_placement(scene):
    """tests/ring3/numa.c as the root task."""
    image = mkimage(scene.base + ".iso", "exitport=0xf4", init=f"{BUILD}/programs/numa", kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect_exit(0, scene.limit)
        expect_status(m, "numa: PASS: 8 nodes, 8 with CPUs")


# ---- By hand ----

class Terminal(Machine):
    """A program on a terminal of its own, as a person starts it."""

    who = "the program"

    def start(self, options):
        self.source, terminal = pty.openpty()
        self.sink = self.source
        process = self.launch(options, cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
        os.close(terminal)
        return process

    def read(self, seconds):
        try:
            return super().read(seconds)
        except OSError:     # nobody has the terminal open any more
            return False

    def __exit__(self, *args):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        super().__exit__(*args)
        os.close(self.source)


def run_by_hand(scene):
    """
    `make run ENGINE=bochs`: Linux starts, with the words that it needs there; what is typed reaches the prompt, pasted
    lines too; `poweroff` ends it with status 0.
    """
    command_line = ["make", "--no-print-directory", f"B={MAKE_B}", "run", "ENGINE=bochs"]
    with Terminal(command_line, scene.log, scene.limit) as m:
        m.expect(rf"Command line: console=ttyS0 {LINUX_WORDS}$", 200)
        escape(m)
        command(m, "list", r"linux +running")
        os.write(m.sink, b"dmesg\rhostinfo\r")
        m.expect(r"Virtualization: vmx", 60)
        m.expect(PROMPT, 60)
        m.send("poweroff\r")
        status = m.wait_end(60)
        if status != 0:
            raise TestError(f"make's status is {status}, expected 0")

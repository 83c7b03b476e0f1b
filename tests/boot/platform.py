"""Whole-machine runs about the platform: CPUs, NUMA nodes, power."""
import re

from boot.scenes import PROMPT, command, mkimage
from machine import ROOT, Machine, TestError, caisson_options

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
            elif m.wait_end(60) != 0 or "system: power off" not in m.output():
                raise TestError("the machine did not power off")


def panic_resets(scene):
    """After a panic the machine is reset, by the method of reboot=; with noreboot it is not."""
    for args, method in (("reboot=kbd", "kbd"), ("", "acpi")):
        image = mkimage(scene.base + ".iso", args, init=ROOT + "/README.md", kernel=scene.kernel)
        with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
            expect_resets(m, method)
    image = mkimage(scene.base + ".iso", "noreboot", init=ROOT + "/README.md", kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect(r"panic: halted", 60)
        m.read(2)
        if m.process.poll() is not None or "reset: by" in m.output():
            raise TestError("the machine was reset in spite of noreboot")

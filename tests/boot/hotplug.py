"""CPU hot-plug: `setvcpus` and what a guest makes of it."""
import itertools

from boot.scenes import BOCHS_LINUX, LAST_LINE, PROMPT, command, command_to_new, definition, escape, tiny, to_shell
from machine import TestError

CALLS = itertools.count(1)  # of /test/cpus


def seen(m, name, *lines):
    """Lines on a VM's console, in this order, from its start on; ends at the prompt."""
    m.send(f"console {name}\r")
    for line in lines:
        m.expect(line, 120)
    escape(m)


def hotplug(scene, all_of_it=True):
    """A tiny guest drives the registers: CPUs come, go, stay; a restart keeps them, a new start does not."""
    vms = [("hotplug.vm", definition("hotplug", "hotplug", memory="16M", vcpus=2, maxvcpus=4, on_exit="restart:1",
                                     cmdline="keep=1")),
           ("many.vm", definition("many", "hotplug", memory="4M", vcpus=1, maxvcpus=64, autostart="no")),
           ("deaf.vm", definition("deaf", "bystander", memory="32M", vcpus=2, cmdline="ticks=4000000000", autostart="no"))]
    with scene.start("", tiny("hotplug", "bystander"), vms) as m:
        m.expect(PROMPT, 300)
        seen(m, "hotplug", r"hotplug: begins with 2 of 4")
        command(m, "setvcpus hotplug 4", r"^vm hotplug has 4 vCPUs", 120)
        seen(m, "hotplug", r"CPU [23] came", r"CPU [23] came")
        command(m, "vcpucount hotplug", r"^maximum +config +4\nmaximum +live +4\ncurrent +config +2\ncurrent +live +4\n")
        for count in ("5", "0", "x"):
            command(m, f"setvcpus hotplug {count}", rf"error: setvcpus {count}: expected 1 to 4, its definition's maxvcpus")
        command(m, "setvcpus hotplug 3", r"^vm hotplug has 3 vCPUs", 120)
        command(m, "vcpuinfo hotplug", r"^ 0 .*\n 1 .*\n 2 .*" + LAST_LINE)
        command(m, "setvcpus hotplug 1", r"error: vm hotplug: its guest keeps a vCPU \(ACPI status 0x82\): it has [23]", 120)
        seen(m, "hotplug", r"CPU 3 went", r"CPU 1 stays", r"CPU 2 went")
        command(m, "suspend hotplug", r"^vm hotplug suspended", 120)     # those that the guest does not have stand already
        command(m, "setvcpus hotplug 3", r"error: vm hotplug is paused: resume it first")
        command(m, "resume hotplug", r"^vm hotplug resumed", 120)
        command(m, "setvcpus hotplug 3", r"^vm hotplug has 3 vCPUs", 120)
        seen(m, "hotplug", r"CPU 2 went", r"CPU 2 came")
        m.send("shutdown hotplug\r")    # what it makes of the button is a reset
        m.expect(r"init: vm hotplug started", 120)
        seen(m, "hotplug", r"begins with 3 of 4")
        command(m, "dominfo hotplug", r"CPU\(s\): +3\n")
        command(m, "destroy hotplug; start hotplug", r"vm hotplug started\n")
        command(m, "vcpucount hotplug", r"current +live +2" + LAST_LINE)
        command(m, "destroy hotplug; setvcpus hotplug 2", r"error: vm hotplug is not running")
        command(m, "vcpucount hotplug", r"^maximum +config +4\ncurrent +config +2" + LAST_LINE)
        if all_of_it:
            command(m, "start many", r"vm many started")
            seen(m, "many", r"begins with 1 of 64")
            for count in (64, 1, 33):
                command_to_new(m, f"setvcpus many {count}", rf"^vm many has {count} vCPUs?", 200)
                if count in (64, 1):    # it still starts them, or looks whether the last one is gone
                    seen(m, "many", *[rf"CPU \d+ {'came' if count > 1 else 'went'}"] * 63)
            command(m, "dominfo many", r"State: +running\nCPU\(s\): +33\n")
            command(m, "destroy many; start deaf", r"vm deaf started\n")
            command_to_new(m, "setvcpus deaf 1", r"error: vm deaf: its guest does not answer: it has 2 vCPUs", 300)
            command(m, "setvcpus deaf 2", r"^vm deaf has 2 vCPUs")
        m.send("poweroff\r")
        m.expect_power_off()


def hotplug_bochs(scene):
    """The same on VT-x, but for what takes long."""
    hotplug(scene, all_of_it=False)


def linux_cpus(m, count, possible):
    """Linux has them, uses them and complains about nothing; ends at Caisson's prompt."""
    call = next(CALLS)  # the console shows again what those before said
    m.send("console linux\r")
    m.expect(r"onnected|\^\]", 60)
    m.send(f"\rsh /test/cpus {count} {possible} {call}\r")
    result = m.expect(rf"^(PASS|FAIL) cpus {call}:.*\n", 300)
    if result[1] != "PASS":
        raise TestError(result[0])
    escape(m)


def linux_hotplug(scene):
    """Debian's kernel takes CPUs and gives them back, again and again, and restarts with those that it has."""
    vm = definition("linux", cmdline="console=ttyS0", vcpus=2, maxvcpus=4, memory="512M", console="attach", on_exit="restart:1")
    with scene.start("", definitions=[("linux.vm", vm)]) as m:
        to_shell(m)
        escape(m)
        for _ in range(3):
            for count in (4, 1, 3, 2):
                command(m, f"setvcpus linux {count}", rf"^vm linux has {count} vCPUs?", 120)
                linux_cpus(m, count, 4)
        command(m, "setvcpus linux 3", r"^vm linux has 3 vCPUs", 120)
        linux_cpus(m, 3, 4)
        m.send("console linux\r")
        m.expect(r"onnected|\^\]", 60)
        m.send("\rreboot -f\r")
        m.expect(r"init: vm linux ended: status 120 \(reset\)", 120)
        to_shell(m)
        escape(m)
        linux_cpus(m, 3, 4)
        command(m, "setvcpus linux 4", r"^vm linux has 4 vCPUs", 120)
        linux_cpus(m, 4, 4)
        m.send("poweroff\r")
        m.expect_power_off()


def linux_bochs_noapicv(scene):
    """On VT-x, with two vCPUs and a third for a time; Bochs' `apicv` is not fit for more than one (docs/testing.md)."""
    vm = definition("linux", cmdline=BOCHS_LINUX, vcpus=2, maxvcpus=3, console="attach")
    with scene.start("exit=last-vm noapicv", definitions=[("linux.vm", vm)]) as m:
        m.expect(r"guest: ready", 1200)
        m.expect(r"# $", 60)
        escape(m)
        for count in (3, 2):
            command(m, f"setvcpus linux {count}", rf"^vm linux has {count} vCPUs?", 300)
            linux_cpus(m, count, 3)
        command(m, "suspend linux; top -1; resume linux", r"vm linux suspended(?:\n.*)*vm linux resumed", 120)
        m.send("console linux\r")
        m.expect(r"onnected|\^\]", 60)
        m.send("\rdmesg | grep -cE 'BUG:|WARNING: CPU|soft lockup|detected stall'; echo on-$((40 + 2))\r")
        if m.expect(r"^(\d+)\s+on-42", 120)[1] != "0":
            raise TestError("Linux complained about hot-plug or a pause")
        m.send("poweroff -f\r")
        m.expect(r"^vm linux: status 0 \(power-off\)", 60)
        m.expect_power_off()

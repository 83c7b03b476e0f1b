"""What Caisson does on machines that lack something: it says what and what to do, and goes on as far as it can."""
import os
import shutil
import subprocess

from boot.media import wait_on_screen, wait_shown
from boot.scenes import PROMPT, command, definition, tiny
from machine import Machine, TestError, caisson_options

MULTIBOOT2 = "multiboot2 /boot/caisson.elf\nset gfxpayload=text\n"


def no_vms_here(scene, reason, prompt_seconds=120):
    """The machine can run no VM: it reaches the prompt all the same, and each start is refused with the reason."""
    vms = [("one.vm", definition("one", "port-widths", memory="16M"))]
    with scene.start("", tiny("port-widths"), vms) as m:
        warning = m.expect(rf"warn: virt: this machine cannot run VMs: .*{reason}", prompt_seconds)[0]
        m.expect(rf"one.vm: can't start one: no VM can run here: .*{reason}", 60)
        m.expect(PROMPT, 60)
        wait_on_screen(m, warning)
        command(m, "hostinfo", rf"CPU\(s\): +2 of 2\n[\s\S]*Virtualization: none: .*{reason}")
        command(m, "start one", rf"error: one.vm: can't start one: .*{reason}")
        m.send("poweroff\r")
        if scene.bochs:
            m.expect_power_off()
        elif m.wait_end(60) != 0:
            raise TestError("QEMU's status is not 0 after power-off")


def no_svm(scene):
    no_vms_here(scene, "the CPU offers neither VT-x nor AMD-V")


def no_npt(scene):
    no_vms_here(scene, "AMD-V has no nested paging")


def bochs_no_ept(scene):
    no_vms_here(scene, "the CPU's VT-x lacks .*EPT")


def refused(scene, image, text):
    """The start ends with the text on serial and on the screen, and the machine stays as it is."""
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        line = m.expect(rf"^refused: Caisson can't start here: .*{text}.*$", 300)[0]
        m.expect(r"^halted$", 60)
        wait_shown(scene, m, line)


def no_long_mode(scene):
    """The first instructions say it: there is no 64-bit code yet."""
    with scene.start("") as m:
        line = m.expect(r"^refused: Caisson can't start here: this CPU has no 64-bit mode .*$", 60)[0]
        wait_on_screen(m, line)


def no_nx(scene):
    refused(scene, scene.image(""), r"this CPU has no no-execute pages \(NX\)")


def little_memory(scene):
    refused(scene, scene.image("", ()), r"\d+ KiB of memory are free beside kernel and boot modules, Caisson needs \d+: add memory")


def large_module(scene):
    """What GRUB can't load is named, and Caisson is not started without it."""
    with open(scene.base + ".big", "wb") as f:
        f.truncate(24 << 20)
    with scene.start("", [("big", scene.base + ".big")]) as m:
        m.expect(r"Caisson: not loaded \(too little memory, or a bad medium\):\s+Caisson: big\s", 90)
        m.expect(r"another try in 60 seconds", 60)
        wait_on_screen(m, "Caisson: not loaded (too little memory, or a bad medium):")
        wait_on_screen(m, "Caisson: big ")
        if "a hypervisor for x86-64" in m.output():
            raise TestError("Caisson was started all the same")
    os.remove(scene.base + ".big")


def mem_option(scene):
    """mem= takes what the kernel and its modules need: 48 MiB of modules leave less than 16 of 64."""
    with open(scene.base + ".big", "wb") as f:
        f.truncate(48 << 20)
    image = scene.image("mem=64M", [("big", scene.base + ".big")])
    refused(scene, image, r"needs \d+: add memory or raise the boot option mem=")
    os.remove(scene.base + ".big")


def no_modules(scene):
    """A boot menu of somebody's own, without module2 lines."""
    refused(scene, own_image(scene, MULTIBOOT2 + "boot\n"),
            r'of 0 boot modules none is named "init": the boot menu')


def no_init(scene):
    menu = MULTIBOOT2 + "module2 /boot/caisson.elf other\nboot\n"
    refused(scene, own_image(scene, menu), r'of 1 boot modules none is named "init"')


def long_name(scene):
    """What GRUB hands over and can't be used."""
    menu = MULTIBOOT2 + f"module2 /boot/caisson.elf {'x' * 64}\nboot\n"
    refused(scene, own_image(scene, menu), "what the boot loader handed over can't be used: multiboot2: module 0: its name is "
            "longer than 63 characters")


def own_image(scene, menu):
    """An image with the kernel and a boot menu, made as mkimage makes its own."""
    tree = scene.base + ".tree"
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree + "/boot/grub")
    shutil.copyfile(scene.kernel, tree + "/boot/caisson.elf")
    with open(tree + "/boot/grub/grub.cfg", "w", encoding="ascii") as f:
        f.write("serial --unit=0 --speed=115200\nterminal_output serial console\n" + menu)
    modules = "--install-modules=biosdisk iso9660 multiboot2 normal configfile search serial terminal"
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", scene.base + ".iso", modules, "--fonts=",
                    "--locales=", "--themes=", tree], check=True, capture_output=True)
    return scene.base + ".iso"

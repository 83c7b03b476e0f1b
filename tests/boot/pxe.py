"""Starts over the network: a folder made by mkimage --pxe, served by QEMU's own TFTP server."""
import os
import shutil
import subprocess

from boot.media import firmware_shows, wait_on_screen
from boot.scenes import CI_ARGS, PROMPT, command, definition, expect_status, tiny
from machine import ROOT, Machine, TestError, caisson_options


def folder(scene, *arguments):
    """A TFTP server's root with Caisson in a folder of its own."""
    root = scene.base + ".tftp"
    shutil.rmtree(root, ignore_errors=True)
    result = subprocess.run([f"{ROOT}/tools/mkimage", "--pxe", root + "/caisson", "--kernel", scene.kernel, *arguments],
                            capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise TestError("mkimage --pxe: " + result.stderr.strip())
    return root


def start(scene, root):
    return Machine(caisson_options(root, scene.machine), scene.log, scene.limit)


def wait_shown(scene, m, text):
    """On the screen, in the firmware's font."""
    if "OVMF" in " ".join(scene.machine):
        m.until(lambda: firmware_shows(m, scene.base + ".ppm", text))
    else:
        wait_on_screen(m, text)


def pxe(scene, loader="GRUB"):
    """Kernel, programs, a guest and its definition come over the network; the guest's status is the machine's."""
    (name, path), = tiny("debug-exit")
    vm = scene.base + ".vm"
    with open(vm, "w", encoding="ascii") as f:
        f.write(definition("one", name, memory="16M"))
    root = folder(scene, "--args", CI_ARGS, "--module", f"{name}={path}", "--vm", vm)
    with start(scene, root) as m:
        m.expect(rf"Caisson, a hypervisor for x86-64; started by {loader}", 90)
        m.expect_exit(42, 60)
        expect_status(m, "vm one: status 42")


def ipxe_direct(scene):
    """Under UEFI iPXE needs no GRUB: it starts our own application, with the files that it has loaded."""
    pxe(scene, "BOOTX64.EFI")


def pxe_missing(scene):
    """Every file that the server does not have is named."""
    root = folder(scene, "--module", f"readme={ROOT}/README.md")
    for file in ("programs.cpio", "modules/readme"):
        os.remove(f"{root}/caisson/{file}")
    with start(scene, root) as m:
        m.expect(r"Caisson: TFTP server 10\.0\.2\.2: not loaded", 90)
        m.expect(r"Caisson: programs\.cpio\s[\s\S]*Caisson: modules/readme\s", 60)
        m.expect(r"another try in 60 seconds", 60)
        wait_shown(scene, m, "Caisson: programs.cpio")
        wait_shown(scene, m, "Caisson: modules/readme")


def pxe_missing_menu(scene):
    root = folder(scene)
    os.remove(root + "/caisson/grub.cfg")
    with start(scene, root) as m:
        m.expect(r"Caisson: TFTP server 10\.0\.2\.2: no readable file:\s+Caisson: \S*caisson/grub\.cfg\s", 90)
        wait_shown(scene, m, "caisson/grub.cfg")


def ipxe_missing(scene):
    """iPXE's own console is the screen; under UEFI that is the serial line too."""
    root = folder(scene)
    os.remove(root + "/caisson/grub-bios.0")
    os.remove(root + "/caisson/programs.cpio")
    with start(scene, root) as m:
        if "OVMF" in " ".join(scene.machine):
            line = m.expect(r"Caisson: server 10\.0\.2\.2, folder of caisson/caisson\.ipxe: not loaded: programs\.cpio", 90)[0]
            wait_shown(scene, m, line)
        else:
            wait_on_screen(m, "Caisson: server 10.0.2.2, folder of caisson/caisson.ipxe: not loaded: grub-bios.0", 90)


def ipxe_no_server(scene):
    """A DHCP answer without a TFTP server: made here by a script that forgets it."""
    root = folder(scene)
    os.rename(root + "/caisson/caisson.ipxe", root + "/caisson/real.ipxe")
    with open(root + "/caisson/caisson.ipxe", "w", encoding="ascii") as f:
        f.write("#!ipxe\nclear net0.dhcp/next-server\nchain real.ipxe\n")
    with start(scene, root) as m:
        wait_on_screen(m, "Caisson: the DHCP server named no TFTP server (next-server)", 90)

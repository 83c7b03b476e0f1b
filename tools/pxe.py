"""
Fills a folder for a TFTP server: GRUB's network images, iPXE's script, our own UEFI application, and Caisson's parts.
Used by tools/mkimage. Everything is looked for in the folder that the boot file itself came from.
"""
import os
import shutil
import subprocess
import tarfile
import tempfile

import grub

MODULES = ["tftp", "memdisk", "tar"] + grub.MODULES
IMAGES = {  # what the DHCP server names as boot file, by firmware
    "grub-bios.0": ("i386-pc-pxe", "i386-pc", ["pxe"]),
    "grub-uefi.efi": ("x86_64-efi", "x86_64-efi", ["efinet", "efi_gop", "video_fb"]),
}

# Inside GRUB's images. Under UEFI the firmware's console is on the serial line where it is set up so.
START = """\
if [ "$grub_platform" = pc ]; then
  serial --unit=0 --speed=115200
  terminal_output serial console
fi
set prefix=$cmdpath
if [ -z "$net_default_server" ]; then
  echo "Caisson: the DHCP server named no TFTP server (next-server)"
else
  source $prefix/grub.cfg
  echo "Caisson: TFTP server $net_default_server: no readable file:"
  echo "Caisson: $prefix/grub.cfg"
fi
"""


class PxeError(Exception):
    """What went wrong, in words."""


def grub_image(folder, file):
    """An image that starts START, which only a file can hold: what is built in is no script."""
    target, platform, modules = IMAGES[file]
    with tempfile.TemporaryDirectory() as work:
        for name, text in (("start.cfg", START + grub.GIVE_UP), ("early.cfg", "configfile (memdisk)/start.cfg\n")):
            with open(os.path.join(work, name), "w", encoding="ascii") as f:
                f.write(text)
        with tarfile.open(os.path.join(work, "disk.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.add(os.path.join(work, "start.cfg"), "start.cfg")
        command = ["grub-mkimage", "-d", os.path.join(grub.DIR, platform), "-O", target, "-p", "", "-c",
                   os.path.join(work, "early.cfg"), "-m", os.path.join(work, "disk.tar"),
                   "-o", os.path.join(folder, file)] + modules + MODULES
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise PxeError(f"grub-mkimage -O {target} failed: {result.stderr.strip()}")


def ipxe_script(parts):
    """
    iPXE starts no multiboot2 kernels. Under UEFI it starts our own application, which finds the files that iPXE
    loaded as a file system, flat, under the names given here; under BIOS it hands over to GRUB.
    """
    lines = ["#!ipxe", "iseq ${platform} efi || goto bios", "set file caisson.efi", "kernel ${file} || goto missing"]
    for file in ["caisson.cfg"] + [file for file, _ in parts]:
        lines += [f"set file {file}", f"initrd --name {flat(file)} ${{file}} || goto missing"]
    return "\n".join(lines + [
        "boot",
        "goto again",
        ":bios",
        "isset ${next-server} || goto no_server",
        "set file grub-bios.0",
        "chain ${file} || goto missing",
        ":missing",
        "echo Caisson: server ${next-server}, folder of ${filename}: not loaded: ${file}",
        "goto again",
        ":no_server",
        "echo Caisson: the DHCP server named no TFTP server (next-server)",
        ":again",
        "echo Caisson: another try in 60 seconds",
        "sleep 60",
        "reboot",
    ]) + "\n"


def flat(file):
    return file.replace("/", "-")


def caisson_cfg(args, parts):
    """For the UEFI application; boot/efi/config.h says what it may hold."""
    lines = [f"module = {name} {flat(file)}" if name else f"kernel = {flat(file)}" for file, name in parts]
    return "\n".join(lines + ([f"args = {args}"] if args.strip() else [])) + "\n"


def fill(folder, args, parts, modules, loader):
    """
    parts: (file name, path) of kernel, init, programs; modules: (name, path), VM definitions as vm:FILE; loader: the
    UEFI application.
    """
    os.makedirs(folder, exist_ok=True)
    listed = []
    for (file, path), name in zip(parts, (None, "init", "programs")):
        shutil.copyfile(path, os.path.join(folder, file))
        listed.append((file, name))
    subprocess.run(["strip", "--strip-debug", os.path.join(folder, parts[0][0])], check=True)
    shutil.copyfile(loader, os.path.join(folder, "caisson.efi"))
    for name, path in modules:
        file = "vms/" + name[3:] if name.startswith("vm:") else "modules/" + name
        os.makedirs(os.path.join(folder, os.path.dirname(file)), exist_ok=True)
        shutil.copyfile(path, os.path.join(folder, file))
        listed.append((file, name))
    for file in IMAGES:
        grub_image(folder, file)
    menu = grub.menu(args, [(f"$prefix/{file}", name, file) for file, name in listed],
                     "TFTP server $net_default_server: not loaded from folder $prefix:")
    texts = {"grub.cfg": menu, "caisson.ipxe": ipxe_script(listed), "caisson.cfg": caisson_cfg(args, listed)}
    for file, text in texts.items():
        with open(os.path.join(folder, file), "w", encoding="ascii") as f:
            f.write(text)

"""The tools themselves, without a machine: set-up, `make run`'s variables, a checkout whose path has a space."""
import os
import platform
import shutil
import subprocess

from machine import ROOT, TestError


def expect_run(command, status, *texts, **more):
    """The program's status, and what it must have written."""
    r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       check=False, **more)
    for text in texts:
        if (r.returncode != 0) != status or text not in r.stdout:
            raise TestError(f"{' '.join(command)}: got {r.returncode} {r.stdout.strip()[-500:]!r}, expected {text!r}")


def environment(**more):
    """Without what an outer make says."""
    left_out = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CAISSON_BUILD", "FUZZ_SECONDS", "IMAGE", "UEFI", "ENGINE", "ACCEL", "CPUS")
    return {**{key: value for key, value in os.environ.items() if key not in left_out}, **more}


def stand_in(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(os.path.join(folder, name), 0o755)


# ---- tools/setup ----

# A Debian where all is installed, QEMU as $QEMU says, and apt speaks German unless it is asked not to.
DEBIAN = {
    "id": "echo 1000\n",
    "sudo": "echo sudo: $*\nexit 1\n",
    "dpkg-query": 'case $3 in *Status*) echo installed ;; *) echo "1:$QEMU" ;; esac\n',
    "apt-cache": '[ "$1" = depends ] || exit 0\n[ "$LC_ALL" = C ] && word=Depends || word="Hängt ab von"\n'
                 'echo "  $word: linux-image-6-cloud-amd64"\n',
    "apt-get": '[ "$1" = download ] || exit 1\nshift 2\nfor name; do echo "$name" > "$name.deb"; done\n',
    "dpkg-deb": 'case $(cat "$2") in\nlinux-image-6-*) file=boot/vmlinuz-6 ;;\nbusybox-static) file=bin/busybox ;;\nesac\n'
                'mkdir -p "$3/${file%/*}"\necho "$file" > "$3/$file"\n',
}


def setup_guest(scene):
    """The guest's kernel and busybox are unpacked, not installed, whatever language apt speaks."""
    tree, env = debian(scene, "10.0.2")
    expect_run(["tools/setup", "--check"], True, "missing: build/guest/vmlinuz build/guest/busybox", cwd=tree, env=env)
    expect_run(["tools/setup"], False, "unpacking linux-image-6-cloud-amd64 and busybox-static", cwd=tree, env=env)
    for name, expected in (("vmlinuz", "boot/vmlinuz-6\n"), ("busybox", "bin/busybox\n")):
        with open(f"{tree}/build/guest/{name}", encoding="utf-8") as f:
            got = f.read()
        if got != expected:
            raise TestError(f"build/guest/{name}: got {got!r}, expected {expected!r}")
    expect_run(["tools/setup", "--check"], False, "", cwd=tree, env=env)


def setup_question(scene):
    """Debian 12 needs its backports for QEMU: who is asked is told so."""
    tree, env = debian(scene, "7.2")
    bookworm = platform.freedesktop_os_release().get("VERSION_CODENAME") == "bookworm"
    expect_run(["tools/setup"], True, "missing: qemu-system-x86", "bookworm-backports" if bookworm else "sudo apt-get",
               cwd=tree, env=env)


def debian(scene, qemu):
    """A folder with tools/setup alone, and an environment in which it finds that Debian."""
    tree = scene.base + ".tree"
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree + "/tools")
    shutil.copy(f"{ROOT}/tools/setup", tree + "/tools")
    for name, text in DEBIAN.items():
        stand_in(tree + "/bin", name, text)
    return tree, environment(PATH=f"{tree}/bin:{os.environ['PATH']}", QEMU=qemu, LC_ALL="de_DE.UTF-8", LANGUAGE="de")


# ---- make run ----

RUN_VARIABLES = [
    (["UEFI=yes"], True, "UEFI=yes: expected one of: 0 1"),
    (["ENGINE=Bochs"], True, "ENGINE=Bochs: expected one of: qemu bochs"),
    (["ACCEL=kwm"], True, "ACCEL=kwm: expected one of: tcg kvm"),
    (["ENGINE=bochs", "UEFI=1"], True, "Bochs starts a BIOS only"),
    (["IMAGE=my disk.img"], True, "a disk image starts under UEFI only: add UEFI=1"),
    (["IMAGE=my disk.img", "UEFI=1"], False, "snapshot=on,file='my disk.img' -device virtio-blk-pci"),
    (["IMAGE=it's my disk,1.iso", "UEFI=0"], False, r"-drive file='it'\''s my disk,,1.iso',format=raw,media=cdrom"),
    (["IMAGE=my disk,1.iso", "ENGINE=bochs"], False, "tools/run-bochs --cpus 2 'my disk,1.iso'"),
]


def run_variables(scene):
    """A value that `make run` does not know is refused; any image's name is taken."""
    cd = scene.base + " cd.img"
    with open(cd, "wb") as f:
        f.seek(0x8001)
        f.write(b"CD001")
    for variables, refused, text in RUN_VARIABLES + [([f"IMAGE={cd}"], False, f"-drive file='{cd}',format=raw,media=cdrom")]:
        expect_run(["make", "-n", "run", "IMAGE=x.iso", *variables], refused, text, cwd=ROOT, env=environment())


# ---- A space in the path ----

SPACE_RUNS = [
    (["tests/run.py", "host/bus"], "1 passed, 0 failed"),
    (["tools/mutants", "bus-access-over-end"], "1 of 1 mutants killed"),
    (["tests/fuzz/run.py", "--replay", "s5"], "fuzz s5 runs"),
    (["tools/check", "gcc"], "check gcc ok"),
]


def space_in_path(scene):
    """Tests, planted faults, fuzzers and checks in a checkout whose path has a space. Of the checks only make's rules."""
    tree, dry = scene.base + " tree", scene.base + ".bin"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "build", "__pycache__"))
    stand_in(dry, "make", f'exec {shutil.which("make")} -n "$@"\n')
    for command, text in SPACE_RUNS:
        env = environment(PATH=f"{dry}:{os.environ['PATH']}") if command[0] == "tools/check" else environment()
        expect_run(command, False, text, cwd=tree, env=env)
    shutil.rmtree(tree)

"""Where an image boots from, and where its log is shown."""
import os
import re
import shutil
import struct
import subprocess
import zlib

from boot.scenes import CI_ARGS, PROMPT, command, definition, free_memory, linux_shell, tiny
from machine import ROOT, Machine, TestError, caisson_options, mkimage


def font():
    """-> {glyph's 16 rows of bits: character}, from the table that the build makes."""
    table = subprocess.run(["python3", f"{ROOT}/tools/font.py", f"{ROOT}/drivers/platform/font.txt"],
                           capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"\[(\d+)\] = \{(.*)\}", table)
    return {tuple(int(v, 16) for v in values.split(", ")): chr(int(number) + ord(" ")) for number, values in rows}


def framebuffer_text(m, path):
    """What the framebuffer shows, read dot by dot with the font. Other colours than black and white end the test."""
    m.monitor(f'screendump "{path}"')
    with open(path, "rb") as f:
        magic, size, _, dots = f.read().split(b"\n", 3)
    os.remove(path)
    width, height = (int(n) for n in size.split())
    if magic != b"P6" or len(dots) != width * height * 3 or set(dots) - {0, 255}:
        raise TestError(f"the screen of {width} x {height} has other colours than black and white")
    glyphs = font()
    lines = []
    for top in range(0, height - 15, 16):
        line = ""
        for left in range(0, width - 7, 8):
            cell = tuple(sum((dots[((top + y) * width + left + x) * 3] & 1) << 7 - x for x in range(8)) for y in range(16))
            line += glyphs.get(cell, "\0")
        lines.append(line.rstrip())
    return "\n".join(lines)


def log_lines(text):
    return [line for line in text.split("\n") if re.match(r"\[ *\d+\.\d{6}\] cpu\d", line)]


def same_log(m, shown, columns):
    """Every line of the log that came on the serial line stands on the screen, in the same order."""
    expected = [part for line in log_lines(m.output())
                for part in (line[i:i + columns].rstrip() for i in range(0, len(line), columns))]
    got = [line for line in shown.split("\n") if line]
    if not expected or got != expected:
        raise TestError(f"the screen shows {got!r}, expected {expected!r}")


def screen_text(scene):
    """Under BIOS the log stands on the VGA text screen too."""
    with scene.start("", ()) as m:
        m.expect(PROMPT, 110)
        m.until(lambda: same_log(m, m.screen(), 80))


def screen_framebuffer(scene):
    """Under UEFI the log stands on the framebuffer, in our font, and nothing else does; its display stays a bus master."""
    with scene.start("", ()) as m:
        m.expect(PROMPT, 110)
        m.until(lambda: same_log(m, framebuffer_text(m, scene.base + ".ppm"), 160))
        masters = {name: bus_master(m, device, function) for name, device, function in (("VGA", 1, 0), ("SATA", 31, 2))}
        if masters != {"VGA": True, "SATA": False}:
            raise TestError(f"bus masters: {masters}, expected the screen's display only")


def bus_master(m, device, function):
    """The bit of the command register, read where OVMF puts PCI's configuration space on q35."""
    words = m.monitor(f"xp /1xw {0xb0000000 + (device << 15) + (function << 12) + 4}").split()
    return bool(int(words[-1], 16) & 4)


def on_screen(m, text):
    shown = "".join(line.ljust(80) for line in m.screen().split("\n"))
    if text not in shown:
        raise TestError(f"the screen does not show {text!r}, but {shown.split()!r}")


def wait_on_screen(m, text, seconds=60):
    """The VGA text screen shows the text, whatever the serial line says."""
    m.until(lambda: on_screen(m, text), seconds)


def wait_shown(scene, m, text, seconds=60):
    """The same, on the framebuffer where the machine's firmware is UEFI."""
    def on_framebuffer():
        shown = framebuffer_text(m, scene.base + ".ppm")
        framebuffer_shows("".join(line.ljust(160) for line in shown.split("\n")), (text,))

    if "OVMF" in " ".join(scene.machine):
        m.until(on_framebuffer, seconds)
    else:
        wait_on_screen(m, text, seconds)


def screen_no_serial(scene):
    """A machine without a serial port shows its log all the same."""
    with scene.start("", ()) as m:
        wait_shown(scene, m, "smp: 2 of 2 CPUs are up", 110)


def screen_only(scene):
    """console=vga: nothing of Caisson's on the serial line."""
    with scene.start("console=vga", ()) as m:
        wait_on_screen(m, "smp: 2 of 2 CPUs are up", 110)
        m.read(2)
        if "cpu0" in m.output():
            raise TestError("console=vga, and the log is on the serial line")


def serial_only(scene):
    """console=com1: the screen stays as the boot loader left it."""
    with scene.start("console=com1", ()) as m:
        m.expect(PROMPT, 110)
        command(m, "hostinfo", r"CPU\(s\)")
        if "cpu0" in m.screen():
            raise TestError("console=com1, and the log is on the screen")


PANIC = ('the module "init" is refused: not a ring-3 image', "cpu1 stopped at", "halted")


def framebuffer_shows(shown, lines):
    for line in lines:
        if line not in shown:
            raise TestError(f"the screen does not show {line!r} but {shown!r}")


def screen_panic(scene):
    """A panic is shown on the framebuffer, behind the log."""
    image = mkimage(scene.base + ".iso", "noreboot", init=os.path.join(ROOT, "README.md"), kernel=scene.kernel)
    with Machine(caisson_options(image, scene.machine), scene.log, scene.limit) as m:
        m.expect(r"^(panic: )?halted$", 110)
        m.until(lambda: framebuffer_shows(framebuffer_text(m, scene.base + ".ppm"), PANIC))


# ---- Without GRUB ----

def direct(scene):
    """Our own UEFI application starts the image, tells the kernel of the screen and of nearly all 512 MiB of memory."""
    scene.parts["efi"] = "direct"
    many = [(f"vm{i}.vm", definition(f"vm{i}", "idle", memory="2M", autostart="no")) for i in range(100)]
    with scene.start("", tiny("idle"), many) as m:
        m.expect(r"started by BOOTX64.EFI", 110)
        m.expect(PROMPT, 110)
        m.until(lambda: same_log(m, framebuffer_text(m, scene.base + ".ppm"), 160))
        free = free_memory(m)
        if not 400 << 10 <= free <= 512 << 10:
            raise TestError(f"{free} KiB are free, expected 400 to 512 MiB")
        command(m, "list --all", r"vm99 +shut off")
        m.send("poweroff\r")
        if m.wait_end(60) != 0:
            raise TestError("QEMU's status is not 0 after power-off")


def direct_linux_shell(scene):
    scene.parts["efi"] = "direct"
    linux_shell(scene)


CONFIG = "::EFI/BOOT/caisson.cfg"
BAD_VOLUMES = [
    (["mdel", CONFIG], "caisson.cfg: not found: it must stand in the folder of BOOTX64.EFI"),
    (["mcopy", "-o", "{base}.bad.cfg", CONFIG], "caisson.cfg:2: kernle: unknown key: expected kernel, args or module"),
    (["mdel", "::boot/caisson.elf"], "caisson.cfg:1: kernel = /boot/caisson.elf: not found"),
    (["mcopy", "-o", f"{ROOT}/README.md", "::boot/caisson.elf"],
     "caisson.cfg:1: kernel = /boot/caisson.elf: the file is not an ELF file for x86-64"),
    (["mdel", "::boot/programs.cpio"], "caisson.cfg:4: module programs: /boot/programs.cpio: not found"),
]


def direct_errors(scene):
    """Each missing or wrong file is named, on the serial line and on the screen; the firmware then goes on."""
    scene.parts["efi"] = "direct"
    good = scene.image(CI_ARGS + " noreboot", ())
    with open(scene.base + ".bad.cfg", "w", encoding="ascii") as f:
        f.write("# a comment\nkernle = /boot/caisson.elf\n")
    drives = []
    for number, (change, _) in enumerate(BAD_VOLUMES):
        path = f"{scene.base}.{number}.img"
        shutil.copyfile(good, path)
        words = [word.replace("{base}", scene.base) for word in change]
        subprocess.run([words[0], "-i", f"{path}@@1M"] + words[1:], check=True)
        drives += drive(number, path)
    with Machine(caisson_options(good, scene.machine + drives + drive(len(BAD_VOLUMES), "{image}")), scene.log,
                 scene.limit) as m:
        for _, text in BAD_VOLUMES:
            m.expect("^Caisson: " + re.escape(text) + "$", 120)
            m.expect("a key leads back to the firmware", 60)
            m.until(lambda shown="Caisson: " + text: firmware_shows(m, scene.base + ".ppm", shown))
            m.send("x")
        m.expect(r"started by BOOTX64.EFI", 120)
    for number in range(len(BAD_VOLUMES)):
        os.remove(f"{scene.base}.{number}.img")


def drive(number, path):
    return ["-drive", f"if=none,id=disk{number},format=raw,snapshot=on,file={path}",
            "-device", f"ide-hd,drive=disk{number},bus=ide.{number},bootindex={number + 1}"]


def firmware_shows(m, path, text):
    """OVMF's own font (8 x 19 dots) is not ours: the text is a row of cells that are alike where its letters are."""
    m.monitor(f'screendump "{path}"')
    with open(path, "rb") as f:
        _, size, _, dots = f.read().split(b"\n", 3)
    os.remove(path)
    width, height = (int(n) for n in size.split())
    for top in range(height - 18):      # the text area is centred
        lines = [dots[(top + y) * width * 3:(top + y + 1) * width * 3] for y in range(19)]
        for margin in (0, 12) if any(lines[9]) else ():
            cells = [b"".join(line[at:at + 24] for line in lines) for at in range(margin, width * 3 - 23, 24)]
            if any(alike(cells[i:i + len(text)], text) for i in range(len(cells) - len(text) + 1)):
                return
    raise TestError(f"the firmware's screen does not show {text!r}")


def alike(cells, text):
    return len(set(cells)) == len(set(text)) == len(set(zip(cells, text)))


def sector(image, number, count=1):
    image.seek(number * 512)
    return image.read(count * 512)


def gpt_copy(image, at, other, table):
    """One copy of the partition table, every field of its header checked; -> the table."""
    head = sector(image, at)
    entries = sector(image, table, 32)
    got = (head[:8], head[16:20], struct.unpack("<QQ", head[24:40]), struct.unpack("<QIII", head[72:92]))
    crc = zlib.crc32(head[:16] + b"\0\0\0\0" + head[20:92])
    expected = (b"EFI PART", struct.pack("<I", crc), (at, other), (table, 128, 128, zlib.crc32(entries)))
    if got != expected:
        raise TestError(f"the partition table at sector {at}: got {got}, expected {expected}")
    return entries


def esp_image(scene):
    """--efi=direct makes a valid GPT with an EFI system partition, whose FAT has the size of the partition."""
    scene.parts["efi"] = "direct"
    for mebibytes in (1, 40):   # one sector a cluster, and two
        with open(scene.base + ".module", "wb") as f:
            f.truncate(mebibytes << 20)
        path = scene.image("", [("zeros", scene.base + ".module")])
        last = os.path.getsize(path) // 512 - 1
        with open(path, "rb") as image:
            if sector(image, 0)[446:462] != bytes.fromhex("00000200eeffffff01000000") + struct.pack("<I", last):
                raise TestError(f"the protective MBR is {sector(image, 0)[446:462].hex()}")
            entries = gpt_copy(image, 1, last, 2)
            if gpt_copy(image, last, 1, last - 32) != entries:
                raise TestError("the two partition tables differ")
            first, end = struct.unpack("<QQ", entries[32:48])
            if entries[:16].hex() != "28732ac11ff8d211ba4b00a0c93ec93b" or any(entries[128:]) or end > last - 33:
                raise TestError(f"the partition is {entries[:128].hex()}, of {last + 1} sectors")
            fat = sector(image, first)
        small, hidden, large = struct.unpack("<H", fat[19:21])[0], *struct.unpack("<II", fat[28:36])
        if (small or large, hidden) != (end - first + 1, first) or not 4085 <= (small or large) // fat[13] <= 65524:
            raise TestError(f"FAT16 of {small or large} sectors of {fat[13]} in a partition of {end - first + 1}")
        os.remove(scene.base + ".module")

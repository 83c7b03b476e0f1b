"""A Bochs with Caisson in it: the machine with an Intel CPU."""
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import termios
import tty

from machine import Machine, TestError

BOCHS = os.environ.get("BOCHS", "bochs")
DEBUGGER_PROMPT = re.compile(rb"<bochs:\d+> ?$")
LOG_TAIL = 1 << 16      # of Bochs' own log: bytes in which the reason of its end is looked for
KERNEL_HALF = 1 << 47   # the lowest address that is Caisson's kernel's
LINUX_WORDS = "clearcpuid=xsavec"   # for Linux' command line: Bochs stores AVX registers at the wrong place (docs/testing.md)
SCREEN_MOVE = re.compile(r"(\x1b[\[(][0-9;?]*[A-Za-z]|\x1b[=>]|[\x0e\x0f\r\n])+")

# Bochs 2.7 with a PC's usual devices. Its screen is text in a pseudo-terminal (display library "term"), so that no
# run needs a network port; unknown MSRs fault, as on hardware.
BOCHS_RC = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1
config_interface: textconfig
display_library: term
sound: driver=dummy
romimage: file="/usr/share/bochs/BIOS-bochs-latest"
vgaromimage: file="/usr/share/bochs/VGABIOS-lgpl-latest"
pci: enabled=1, chipset=i440fx
clock: sync=none, time0=utc
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{image}", status=inserted
com1: enabled=1, mode=term, dev="{com1}"
log: "{log}"
panic: action=fatal
error: action=report
info: action=ignore, {cpus}
debug: action=ignore
{machine}
"""


class Bochs(Machine):
    """
    Starts Bochs with an image as CD. machine: lines of its configuration for CPU and memory. Beside the log of COM1
    stand NAME.bochs/bochs.log, what Bochs itself says, and screen, what was drawn on the VGA text screen.
    """

    who = "Bochs"
    # On VT-x an interrupt may have to wait for 2 ms (docs/testing.md), while the UART's FIFO takes what comes in 1.4 ms,
    # and a busy host lets much less time pass there than here.
    typing_pause = 0.1

    def __init__(self, image, machine, log, limit):
        self.image = os.path.abspath(image)
        self.folder = log.removesuffix(".log") + ".bochs"
        self.control = self.control_end = self.screen_fd = None
        self.screen_ended = False
        self.stopped = False   # Bochs went to its debugger's prompt, as it does at a triple fault: it never goes on
        self.printed = b""     # what Bochs printed: where its screen is, and why it ended
        super().__init__(machine, log, limit)

    def start(self, options):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.source, self.com1 = pty.openpty()
        self.sink = self.source
        self.control, self.control_end = pty.openpty()
        fcntl.ioctl(self.control_end, termios.TIOCSWINSZ, struct.pack("4H", 50, 132, 0, 0))
        cpus = 1 if "count=1" in options[0] else 2  # a line on a CPU that there is not ends it
        rc = BOCHS_RC.format(image=self.image, com1=os.ttyname(self.com1), log="bochs.log",
                             machine="\n".join(options), cpus=", ".join(f"cpu{n}=report" for n in range(cpus)))
        for name, text in (("rc", rc), ("commands", "continue\n")):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        # Debian's Bochs has its debugger built in: "commands" lets it go on.
        return self.launch([BOCHS, "-q", "-f", "rc", "-rc", "commands"], cwd=self.folder, stdin=self.control_end,
                           stdout=self.control_end, stderr=self.control_end, env=dict(os.environ, TERM="vt100"))

    def __exit__(self, *args):
        super().__exit__(*args)
        for fd in (self.source, self.com1, self.control, self.control_end, self.screen_fd):
            if fd is not None:
                os.close(fd)

    def read(self, seconds):
        ended = self.process.poll() is not None     # asked first: what was written before it is still there
        sources = [fd for fd in (self.source, self.control, self.screen_fd) if fd is not None]
        ready, _, _ = select.select(sources, [], [], 0 if ended else max(0, seconds))
        if self.control in ready:
            self.listen()
        if self.screen_fd in ready:
            self.keep_screen()
        if self.source in ready:
            return super().read(0)
        return bool(ready) or not ended

    def listen(self):
        """What Bochs prints: its display library makes a terminal for the screen and names it."""
        self.printed += os.read(self.control, 65536)
        if DEBUGGER_PROMPT.search(self.printed) and self.process.poll() is None:
            self.stopped = True
            self.process.kill()
        match = re.search(rb'connected to screen "([^"]+)"', self.printed)
        if match and self.screen_fd is None and not self.screen_ended:
            self.screen_fd = os.open(match[1], os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self.screen_fd)

    def own_log(self):
        """The end of what Bochs itself has logged."""
        path = os.path.join(self.folder, "bochs.log")
        if not os.path.exists(path):
            return ""
        with open(path, "rb") as f:
            f.seek(max(0, os.path.getsize(path) - LOG_TAIL))
            return f.read().decode("utf-8", "replace")

    def said(self):
        """The last line that Bochs' own log has of a panic, else of an error, else what it printed."""
        lines = (self.own_log() or self.printed.decode("utf-8", "replace")).splitlines()
        panics = [line for line in lines if ">>PANIC<<" in line]
        return "\n".join((panics or lines)[-1:])

    def guest_tripled(self):
        """A triple fault of a guest has ended Bochs, by the registers that it logs then."""
        log = self.own_log()
        fault = re.search(r"\[(CPU\d) *\] >>PANIC<< exception\(\): 3rd .*", log)
        rips = fault and re.findall(rf"\[{fault[1]} *\] \| RIP=([0-9a-f]{{16}})", log)
        return bool(rips) and int(rips[-1], 16) < KERNEL_HALF

    def ending(self):
        how = super().ending()
        return how.replace("was killed by SIGKILL", "stopped") if self.stopped else how

    def keep_screen(self):
        try:
            data = os.read(self.screen_fd, 65536)
        except OSError:     # Bochs has ended
            data = b""
        if not data:
            os.close(self.screen_fd)
            self.screen_fd, self.screen_ended = None, True
        with open(os.path.join(self.folder, "screen"), "ab") as f:
            f.write(data)

    def screen(self):
        """All that was drawn on the screen, in order; lines that were drawn over each other are not told apart."""
        path = os.path.join(self.folder, "screen")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as f:
            return SCREEN_MOVE.sub("\n", f.read())

    def expect_power_off(self, seconds=60):
        """Bochs ends by an ACPI power-off, which is a panic of its own kind for it."""
        self.wait_end(seconds)
        while self.control in select.select([self.control], [], [], 0)[0]:
            self.listen()
        if b"soft power off" not in self.printed:
            raise TestError(f"{self.ending()}, expected a power-off: see {self.folder}")

"""A QEMU with Caisson in it, and its serial line to talk to."""
import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("CAISSON_BUILD", os.path.join(ROOT, "build")))
MAKE_B = os.path.relpath(BUILD, ROOT)   # for make, which takes no path with a space
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
EXIT_DEVICE = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
COMMON = ["-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio"] + EXIT_DEVICE
MONITOR_LIMIT = 180     # seconds for an answer: QEMU may have to take its lock from busy CPUs
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>c]")


class TestError(Exception):
    """A test's failure, in one line."""


def mkimage(output, args="", modules=(), definitions=(), **parts):
    """
    Composes an image. modules: (name, path); definitions: (file name, text), written beside the image; parts:
    kernel=, init=, programs= instead of the built ones.
    """
    command = [os.path.join(ROOT, "tools/mkimage"), "-o", output, "--args", args]
    for part, path in parts.items():
        command += ["--" + part, path]
    for name, path in modules:
        command += ["--module", f"{name}={path}"]
    folder = output + ".vms"
    os.makedirs(folder, exist_ok=True)
    for name, text in definitions:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        command += ["--vm", path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise TestError("mkimage: " + result.stderr.strip())
    return output


class Machine:
    """
    Starts QEMU; expect() and send() work on COM1; every byte is kept in the log file, behind them what QEMU wrote to
    its stderr and how it ended.
    """

    who = "QEMU"
    typing_pause = 0.02     # seconds behind every 8 characters: the UARTs have no flow control

    def __init__(self, options, log, limit):
        self.deadline = time.monotonic() + limit
        self.text = ""
        self.seen = 0
        self.private = self.qmp = None
        self.log = open(log, "wb")
        self.errors = tempfile.TemporaryFile()
        self.process = self.start(options)

    def start(self, options):
        """Starts the emulator; sets .source and .sink, the file numbers of the two directions of COM1."""
        self.private = tempfile.mkdtemp(prefix="caisson-")  # a socket's path must be short
        monitor = ["-qmp", f"unix:{self.private}/qmp,server=on,wait=off"]
        process = self.launch([QEMU] + options + monitor, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=self.errors)
        self.source, self.sink = process.stdout.fileno(), process.stdin.fileno()
        return process

    def launch(self, command, **streams):
        self.log.write((" ".join(command) + "\n").encode())
        self.log.flush()
        # It ends with the test, also when somebody kills that.
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + command, **streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        else:
            self.log.write(f"\n{self.ending()}\n".encode())
        self.log.write(self.said().encode())
        self.log.close()
        self.errors.close()
        if self.qmp:
            self.qmp.close()
        if self.private:
            shutil.rmtree(self.private, ignore_errors=True)

    def said(self):
        """What the emulator wrote to stderr."""
        size = os.fstat(self.errors.fileno()).st_size
        # Not by seek(): the emulator writes at the same position.
        return os.pread(self.errors.fileno(), size, 0).decode("utf-8", "replace")

    def ending(self):
        """How the emulator ended by itself, in words: with its reason, or else the last line that it wrote."""
        try:
            status = self.process.wait(120)
        except subprocess.TimeoutExpired:
            return f"{self.who} closed its streams but still runs"
        lines = self.said().splitlines()
        lines += [line for line in lines if re.search(r"fatal: |Assertion", line)]
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"{self.who} {how}" + (f": {lines[-1]}" if lines else "")

    def monitor(self, command):
        """A command for QEMU's monitor, while the machine runs; returns what it prints."""
        if not self.qmp:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(MONITOR_LIMIT)
            while connection.connect_ex(f"{self.private}/qmp"):     # it is only starting
                if not self.read_for(0.1) or time.monotonic() >= self.deadline:
                    raise TestError("QEMU's monitor is not there")
            self.qmp = connection.makefile("rw", encoding="utf-8")
            self.qmp.readline()
            self._qmp("qmp_capabilities")
        return self._qmp("human-monitor-command", {"command-line": command}).replace("\r", "")

    def _qmp(self, name, arguments=None):
        self.qmp.write(json.dumps({"execute": name, "arguments": arguments or {}}) + "\n")
        self.qmp.flush()
        while True:     # events come in between
            answer = json.loads(self.qmp.readline() or '{"error": "QEMU has ended"}')
            if "error" in answer:
                raise TestError(f"monitor: {name} {arguments}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def let_work(self, seconds):
        """Until the emulator has had that much time of the host's CPUs: however busy that is, it got so far."""
        end = self.cpu_time() + seconds
        while self.cpu_time() < end:
            if not self.read_for(0.1) or time.monotonic() >= self.deadline:
                raise TestError(f"{self.who} did not work for {seconds} s")

    def kept_waiting(self):
        """Seconds for which the host's other programs have kept the emulator from running: its thread that waited longest."""
        waited = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            try:
                with open(path, encoding="ascii") as f:
                    waited = max(waited, int(f.read().split()[1]) / 1e9)
            except OSError:     # the thread has ended
                pass
        return waited

    def cpu_time(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def screen(self):
        """The VGA text screen, 25 lines of 80 characters without the blanks at their ends."""
        words = re.findall(r"0x([0-9a-f]{4})\b", self.monitor("xp /2000xh 0xb8000"))
        text = "".join(chr(int(word, 16) & 0xff) for word in words)
        return "\n".join(text[i:i + 80].rstrip(" \0") for i in range(0, len(text), 80))

    def read(self, seconds):
        """Takes what comes within the time. False: end of output."""
        ready, _, _ = select.select([self.source], [], [], max(0, seconds))
        if not ready:
            return True
        data = os.read(self.source, 65536)
        self.log.write(data)
        self.log.flush()
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def read_for(self, seconds):
        """Takes what comes until the time has passed. False: end of output."""
        end = time.monotonic() + seconds
        alive = True
        while alive and time.monotonic() < end:
            alive = self.read(end - time.monotonic())
        return alive

    def output(self):
        return ESCAPE.sub("", self.text).replace("\r", "")

    def expect(self, pattern, seconds=60):
        """Waits for the pattern in what came since the last match; returns the match."""
        end = min(time.monotonic() + seconds, self.deadline)
        expression = re.compile(pattern, re.MULTILINE)
        alive = True
        while True:
            clean = ESCAPE.sub("", self.text[self.seen:]).replace("\r", "")
            match = expression.search(clean)
            now = time.monotonic()
            last = not alive or now >= end
            # Of a number at the end of what has come the next digit may follow.
            if match and (last or match.end() < len(clean) or not clean[-1:].isdigit()):
                # Go on behind the match: count it from the end, where escapes were not yet stripped.
                rest = len(clean) - match.end()
                self.seen = self._raw_position(rest)
                return match
            if not alive:
                raise TestError(f"{self.ending()}, before /{pattern}/ came")
            if now >= end:
                raise TestError(f"no /{pattern}/ within the time; last line: {self.last_line()!r}")
            alive = self.read(min(0.5, end - now))

    def until(self, look, seconds=60):
        """Looks again until look() raises no TestError: what somebody else shows may come later than the serial line."""
        end = min(time.monotonic() + seconds, self.deadline)
        while True:
            try:
                return look()
            except TestError:
                if time.monotonic() >= end:
                    raise
            if not self.read_for(0.5):
                raise TestError(f"{self.ending()}, while it was looked at")

    def _raw_position(self, rest):
        """Index in text behind which exactly `rest` cleaned characters stand."""
        low, high = self.seen, len(self.text)
        while low < high:
            middle = (low + high + 1) // 2
            if len(ESCAPE.sub("", self.text[middle:]).replace("\r", "")) >= rest:
                low = middle
            else:
                high = middle - 1
        return low

    def last_line(self):
        lines = [line for line in self.output().split("\n") if line.strip()]
        return lines[-1][-100:] if lines else ""

    def send(self, text):
        """Types, slowly enough for a UART without flow control."""
        for start in range(0, len(text), 8):
            try:
                os.write(self.sink, text[start:start + 8].encode())
            except BrokenPipeError:
                raise TestError(f"{self.ending()}, before {text!r} was typed") from None
            time.sleep(self.typing_pause)

    def wait_end(self, seconds=60):
        """Waits until the emulator ends by itself; returns its status."""
        end = min(time.monotonic() + seconds, self.deadline)
        while self.read(0.5):
            if time.monotonic() >= end:
                raise TestError(f"{self.who} still runs; last line: {self.last_line()!r}")
        return self.process.wait()

    def expect_power_off(self, seconds=60):
        """The emulator ends by the machine's power-off."""
        got = self.wait_end(seconds)
        if got != 0:
            raise TestError(f"QEMU ended with {got}, expected 0 (power-off)")

    def expect_exit(self, status, seconds=60):
        """QEMU ends, and its status is twice the guest's plus one."""
        got = self.wait_end(seconds)
        if got != status * 2 + 1:
            raise TestError(f"QEMU ended with {got}, expected {status * 2 + 1} (status {status})")


def caisson_options(image, machine):
    """QEMU's options for Caisson in an image on a machine of the table; {image} says where it is, else it is a CD."""
    if not any("{image}" in option for option in machine):
        machine = machine + ["-drive", "file={image},format=raw,media=cdrom,readonly=on", "-boot", "d"]
    machine = [option.replace("{image}", image) for option in machine]
    accel = [] if "-accel" in machine else ["-accel", "tcg,thread=multi"]
    return accel + ["-machine", "q35", "-cpu", "max,+svm"] + machine + COMMON


def pc_options(guest, cpu="max"):
    """QEMU's options for a tiny guest on QEMU's own PC."""
    return ["-accel", "tcg", "-cpu", cpu, "-m", "64M"] + COMMON + ["-kernel", guest]

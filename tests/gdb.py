"""Stops a QEMU at an instruction, reads registers and changes memory, by the protocol that gdb speaks."""
import re
import socket
import subprocess

from machine import TestError

RAX, R14, RIP = 0, 14, 16   # QEMU's order of x86-64 registers
LIMIT = 200                # seconds until a breakpoint is met
LAST_STOP = re.compile(r"[ST]05")


class Gdb:
    """Stops the machine when it begins; it runs on for good at the end."""

    def __init__(self, machine):
        path = f"{machine.private}/gdb"
        machine.monitor(f"gdbserver unix:{path},server=on,wait=off")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.data = b""
        self.ask("?")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.send("D")
        self.socket.close()

    def send(self, packet):
        self.socket.sendall(b"$%s#%02x" % (packet.encode(), sum(packet.encode()) & 0xff))

    def receive(self):
        """The next packet, acknowledged."""
        while True:
            match = re.search(rb"\$([^#]*)#..", self.data)
            if match:
                self.data = self.data[match.end():]
                self.socket.sendall(b"+")
                return match[1].decode()
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                raise TestError(f"the debugger said nothing within {LIMIT} s") from None
            if not more:
                raise TestError("QEMU has closed the debugger's connection")
            self.data += more

    def ask(self, packet):
        self.send(packet)
        answer = self.receive()
        if re.fullmatch(r"E..", answer):
            raise TestError(f"the debugger's {packet}: {answer}")
        return answer

    def run_to(self, address):
        """Runs on to the next time that the CPU is at this linear address."""
        self.ask(f"Z1,{address:x},1")
        try:
            stopped = self.ask("c")
        except TestError as error:
            raise TestError(f"on the way to {address:#x}: {error}") from None
        if not LAST_STOP.match(stopped):
            raise TestError(f"the machine did not stop at {address:#x}")
        self.ask(f"z1,{address:x},1")
        if self.register(RIP) != address:
            raise TestError(f"stopped at {self.register(RIP):#x}, expected {address:#x}")

    def register(self, number):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def write_physical(self, address, value, size):
        self.ask("Qqemu.PhyMemMode:1")
        self.ask(f"M{address:x},{size:x}:{value.to_bytes(size, 'little').hex()}")
        self.ask("Qqemu.PhyMemMode:0")


def symbol(elf, name):
    """Address of a symbol in an ELF file."""
    for line in subprocess.run(["nm", elf], capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if words[-1] == name:
            return int(words[0], 16)
    raise TestError(f"{elf} has no symbol {name}")


def code(elf, start, size):
    """The bytes of an ELF file from a linear address on."""
    listed = subprocess.run(["objdump", "-s", f"--start-address={start:#x}", f"--stop-address={start + size:#x}", elf],
                            capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^ [0-9a-f]+ ((?:[0-9a-f]+ ){1,4}) ", listed, re.MULTILINE)
    return bytes.fromhex("".join(lines).replace(" ", ""))

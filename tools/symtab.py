#!/usr/bin/env python3
"""Prints a C table of the text symbols of a kernel ELF, sorted by address, for backtraces; of none: an empty table."""
import subprocess
import sys


def main(*elf):
    out = subprocess.run(["nm", "-n", "--defined-only", *elf], check=True, capture_output=True, text=True).stdout if elf else ""
    print('#include "kernel/symbols.h"')
    print("const struct symbol symbol_table[] = {")
    for line in out.splitlines():
        address, kind, name = line.split()
        if kind in "tT" and int(address, 16) >= 0xFFFFFFFF80000000 and not name.startswith((".", "..@")):
            print(f'\t{{0x{int(address, 16) - 0xFFFFFFFF80000000:x}, "{name}"}},')
    print("};")
    print("const u32 symbol_count = sizeof(symbol_table) / sizeof(symbol_table[0]);")


main(*sys.argv[1:])

#!/usr/bin/env python3
"""Makes the C table of the screen's font from its drawing (drivers/platform/font.txt): 16 bytes a character."""
import sys

FIRST, COUNT, WIDTH, ABOVE, BELOW, BLOCK = 32, 95, 5, 7, 2, 16


def glyphs(path):
    """-> per character its rows of dots, as drawn."""
    with open(path, encoding="ascii") as f:
        lines = [line.split() for line in f if not line.startswith(";")]
    result = []
    for start in range(0, len(lines), ABOVE + BELOW):
        block = lines[start:start + ABOVE + BELOW]
        count = min(BLOCK, COUNT - len(result))
        if len(block) != ABOVE + BELOW or any(len(row) != count for row in block):
            sys.exit(f"{path}: block {start // (ABOVE + BELOW) + 1}: expected {ABOVE + BELOW} rows of {count} characters")
        result += zip(*block)
    if len(result) != COUNT:
        sys.exit(f"{path}: {len(result)} characters, expected {COUNT}")
    return result


def pixels(rows):
    """One column stays free at the left, two at the right."""
    values = []
    for row in rows:
        if len(row) != WIDTH or set(row) - set(".#"):
            sys.exit(f"font: a row of dots is {row!r}, expected {WIDTH} of . and #")
        values.append(int(row.replace(".", "0").replace("#", "1"), 2) << 8 - WIDTH - 1)
    return [v for v in values[:ABOVE] for _ in range(2)] + values[ABOVE:]


def main():
    print('#include "drivers/platform/screen.h"\n\nconst u8 screen_font[SCREEN_GLYPHS][SCREEN_FONT_HEIGHT] = {')
    for number, rows in enumerate(glyphs(sys.argv[1])):
        print(f"\t[{number}] = {{" + ", ".join(f"{v:#04x}" for v in pixels(rows)) + "},")
    print("};")


main()

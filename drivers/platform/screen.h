/*
 * The log's screen: a linear framebuffer or VGA text, as the boot loader left it. Text goes from
 * top to bottom and then begins at the top again; an empty line follows the newest one. It never
 * scrolls: reading or redrawing a framebuffer takes far longer than interrupts may be off. The
 * caller keeps writers apart.
 */
#pragma once

#include "hv/bootinfo.h"

#define SCREEN_FONT_WIDTH 8
#define SCREEN_FONT_HEIGHT 16
#define SCREEN_GLYPHS 95 /* from the space on */

extern const u8 screen_font[SCREEN_GLYPHS][SCREEN_FONT_HEIGHT]; /* made from font.txt */

/*
 * Clears the screen; without one, nothing is written. Memory: s->base as mapped at mem, see
 * SCREEN_BASE.
 */
void screen_init(const struct boot_screen *s, void *mem);
/* A line feed ends a line; other control characters are skipped. */
void screen_write(const char *s, u32 n);

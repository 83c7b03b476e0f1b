#include "drivers/platform/screen.h"

#define TEXT_GREY 0x0700u /* attribute byte above the character: light grey on black */

static struct {
	u8 *mem; /* NULL: no screen */
	u32 pitch;
	u32 rows, cols, row, col; /* in characters; col == cols: the next one begins a line */
	bool text;
} screen;

static void put(u32 row, u32 col, char c)
{
	u32 glyph = (u32)(c - ' ') < SCREEN_GLYPHS ? (u32)(c - ' ') : '?' - ' ';

	if (screen.text) {
		((u16 *)(screen.mem + row * screen.pitch))[col] = (u16)(TEXT_GREY | (glyph + ' '));
		return;
	}
	for (u32 y = 0; y < SCREEN_FONT_HEIGHT; y++) {
		u8 *line = screen.mem + (u64)(row * SCREEN_FONT_HEIGHT + y) * screen.pitch;
		u32 *pixel = (u32 *)line + col * SCREEN_FONT_WIDTH;

		for (u32 x = 0; x < SCREEN_FONT_WIDTH; x++)
			pixel[x] = screen_font[glyph][y] << x & 0x80 ? ~0u : 0;
	}
}

static void clear(u32 row)
{
	for (u32 col = 0; col < screen.cols; col++)
		put(row, col, ' ');
}

/* The line after the new one is emptied, so the new one already is. */
static void next_line(void)
{
	screen.col = 0;
	screen.row = (screen.row + 1) % screen.rows;
	clear((screen.row + 1) % screen.rows);
}

void screen_init(const struct boot_screen *s, void *mem)
{
	if (!s->bytes)
		return;
	screen.row = screen.col = 0;
	screen.mem = mem;
	screen.pitch = s->pitch;
	screen.text = s->text;
	screen.cols = s->text ? s->width : s->width / SCREEN_FONT_WIDTH;
	screen.rows = s->text ? s->height : s->height / SCREEN_FONT_HEIGHT;
	for (u32 row = 0; row < screen.rows; row++)
		clear(row);
}

void screen_write(const char *s, u32 n)
{
	if (!screen.mem)
		return;
	for (; n--; s++) {
		if (*s == '\n' || (screen.col >= screen.cols && (u8)*s >= ' '))
			next_line();
		if ((u8)*s >= ' ')
			put(screen.row, screen.col++, *s);
	}
}

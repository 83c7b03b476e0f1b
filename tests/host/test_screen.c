// SOURCES: drivers/platform/screen.c
/* The log's screen: where each character goes in a framebuffer and in VGA text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/platform/screen.h"

/* Glyph n has n in its first row and 0x80 in its last. */
#define GLYPH(n) [n] = {n, [15] = 0x80}
const u8 screen_font[SCREEN_GLYPHS][SCREEN_FONT_HEIGHT] = {
	GLYPH('?' - ' '),
	GLYPH('A' - ' '),
	GLYPH('B' - ' '),
	GLYPH('~' - ' '),
};

#define COLS 5
#define ROWS 3

static u16 *text;

static void text_screen(void)
{
	free(text);
	text = malloc(COLS * ROWS * 2); /* ASan watches its ends */
	memset(text, 0xee, COLS * ROWS * 2);
	screen_init(&(struct boot_screen){.base = hpa(0xb8000),
					  .bytes = COLS * ROWS * 2,
					  .pitch = COLS * 2,
					  .width = COLS,
					  .height = ROWS,
					  .text = true},
		    text);
}

static void shows(const char *expected)
{
	char got[COLS * ROWS + 1] = {0};

	for (u32 i = 0; i < COLS * ROWS; i++) {
		assert_int_equal(text[i] >> 8, 7);
		got[i] = (char)text[i];
	}
	assert_string_equal(got, expected);
}

static void say(const char *s) { screen_write(s, (u32)strlen(s)); }

static void nothing_is_written_without_a_screen(void **state)
{
	screen_init(&(struct boot_screen){0}, NULL);
	say("anything\n");
}

static void the_screen_is_cleared_first(void **state)
{
	text_screen();
	shows("               ");
}

static void text_goes_from_top_to_bottom_and_wraps(void **state)
{
	text_screen();
	say("ab\ncdefgh");
	shows("     cdefgh    ");
}

static void a_full_line_and_its_end_are_one_line(void **state)
{
	text_screen();
	say("abcde\nfg");
	shows("abcdefg        ");
}

static void after_the_last_line_comes_the_first_and_an_empty_one_follows(void **state)
{
	text_screen();
	say("1\n2\n3");
	shows("     2    3    ");
	say("\n4");
	shows("4         3    ");
	say("\n5\n6");
	shows("     5    6    ");
}

static void other_characters_are_skipped_or_shown_as_question_marks(void **state)
{
	text_screen();
	say("a\r\tb\x7f\xe4~");
	shows("ab??~          ");
}

#define PITCH 40 /* bytes: two characters and a margin */
#define LINES 53 /* three characters and a rest */

static u32 pixel(const u8 *mem, u32 x, u32 y)
{
	return *(const u32 *)(mem + y * PITCH * 2 + x * 4);
}

static void a_framebuffer_shows_the_glyphs_dots(void **state)
{
	u8 *mem = malloc(PITCH * 2 * LINES);

	memset(mem, 0xee, PITCH * 2 * LINES);
	screen_init(&(struct boot_screen){.base = hpa(0xfd000000),
					  .bytes = PITCH * 2 * LINES,
					  .pitch = PITCH * 2,
					  .width = 18,
					  .height = LINES},
		    mem);
	say("AB\nB");
	for (u32 y = 0; y < LINES; y++)
		for (u32 x = 0; x < PITCH / 2; x++) {
			static const char *const shown[3] = {"AB", "B ", "  "};
			u32 expected = 0xeeeeeeee, dots;

			if (x < 16 && y < 48) {
				dots = screen_font[shown[y / 16][x / 8] - ' '][y % 16];
				expected = dots << x % 8 & 0x80 ? 0xffffffff : 0;
			}
			if (pixel(mem, x, y) != expected)
				fail_msg("pixel %u,%u is %#x, expected %#x", x, y, pixel(mem, x, y),
					 expected);
		}
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_written_without_a_screen),
		cmocka_unit_test(the_screen_is_cleared_first),
		cmocka_unit_test(text_goes_from_top_to_bottom_and_wraps),
		cmocka_unit_test(a_full_line_and_its_end_are_one_line),
		cmocka_unit_test(after_the_last_line_comes_the_first_and_an_empty_one_follows),
		cmocka_unit_test(other_characters_are_skipped_or_shown_as_question_marks),
		cmocka_unit_test(a_framebuffer_shows_the_glyphs_dots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

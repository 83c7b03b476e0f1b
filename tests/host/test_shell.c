// SOURCES: services/manager/editor.c services/manager/command.c lib/fmt.c lib/str_copy.c
/*
 * The line editor, by what a terminal shows after a sequence of keys, and the splitting and
 * completion of command lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/manager/command.h"
#include "services/manager/editor.h"

/* ---- A terminal of one line: enough of VT100 for what the editor draws ---- */

static struct {
	char row[200];
	u32 column;
	u32 state, param;
	u32 bells, clears, newlines;
} term;

static void term_reset(void)
{
	memset(&term, 0, sizeof(term));
	memset(term.row, ' ', sizeof(term.row));
}

static void term_csi(char c)
{
	if (c == 'K')
		memset(term.row + term.column, ' ', sizeof(term.row) - term.column);
	else if (c == 'C')
		term.column += term.param;
	else if (c == 'J')
		memset(term.row, ' ', sizeof(term.row)), term.clears++;
	else if (c == 'H')
		term.column = 0;
	else
		fail_msg("unknown sequence %c", c);
}

static void term_put(char c)
{
	if (term.state == 1) {
		assert_int_equal(c, '[');
		term.state = 2;
		term.param = 0;
	} else if (term.state == 2 && c >= '0' && c <= '9') {
		term.param = term.param * 10 + (u32)(c - '0');
	} else if (term.state == 2) {
		term.state = 0;
		term_csi(c);
	} else if (c == 0x1b) {
		term.state = 1;
	} else if (c == '\r') {
		term.column = 0;
	} else if (c == '\n') {
		memset(term.row, ' ', sizeof(term.row));
		term.newlines++;
	} else if (c == '\b') {
		assert_true(term.column > 0);
		term.column--;
	} else if (c == '\a') {
		term.bells++;
	} else {
		assert_true(c >= ' ' && c < 0x7f);
		assert_true(term.column < EDITOR_COLUMNS);
		term.row[term.column++] = c;
	}
}

static void out(struct editor *e, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		term_put(text[i]);
}

/* ---- The editor ---- */

static struct editor editor;
static u32 lines_done;
static char last_line[EDITOR_LINE];

static void complete(struct editor *e) { editor_insert(e, "web ", 4); }

static void start(void)
{
	term_reset();
	editor = (struct editor){.prompt = "hv> ", .out = out, .complete = complete};
	lines_done = 0;
	editor_start(&editor);
}

static void type(const char *keys)
{
	for (; *keys; keys++)
		if (editor_key(&editor, (u8)*keys) == EDITOR_DONE) {
			strcpy(last_line, editor.line);
			lines_done++;
			editor_start(&editor);
		}
}

/* The screen must always show what the line holds, with the cursor at its place. */
static void expect(const char *line, u32 cursor)
{
	char want[sizeof(term.row) + 1];

	assert_string_equal(editor.line, line);
	assert_int_equal(editor.cursor, cursor);
	snprintf(want, sizeof(want), "hv> %-.*s", (int)(EDITOR_COLUMNS - 5), line + editor.view);
	for (size_t i = strlen(want); i < sizeof(term.row); i++)
		want[i] = ' ';
	if (memcmp(term.row, want, sizeof(term.row)))
		fail_msg("expected \"%.80s\", got \"%.80s\"", want, term.row);
	assert_int_equal(term.column, 4 + cursor - editor.view);
}

#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"
#define DEL "\x1b[3~"

static void editing_keys(void **state)
{
	static const struct {
		const char *keys, *line;
		u32 cursor;
	} cases[] = {
		{"", "", 0},
		{"list", "list", 4},
		{"lisx\x7ft", "list", 4},
		{"lisx\bt", "list", 4},
		{"ist" LEFT LEFT LEFT "l", "list", 1},
		{"ist\x01l\x05!", "list!", 5},
		{"ist\x1b[Hl\x1b[F!", "list!", 5},
		{"ist\x1b[1~l\x1b[4~!", "list!", 5},
		{"ist\x1bOHl\x1bOF!", "list!", 5},
		{"abc" LEFT LEFT DEL, "ac", 1},
		{"abc" LEFT LEFT RIGHT "x", "abxc", 3},
		{"abc" LEFT "\x7f", "ac", 1},
		{"\x7f" LEFT RIGHT DEL "a", "a", 1},
		{"start web\x17", "start ", 6},
		{"start web  \x17", "start ", 6},
		{"start web" LEFT LEFT "\x17", "start eb", 6},
		{"start web\x15list", "list", 4},
		{"start web" LEFT LEFT LEFT "\x15", "web", 0},
		{"start web" LEFT LEFT LEFT "\x0b", "start ", 6},
		{"start web\x03li", "li", 2},
		{"li\x0cst", "list", 4},
		{"start \t", "start web ", 10},
		{"a\x1b[99;5Zb", "ab", 2}, /* unknown sequences vanish */
					   /* clang-format off */
		{"a\x1b\x1bx" "b", "axb", 3}, /* ESC and one byte vanish */
		{"a\x80\xff" "b", "ab", 2},
		{"a\x02" "b\x06" "c", "bac", 3},
					   /* clang-format on */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start();
		type(cases[i].keys);
		expect(cases[i].line, cases[i].cursor);
	}
}

static void enter_ends_a_line(void **state)
{
	start();
	type("list\r\nstart web\rx\n");
	assert_int_equal(lines_done, 3);
	assert_string_equal(last_line, "x");
	expect("", 0);
	type("one" LEFT LEFT "\r");
	assert_string_equal(last_line, "one");
}

static void history(void **state)
{
	start();
	type("one\rtwo\rtwo\r\rthree\rty");
	type(UP);
	expect("three", 5);
	type(UP);
	expect("two", 3);
	type(UP);
	expect("one", 3);
	type(UP);
	expect("one", 3);
	type(DOWN DOWN DOWN);
	expect("ty", 2);
	type(DOWN);
	expect("ty", 2);
	type("\x10\x10!\r");
	assert_string_equal(last_line, "two!");
	type(UP);
	expect("two!", 4);
}

static void history_is_bounded(void **state)
{
	char text[16];

	start();
	for (u32 i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "n%u\r", i);
		type(text);
	}
	for (u32 i = 0; i < 200; i++)
		type(UP);
	expect("n68", 3);
	for (u32 i = 0; i < 200; i++)
		type(DOWN);
	expect("", 0);
}

static void long_lines_scroll(void **state)
{
	char line[EDITOR_LINE];

	start();
	for (u32 i = 0; i < 300; i++) {
		line[i % EDITOR_LINE] = (char)('a' + i % 26);
		type((char[]){(char)('a' + i % 26), 0});
		assert_true(term.column < EDITOR_COLUMNS);
	}
	assert_int_equal(editor.len, EDITOR_LINE - 1);
	line[EDITOR_LINE - 1] = 0;
	for (u32 i = 0; i < EDITOR_LINE - 1; i++)
		line[i] = (char)('a' + i % 26);
	expect(line, EDITOR_LINE - 1);
	type("\x01");
	expect(line, 0);
	for (u32 i = 0; i < 100; i++)
		type(RIGHT);
	expect(line, 100);
	type("\x0b");
	line[100] = 0;
	expect(line, 100);
	for (u32 i = 0; i < 30; i++)
		type("\x7f");
	line[70] = 0;
	expect(line, 70);
}

/* Keys at random: the screen always shows the line. */
static void random_keys(void **state)
{
	static const char *const keys[] = {
		"a",	"b",	" ",	";",	   LEFT,    RIGHT,  UP,	    DOWN,
		DEL,	"\x7f", "\x01", "\x05",	   "\x0b",  "\x15", "\x17", "\r",
		"\x03", "\x0c", "\t",	"\x1b[5~", "\x1bO", "\x1b",
	};
	u64 seed = 7;

	start();
	for (u32 i = 0; i < 200000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		u32 pick = (u32)(seed >> 40) % (ARRAY_SIZE(keys) * 3);
		type(pick < ARRAY_SIZE(keys) ? keys[pick] : "xyz");
		if (i % 16 == 0) {
			char line[EDITOR_LINE];
			strcpy(line, editor.line);
			expect(line, editor.cursor);
		}
	}
}

/* ---- Command lines ---- */

static void splitting(void **state)
{
	static const struct {
		const char *line;
		const char *words;
	} cases[] = {
		{"", ""},
		{"list", "list|"},
		{"  list   --all ", "list,--all|"},
		{"start a;start b", "start,a|start,b|"},
		{"start a ; ; list", "start,a||list|"},
		{"list # all of them; start a", "list|"},
		{"# nothing", "|"},
		{"console a#b", "console,a#b|"},
		{"a b c d e f g h", "a,b,c,d,e,f,g,h|"},
		{"a b c d e f g h i; list", "a,b,c,d,e,f,g,h!|list|"},
		{"a b c d e f g h i # j; list", "a,b,c,d,e,f,g,h!|"},
		{"a b c d e f g h i #j; list", "a,b,c,d,e,f,g,h!|"},
		{"a b c d e f g h i#j; list", "a,b,c,d,e,f,g,h!|list|"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *rest = cases[i].line;
		struct command_line cl;
		char got[256] = "";
		bool too_many;

		while (command_next(&rest, &cl, &too_many)) {
			for (u32 w = 0; w < cl.words; w++)
				sprintf(got + strlen(got), "%s%s", w ? "," : "", cl.word[w]);
			strcat(got, too_many ? "!|" : "|");
		}
		assert_string_equal(got, cases[i].words);
	}
}

static void long_words_are_refused(void **state)
{
	char line[600];
	const char *rest = line;
	struct command_line cl;
	bool too_many;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	assert_true(command_next(&rest, &cl, &too_many));
	assert_true(too_many);
	assert_false(command_next(&rest, &cl, &too_many));
}

static void every_command_is_complete(void **state)
{
	for (u32 i = 0; i < COMMANDS; i++) {
		assert_non_null(commands[i].name);
		assert_non_null(commands[i].args);
		assert_non_null(commands[i].brief);
		assert_true(commands[i].group < GROUPS && commands[i].min <= commands[i].max);
		assert_ptr_equal(command_find(commands[i].name), &commands[i]);
	}
	assert_null(command_find("frobnicate"));
	assert_null(command_find(""));
}

static void completion(void **state)
{
	static const char *const names[] = {"web", "web-test", "db"};
	static const struct {
		const char *line, *insert;
		u32 matches;
		const char *list;
	} cases[] = {
		{"lis", "t ", 1, "list"},
		{"start", " ", 1, "start"},
		{"st", "a", 2, "start  stat"},
		{"sh", "utdown ", 1, "shutdown"},
		{"zz", "", 0, ""},
		{"start d", "b ", 1, "db"},
		{"start w", "eb", 2, "web  web-test"},
		{"start web", "", 2, "web  web-test"},
		{"start web-", "test ", 1, "web-test"},
		{"help pow", "eroff ", 1, "poweroff"},
		{"dmesg w", "", 0, ""},
		{"bogus w", "", 0, ""},
		{"list; console d", "b ", 1, "db"},
		{"list;dm", "esg ", 1, "dmesg"},
		{"stat -1 d", "b ", 1, "db"},
		{"reb", "oot ", 1, "reboot"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct completion c;

		command_complete(cases[i].line, (u32)strlen(cases[i].line), names,
				 ARRAY_SIZE(names), &c);
		assert_string_equal(c.list, cases[i].list);
		assert_int_equal(c.matches, cases[i].matches);
		assert_string_equal(c.insert, cases[i].insert);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(editing_keys),
		cmocka_unit_test(enter_ends_a_line),
		cmocka_unit_test(history),
		cmocka_unit_test(history_is_bounded),
		cmocka_unit_test(long_lines_scroll),
		cmocka_unit_test(random_keys),
		cmocka_unit_test(splitting),
		cmocka_unit_test(long_words_are_refused),
		cmocka_unit_test(every_command_is_complete),
		cmocka_unit_test(completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "services/manager/editor.h"

#include "lib/fmt.h"
#include "lib/string.h"

#define CTRL(c) ((c) - '@')
#define KEY_ESC 0x1b
#define KEY_DEL 0x7f

/* ---- Drawing ---- */

static void put(struct editor *e, const char *s) { e->out(e, s, strlen(s)); }

static u32 room(const struct editor *e) { return EDITOR_COLUMNS - 1 - (u32)strlen(e->prompt); }

/* Scrolls so that the cursor is visible. True: the view moved. */
static bool scroll(struct editor *e)
{
	u32 view = e->view;

	if (e->cursor < view)
		view = e->cursor;
	else if (e->cursor > view + room(e))
		view = e->cursor - room(e);
	if (view == e->view)
		return false;
	e->view = view;
	return true;
}

void editor_redraw(struct editor *e)
{
	char move[24];
	u32 column;

	scroll(e);
	put(e, "\r");
	put(e, e->prompt);
	e->out(e, e->line + e->view, MIN(e->len - e->view, room(e)));
	put(e, "\x1b[K");
	column = (u32)strlen(e->prompt) + e->cursor - e->view;
	fmt_snprintf(move, sizeof(move), "\r\x1b[%uC", column);
	put(e, move);
}

void editor_start(struct editor *e)
{
	e->len = e->cursor = e->view = 0;
	e->line[0] = 0;
	e->state = EDITOR_PLAIN;
	e->browsing = e->entries;
	put(e, "\r\x1b[K");
	put(e, e->prompt);
}

/* ---- Editing ---- */

static void move_to(struct editor *e, u32 cursor)
{
	u32 old = e->cursor;

	e->cursor = cursor;
	if (scroll(e) || (cursor != old + 1 && cursor + 1 != old))
		editor_redraw(e);
	else if (cursor < old)
		put(e, "\b");
	else
		e->out(e, e->line + old, 1);
}

/* Removes [from, to) and leaves the cursor at from. */
static void erase(struct editor *e, u32 from, u32 to)
{
	bool last = to == e->len && from + 1 == to && e->cursor == to;

	if (from == to)
		return;
	memmove(e->line + from, e->line + to, e->len - to + 1);
	e->len -= to - from;
	e->cursor = from;
	if (last && !scroll(e))
		put(e, "\b \b");
	else
		editor_redraw(e);
}

void editor_insert(struct editor *e, const char *text, size_t n)
{
	bool at_end = e->cursor == e->len;

	n = MIN(n, EDITOR_LINE - 1 - e->len);
	if (!n)
		return;
	memmove(e->line + e->cursor + n, e->line + e->cursor, e->len - e->cursor + 1);
	memcpy(e->line + e->cursor, text, n);
	e->len += (u32)n;
	e->cursor += (u32)n;
	if (scroll(e) || !at_end)
		editor_redraw(e);
	else
		e->out(e, text, n);
}

static u32 word_start(const struct editor *e)
{
	u32 at = e->cursor;

	while (at && e->line[at - 1] == ' ')
		at--;
	while (at && e->line[at - 1] != ' ')
		at--;
	return at;
}

/* ---- History ---- */

static void history_add(struct editor *e)
{
	if (!e->len ||
	    (e->entries && !strcmp(e->history[(e->entries - 1) % EDITOR_HISTORY], e->line)))
		return;
	memcpy(e->history[e->entries++ % EDITOR_HISTORY], e->line, EDITOR_LINE);
}

static void history_show(struct editor *e, bool older)
{
	u32 oldest = e->entries > EDITOR_HISTORY ? e->entries - EDITOR_HISTORY : 0;

	if (e->browsing == (older ? oldest : e->entries))
		return;
	if (e->browsing == e->entries)
		memcpy(e->typed, e->line, EDITOR_LINE);
	e->browsing += older ? ~0u : 1u;
	str_copy(e->line,
		 e->browsing == e->entries ? e->typed : e->history[e->browsing % EDITOR_HISTORY],
		 EDITOR_LINE);
	e->len = e->cursor = (u32)strlen(e->line);
	e->view = 0;
	editor_redraw(e);
}

/* ---- Keys ---- */

enum motion { TO_LEFT, TO_RIGHT, TO_START, TO_END, TO_OLDER, TO_NEWER, DELETE_CHAR };

static void key_motion(struct editor *e, enum motion m)
{
	switch (m) {
	case TO_LEFT:
		if (e->cursor)
			move_to(e, e->cursor - 1);
		break;
	case TO_RIGHT:
		if (e->cursor < e->len)
			move_to(e, e->cursor + 1);
		break;
	case TO_START: move_to(e, 0); break;
	case TO_END: move_to(e, e->len); break;
	case TO_OLDER: history_show(e, true); break;
	case TO_NEWER: history_show(e, false); break;
	case DELETE_CHAR:
		if (e->cursor < e->len)
			erase(e, e->cursor, e->cursor + 1);
		break;
	}
}

/* The byte that ends ESC [ or ESC O. */
static void key_sequence(struct editor *e, u8 c)
{
	static const struct {
		u8 final;
		u8 param;
		u8 motion;
	} sequences[] = {
		{'A', 0, TO_OLDER}, {'B', 0, TO_NEWER}, {'C', 0, TO_RIGHT},    {'D', 0, TO_LEFT},
		{'H', 0, TO_START}, {'F', 0, TO_END},	{'~', 1, TO_START},    {'~', 7, TO_START},
		{'~', 4, TO_END},   {'~', 8, TO_END},	{'~', 3, DELETE_CHAR},
	};

	for (u32 i = 0; i < ARRAY_SIZE(sequences); i++)
		if (sequences[i].final == c && (c != '~' || sequences[i].param == e->param))
			key_motion(e, sequences[i].motion);
}

static void key_in_escape(struct editor *e, u8 c)
{
	if (e->state == EDITOR_ESC) {
		e->state = c == '[' ? EDITOR_CSI : c == 'O' ? EDITOR_SS3 : EDITOR_PLAIN;
		e->param = 0;
	} else if (e->state == EDITOR_CSI && c >= '0' && c <= '9') {
		e->param = MIN(e->param * 10 + c - '0', 1000u);
	} else if (c >= 0x40 && c <= 0x7e) {
		e->state = EDITOR_PLAIN;
		key_sequence(e, c);
	} else if (c < ' ') {
		e->state = EDITOR_PLAIN; /* no sequence after all */
	}
}

static enum editor_event key_enter(struct editor *e)
{
	put(e, "\r\n");
	history_add(e);
	return EDITOR_DONE;
}

static enum editor_event key_control(struct editor *e, u8 c)
{
	switch (c) {
	case '\r':
	case '\n': return key_enter(e);
	case '\b':
	case KEY_DEL:
		if (e->cursor)
			erase(e, e->cursor - 1, e->cursor);
		break;
	case '\t':
		if (e->complete)
			e->complete(e);
		break;
	case KEY_ESC: e->state = EDITOR_ESC; break;
	case CTRL('A'): key_motion(e, TO_START); break;
	case CTRL('B'): key_motion(e, TO_LEFT); break;
	case CTRL('C'):
		put(e, "\r\n");
		editor_start(e);
		break;
	case CTRL('D'): key_motion(e, DELETE_CHAR); break;
	case CTRL('E'): key_motion(e, TO_END); break;
	case CTRL('F'): key_motion(e, TO_RIGHT); break;
	case CTRL('K'): erase(e, e->cursor, e->len); break;
	case CTRL('L'):
		put(e, "\x1b[2J\x1b[H");
		editor_redraw(e);
		break;
	case CTRL('N'): key_motion(e, TO_NEWER); break;
	case CTRL('P'): key_motion(e, TO_OLDER); break;
	case CTRL('U'): erase(e, 0, e->cursor); break;
	case CTRL('W'): erase(e, word_start(e), e->cursor); break;
	default: break;
	}
	return EDITOR_GOES_ON;
}

enum editor_event editor_key(struct editor *e, u8 c)
{
	bool lf_of_cr = e->after_cr && c == '\n';

	e->after_cr = c == '\r';
	if (lf_of_cr)
		return EDITOR_GOES_ON;
	if (e->state != EDITOR_PLAIN) {
		key_in_escape(e, c);
		return EDITOR_GOES_ON;
	}
	if (c < ' ' || c == KEY_DEL)
		return key_control(e, c);
	if (c < KEY_DEL) {
		char text = (char)c;
		editor_insert(e, &text, 1);
	}
	return EDITOR_GOES_ON;
}

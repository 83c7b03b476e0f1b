/*
 * The line editor: a state machine over bytes from a terminal (VT100 sequences), drawing through a
 * callback.
 */
#pragma once

#include "lib/types.h"

#define EDITOR_LINE 256u /* with its NUL */
#define EDITOR_HISTORY 32u
#define EDITOR_COLUMNS 80u /* longer lines scroll sideways */

enum editor_event {
	EDITOR_GOES_ON,
	EDITOR_DONE, /* a line is complete in `line`; editor_start begins the next */
};

enum editor_state { EDITOR_PLAIN, EDITOR_ESC, EDITOR_CSI, EDITOR_SS3 };

struct editor {
	const char *prompt;
	void (*out)(struct editor *e, const char *text, size_t n);
	/* Tab; may call editor_insert, or print and editor_redraw */
	void (*complete)(struct editor *e);

	char line[EDITOR_LINE];
	u32 len, cursor;
	u32 view; /* first character shown */
	enum editor_state state;
	u32 param;     /* number in a CSI sequence */
	bool after_cr; /* a LF that follows belongs to it */

	char history[EDITOR_HISTORY][EDITOR_LINE]; /* entry n at n % EDITOR_HISTORY */
	u32 entries;				   /* ever added */
	u32 browsing;		 /* entry shown; == entries: the line being typed */
	char typed[EDITOR_LINE]; /* kept while browsing */
};

/* Begins an empty line and draws the prompt. */
void editor_start(struct editor *e);
enum editor_event editor_key(struct editor *e, u8 c);
/* Puts text in at the cursor, as far as the line has room. */
void editor_insert(struct editor *e, const char *text, size_t n);
void editor_redraw(struct editor *e);

/* SPDX-License-Identifier: MIT */
/*
 * expect.h - finds text in what a console says, and is not taken in by the echo of what was typed.
 *
 * A pure machine: bytes go in, an answer comes out; how they are cut into pieces makes no difference. It works on
 * text as a person would read it: escape sequences (CSI, OSC, ...), NUL and other control characters are left out,
 * CR LF is a line end, a backspace takes the character before it away.
 *
 * ECHO. What was sent comes back: from the guest's terminal line by line, from a shell's line editor character by
 * character, from both one after the other where it was typed ahead, broken and redrawn at the edge of the window. So
 * a match whose end lies in a copy of a sent line, read from the line's beginning and without white space, is echo.
 * While only a part of such a copy has come, a match is HELD: the next characters tell, or, where none come, silence
 * (expect_quiet). Only where pattern and sent line are the same text can echo and answer not be told apart: then the
 * first is the echo.
 *
 * REGULAR EXPRESSIONS (POSIX extended) look at one line at a time, and at the line that is not complete yet; $ is the
 * end of a complete line. Of a line longer than EXPECT_LINE bytes only the end is looked at.
 */
#ifndef CAPSA_CONTROL_EXPECT_H
#define CAPSA_CONTROL_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define EXPECT_LINE 4096u
#define EXPECT_TEXT 65536u       /* a pattern is found in at most so much text */
#define EXPECT_UNREAD (1u << 20) /* bytes that may wait for a pattern; older ones are forgotten */

struct expect;

enum expect_answer { EXPECT_NOT_YET, EXPECT_HELD, EXPECT_MATCH };

/* NULL: no memory. */
struct expect *expect_new(void);
void expect_free(struct expect *expect); /* NULL is fine */

/* Looks for this from now on, from behind the last match. -EINVAL with err: no such regular expression, or empty. */
int expect_want(struct expect *expect, const char *pattern, bool regex, struct error *err);
/* The next bytes of the console. -ENOMEM. */
int expect_feed(struct expect *expect, const void *bytes, size_t len);
/* These bytes have been typed: expect their echo. -ENOMEM. */
int expect_sent(struct expect *expect, const void *bytes, size_t len);

/* Looks at what has been fed. After a match: EXPECT_NOT_YET until the next expect_want(). */
enum expect_answer expect_look(struct expect *expect);
/* Nothing has come for a while: a held match is one. */
enum expect_answer expect_quiet(struct expect *expect);

/* Bytes fed up to the end of the last match (or what expect_skip() said). */
uint64_t expect_used(const struct expect *expect);
/* The first `bytes` bytes ever fed, as far as they were not looked at, are no match. */
void expect_skip(struct expect *expect, uint64_t bytes);

/* The last lines of the text, at most `lines`, as a string that the caller frees; NULL: no memory. For messages. */
char *expect_tail(const struct expect *expect, unsigned lines);

#endif

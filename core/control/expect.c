/* SPDX-License-Identifier: MIT */
/*
 * expect.c - see expect.h. Called by console-client.c and its siblings; owns only memory.
 *
 * Three stages. `unread` holds bytes as they were fed. vt_byte() turns them into `text`, where each character knows
 * the number of the byte that it ended with. try_ends() asks of each end of the text whether the pattern ends there:
 * the earliest end wins, so that what is behind it is left for the next pattern. After a match the bytes behind it go
 * back to `unread`.
 */
#include "core/control/expect.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SENT 64 /* lines whose echo is known; of older ones it has come */

/* Where in an escape sequence we are (ECMA-48, and xterm's habits). */
enum vt_state { VT_GROUND, VT_ESCAPE, VT_CSI, VT_STRING, VT_STRING_ESCAPE };

/* A line that was sent, without white space and control characters. */
struct sent {
	char bytes[EXPECT_LINE];
	size_t len;
	bool complete; /* its end was sent too */
	bool excused;  /* for a pattern that is this very line: its echo has been seen */
};

struct expect {
	/* [0..seen) is in the text already, and kept as long as a match may end there; [seen..unread_len) is to come.
	 */
	unsigned char *unread;
	size_t seen, unread_len, unread_room;
	uint64_t fed; /* bytes ever fed: the end of `unread` */

	enum vt_state vt;
	bool after_cr;
	char text[EXPECT_TEXT];
	uint64_t ends[EXPECT_TEXT]; /* the byte after the character, counted from the first ever fed */
	size_t len;
	size_t from;     /* no match begins before */
	size_t line;     /* where the last line begins */
	bool line_cut;   /* and it is not its beginning */
	size_t next_end; /* ends below have been tried */

	bool wanted, is_regex, held;
	char *literal;
	size_t literal_len;
	regex_t regex;
	uint64_t used;

	struct sent *sent[MAX_SENT];
	unsigned n_sent;
};

struct expect *expect_new(void)
{
	struct expect *e = calloc(1, sizeof *e);

	if (e)
		e->next_end = 1;
	return e;
}

static void forget_pattern(struct expect *e)
{
	if (e->is_regex)
		regfree(&e->regex);
	free(e->literal);
	e->literal = NULL;
	e->is_regex = e->wanted = e->held = false;
}

void expect_free(struct expect *e)
{
	if (!e)
		return;
	forget_pattern(e);
	for (unsigned i = 0; i < e->n_sent; i++)
		free(e->sent[i]);
	free(e->unread);
	free(e);
}

int expect_want(struct expect *e, const char *pattern, bool regex, struct error *err)
{
	char why[256];
	int rc;

	forget_pattern(e);
	if (!*pattern)
		return error_set(err, EINVAL, "an empty pattern would match at once");
	if (regex) {
		rc = regcomp(&e->regex, pattern, REG_EXTENDED);
		if (rc) {
			regerror(rc, &e->regex, why, sizeof why);
			return error_set(err, EINVAL, "\"%s\" is no extended regular expression: %s", pattern, why);
		}
		e->is_regex = true;
	} else {
		if (strlen(pattern) >= EXPECT_TEXT / 2)
			return error_set(err, EINVAL, "a pattern of %zu bytes is too long", strlen(pattern));
		e->literal = strdup(pattern);
		if (!e->literal)
			return error_set(err, ENOMEM, "no memory");
		e->literal_len = strlen(pattern);
	}
	e->wanted = true;
	e->next_end = e->from + 1;
	return 0;
}

/* Drops the first `n` of the unread bytes. */
static void drop(struct expect *e, size_t n)
{
	if (!n)
		return;
	memmove(e->unread, e->unread + n, e->unread_len - n);
	e->unread_len -= n;
	e->seen = e->seen > n ? e->seen - n : 0;
}

int expect_feed(struct expect *e, const void *bytes, size_t len)
{
	const unsigned char *from = bytes;

	if (!len)
		return 0;
	e->fed += len;
	if (len > EXPECT_UNREAD) {
		from += len - EXPECT_UNREAD;
		len = EXPECT_UNREAD;
	}
	if (e->unread_len + len > EXPECT_UNREAD)
		drop(e, e->unread_len + len - EXPECT_UNREAD);
	if (e->unread_len + len > e->unread_room) {
		size_t room = (e->unread_len + len + 4095) / 4096 * 4096;
		unsigned char *grown = realloc(e->unread, room);

		if (!grown)
			return -ENOMEM;
		e->unread = grown;
		e->unread_room = room;
	}
	memcpy(e->unread + e->unread_len, from, len);
	e->unread_len += len;
	return 0;
}

/* ---- echo ---- */

static bool is_ink(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f;
}

static struct sent *sent_line(struct expect *e)
{
	struct sent *fresh;

	if (e->n_sent && !e->sent[e->n_sent - 1]->complete)
		return e->sent[e->n_sent - 1];
	fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return NULL;
	if (e->n_sent == MAX_SENT) {
		free(e->sent[0]);
		memmove(e->sent, e->sent + 1, (MAX_SENT - 1) * sizeof e->sent[0]);
		e->n_sent--;
	}
	e->sent[e->n_sent++] = fresh;
	return fresh;
}

int expect_sent(struct expect *e, const void *bytes, size_t len)
{
	const char *at = bytes;

	for (size_t i = 0; i < len; i++) {
		bool is_end = at[i] == '\n' || at[i] == '\r';
		struct sent *line;

		/* Nothing to echo: no line. */
		if (!is_ink(at[i]) && (!e->n_sent || e->sent[e->n_sent - 1]->complete))
			continue;
		line = sent_line(e);
		if (!line)
			return -ENOMEM;
		if (is_end)
			line->complete = true;
		else if (is_ink(at[i]) && line->len < sizeof line->bytes)
			line->bytes[line->len++] = at[i];
	}
	return 0;
}

/* The next character that is not white space at or after `at`; e->len: none. */
static size_t next_ink(const struct expect *e, size_t at)
{
	while (at < e->len && !is_ink(e->text[at]))
		at++;
	return at;
}

/* Whether an echo may begin at `at`: not in the middle of a word. */
static bool begins_word(const struct expect *e, size_t at)
{
	return at == 0 || !(isalnum((unsigned char)e->text[at - 1]) || e->text[at - 1] == '_');
}

enum verdict { VERDICT_REAL, VERDICT_ECHO, VERDICT_OPEN };

/* Is the text from `start` on the sent line, so that a match that ends with character `last` lies in it? */
static enum verdict compare_with(const struct expect *e, const struct sent *sent, size_t start, size_t last)
{
	size_t at = start, k;

	for (k = 0; k < sent->len; k++) {
		at = next_ink(e, at);
		if (at == e->len)
			return at > last && k > 0 ? VERDICT_OPEN : VERDICT_REAL;
		if (e->text[at] != sent->bytes[k])
			return VERDICT_REAL;
		at++;
	}
	/* All of it: does it reach the end of the match? */
	return at > last ? VERDICT_ECHO : VERDICT_REAL;
}

/* The match is text[begin..end). */
static enum verdict judge(struct expect *e, size_t begin, size_t end)
{
	enum verdict verdict = VERDICT_REAL;
	size_t last = end;

	while (last > begin && !is_ink(e->text[last - 1]))
		last--;
	/* White space alone is nobody's echo. */
	if (last == begin)
		return VERDICT_REAL;
	last--;
	for (unsigned i = 0; i < e->n_sent; i++) {
		struct sent *sent = e->sent[i];
		size_t ink = 0;

		/* It began at most as many characters ago as it has. */
		for (size_t start = last + 1; start-- > 0 && ink < sent->len;) {
			enum verdict one;

			if (!is_ink(e->text[start]))
				continue;
			ink++;
			if (e->text[start] != sent->bytes[0] || !begins_word(e, start))
				continue;
			one = compare_with(e, sent, start, last);
			if (one == VERDICT_ECHO && ink == sent->len && next_ink(e, begin) == start) {
				/* Pattern and line are the same. */
				if (sent->excused)
					continue;
				sent->excused = true;
			}
			if (one == VERDICT_ECHO)
				return VERDICT_ECHO;
			if (one == VERDICT_OPEN)
				verdict = VERDICT_OPEN;
		}
	}
	return verdict;
}

/* ---- patterns ---- */

static bool literal_ends(const struct expect *e, size_t end, size_t *begin)
{
	if (end < e->literal_len || end - e->literal_len < e->from)
		return false;
	*begin = end - e->literal_len;
	return memcmp(e->text + *begin, e->literal, e->literal_len) == 0;
}

static bool regex_find(const struct expect *e, size_t from, size_t end, int eflags, regmatch_t *where)
{
	where->rm_so = 0;
	where->rm_eo = (regoff_t)(end - from);
	if (from > e->line || e->line_cut)
		eflags |= REG_NOTBOL;
	if (regexec(&e->regex, e->text + from, 1, where, eflags | REG_STARTEND) != 0)
		return false;
	where->rm_so += (regoff_t)from;
	where->rm_eo += (regoff_t)from;
	return true;
}

/* Of the last line. A match that ends earlier was seen at its own end. */
static bool regex_ends(const struct expect *e, size_t end, bool line_end, size_t *begin)
{
	size_t from = e->line > e->from ? e->line : e->from;
	regmatch_t where;

	while (from <= end && regex_find(e, from, end, line_end ? 0 : REG_NOTEOL, &where)) {
		if ((size_t)where.rm_eo == end) {
			*begin = (size_t)where.rm_so;
			return true;
		}
		from = (size_t)where.rm_so + 1;
	}
	return false;
}

static void matched(struct expect *e, size_t end)
{
	uint64_t used = e->ends[end - 1], first = e->fed - e->unread_len;

	/* What is behind it is for the next pattern. */
	drop(e, used > first ? (size_t)(used - first) : 0);
	e->seen = 0;
	e->vt = VT_GROUND;
	e->after_cr = false;
	e->len = e->from = end;
	if (e->line > end)
		e->line = end;
	e->used = used;
	forget_pattern(e);
}

/* Tries the ends that are new. `line_end`: the last line is complete. */
static enum expect_answer try_ends(struct expect *e, bool line_end)
{
	regmatch_t where;
	size_t from, begin;

	e->held = false;
	if (e->is_regex && e->next_end < e->line)
		e->next_end = e->line;
	/* One look at the whole line spares one for each character. */
	from = e->line > e->from ? e->line : e->from;
	if (e->is_regex && (from > e->len || !regex_find(e, from, e->len, line_end ? 0 : REG_NOTEOL, &where))) {
		e->next_end = e->len + 1;
		return EXPECT_NOT_YET;
	}
	/* A line that is now known to be complete may match ($) at an end that was tried. */
	if (e->is_regex && line_end && e->next_end == e->len + 1 && !regex_ends(e, e->len, false, &begin))
		e->next_end = e->len;
	for (; e->next_end <= e->len; e->next_end++) {
		size_t end = e->next_end;
		bool found = e->is_regex ? regex_ends(e, end, line_end && end == e->len, &begin)
		                         : literal_ends(e, end, &begin);

		/* An empty match (a regular expression like x*) says nothing about the console. */
		if (!found || begin == end)
			continue;
		switch (judge(e, begin, end)) {
		case VERDICT_REAL:
			matched(e, end);
			return EXPECT_MATCH;
		case VERDICT_OPEN:
			e->held = true;
			return EXPECT_HELD;
		case VERDICT_ECHO:
			break;
		}
	}
	return EXPECT_NOT_YET;
}

/* ---- bytes to text ---- */

/* Makes room: the older half of the text goes. */
static void slide(struct expect *e)
{
	size_t gone = EXPECT_TEXT / 2;

	memmove(e->text, e->text + gone, e->len - gone);
	memmove(e->ends, e->ends + gone, (e->len - gone) * sizeof e->ends[0]);
	e->len -= gone;
	e->from = e->from > gone ? e->from - gone : 0;
	e->next_end = e->next_end > gone ? e->next_end - gone : 1;
	if (e->line >= gone) {
		e->line -= gone;
	} else {
		e->line = 0;
		e->line_cut = true;
	}
}

static void put(struct expect *e, char c, uint64_t end)
{
	if (e->len == EXPECT_TEXT)
		slide(e);
	e->text[e->len] = c;
	e->ends[e->len++] = end;
	if (c == '\n' || c == '\r') {
		e->line = e->len;
		e->line_cut = false;
	} else if (e->len - e->line > EXPECT_LINE) {
		e->line += EXPECT_LINE / 2;
		e->line_cut = true;
	}
}

static void take_back(struct expect *e)
{
	if (e->len == 0 || e->len <= e->line || e->len <= e->from)
		return;
	e->len--;
	if (e->next_end > e->len + 1)
		e->next_end = e->len + 1;
}

/* A line is about to end, or a character to be taken back: now or never. */
static enum expect_answer settle(struct expect *e, bool line_end)
{
	return e->wanted && e->is_regex ? try_ends(e, line_end) : EXPECT_NOT_YET;
}

/* A byte of the ground state. `end` is its number plus one. */
static enum expect_answer vt_ground(struct expect *e, unsigned char byte, uint64_t end)
{
	enum expect_answer answer = EXPECT_NOT_YET;

	if (byte == '\r') {
		e->after_cr = true;
		return EXPECT_NOT_YET;
	}
	if (byte == '\n') {
		answer = settle(e, true);
		if (answer == EXPECT_MATCH)
			return answer;
		put(e, '\n', end);
		e->after_cr = false;
	} else if (byte == '\b') {
		answer = settle(e, false);
		if (answer == EXPECT_MATCH)
			return answer;
		take_back(e);
	} else if (byte == 0x1b) {
		e->vt = VT_ESCAPE;
		return EXPECT_NOT_YET;
	} else if (byte == '\t' || (byte >= ' ' && byte != 0x7f)) {
		if (e->after_cr) {
			/* To the beginning of the line, to write over it: a new line for whoever reads along. */
			answer = settle(e, true);
			if (answer == EXPECT_MATCH)
				return answer;
			put(e, '\r', end - 1);
			e->after_cr = false;
		}
		put(e, (char)byte, end);
	} else {
		return EXPECT_NOT_YET;
	}
	return e->wanted && !e->is_regex ? try_ends(e, false) : EXPECT_NOT_YET;
}

static enum expect_answer vt_byte(struct expect *e, unsigned char byte, uint64_t end)
{
	switch (e->vt) {
	case VT_GROUND:
		return vt_ground(e, byte, end);
	case VT_ESCAPE:
		if (byte == '[')
			e->vt = VT_CSI;
		else if (byte && strchr("]PX^_", byte))
			e->vt = VT_STRING;
		else if (byte < 0x20 || byte > 0x2f) /* intermediate bytes go on */
			e->vt = byte == 0x1b ? VT_ESCAPE : VT_GROUND;
		break;
	case VT_CSI:
		if (byte == 0x1b)
			e->vt = VT_ESCAPE;
		else if (byte >= 0x40 && byte <= 0x7e)
			e->vt = VT_GROUND;
		else if (byte == '\n' || byte == '\r' || byte >= 0x7f)
			goto broken;
		break;
	case VT_STRING:
		if (byte == 0x07 || byte == 0x18 || byte == 0x1a)
			e->vt = VT_GROUND;
		else if (byte == 0x1b)
			e->vt = VT_STRING_ESCAPE;
		else if (byte == '\n' || byte == '\r')
			goto broken;
		break;
	case VT_STRING_ESCAPE:
		e->vt = byte == '\\' ? VT_GROUND : VT_ESCAPE;
		if (e->vt == VT_ESCAPE)
			return vt_byte(e, byte, end);
		break;
	}
	return EXPECT_NOT_YET;

broken: /* or noise would hide everything that comes after it */
	e->vt = VT_GROUND;
	return vt_ground(e, byte, end);
}

static enum expect_answer see(struct expect *e)
{
	unsigned char byte = e->unread[e->seen++];

	return vt_byte(e, byte, e->fed - (e->unread_len - e->seen));
}

enum expect_answer expect_look(struct expect *e)
{
	if (!e->wanted)
		return EXPECT_NOT_YET;
	while (e->seen < e->unread_len)
		if (see(e) == EXPECT_MATCH)
			return EXPECT_MATCH;
	if (e->is_regex && try_ends(e, false) == EXPECT_MATCH)
		return EXPECT_MATCH;
	if (e->held)
		return EXPECT_HELD;
	drop(e, e->seen);
	return EXPECT_NOT_YET;
}

enum expect_answer expect_quiet(struct expect *e)
{
	if (!e->held)
		return EXPECT_NOT_YET;
	matched(e, e->next_end);
	return EXPECT_MATCH;
}

uint64_t expect_used(const struct expect *e)
{
	return e->used;
}

void expect_skip(struct expect *e, uint64_t bytes)
{
	bool wanted = e->wanted;

	/* It is text all the same: for messages, and because an escape sequence may go on behind it. */
	e->wanted = false;
	while (e->seen < e->unread_len && e->fed - (e->unread_len - e->seen) < bytes)
		see(e);
	drop(e, e->seen);
	e->wanted = wanted;
	e->held = false;
	e->from = e->len;
	e->next_end = e->len + 1;
	if (bytes > e->used)
		e->used = bytes < e->fed ? bytes : e->fed;
}

char *expect_tail(const struct expect *e, unsigned lines)
{
	size_t at = e->len, n = 0;
	char *tail;

	/* A line end at the very end ends no further line. */
	while (at > 0 && (e->text[at - 1] == '\n' || e->text[at - 1] == '\r'))
		at--;
	for (size_t end = at; at > 0 && end - at < 2000; at--)
		if ((e->text[at - 1] == '\n' || e->text[at - 1] == '\r') && --lines == 0)
			break;
	tail = malloc(e->len - at + 1);
	if (!tail)
		return NULL;
	for (; at < e->len; at++)
		tail[n++] = e->text[at] == '\r' ? '\n' : e->text[at];
	tail[n] = '\0';
	return tail;
}

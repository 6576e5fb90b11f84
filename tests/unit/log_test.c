/* SPDX-License-Identifier: MIT */
/* log_test.c - proves core/base/log.h: a line comes whole or not at all, and nobody waits for its reader for ever. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"

/* Standard error is a pipe, until it is given back. */
struct pipe_log {
	int to_read, saved;
};

static struct pipe_log pipe_log_take(void)
{
	struct pipe_log p;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	/* Blocking for the writer, as whoever starts capsa has it. */
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	p.to_read = ends[0];
	p.saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	return p;
}

static void pipe_log_give_back(struct pipe_log p)
{
	assert_int_equal(dup2(p.saved, STDERR_FILENO), STDERR_FILENO);
	close(p.saved);
	close(p.to_read);
}

/* What arrived, up to a page of it. */
static char *pipe_log_text(struct pipe_log p, char text[4097])
{
	ssize_t n = read(p.to_read, text, 4096);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void a_line_has_its_level_and_its_end(void **state)
{
	struct pipe_log p = pipe_log_take();
	char text[4097];

	(void)state;
	log_warning("the %s", "words");
	log_info("not said at this level");
	log_set_raw_terminal(true);
	log_error("raw");
	log_set_raw_terminal(false);
	pipe_log_text(p, text);
	pipe_log_give_back(p);
	assert_string_equal(text, "capsa: warning: the words\ncapsa: error: raw\r\n");
}

static void what_was_asked_for_is_written_at_every_level(void **state)
{
	struct pipe_log p = pipe_log_take();
	char text[4097];

	(void)state;
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_set_level((enum log_level)level);
		assert_true(log_enabled(LOG_LEVEL_ASKED));
		log_line(LOG_LEVEL_ASKED, "line %d", level);
	}
	log_set_level(LOG_LEVEL_WARNING);
	pipe_log_text(p, text);
	pipe_log_give_back(p);
	assert_string_equal(text, "capsa: line 0\ncapsa: line 1\ncapsa: line 2\ncapsa: line 3\n");
}

static void a_long_line_is_cut_and_ends(void **state)
{
	struct pipe_log p = pipe_log_take();
	char text[4097], words[3000];

	(void)state;
	memset(words, 'x', sizeof words - 1);
	words[sizeof words - 1] = '\0';
	log_error("%s", words);
	pipe_log_text(p, text);
	pipe_log_give_back(p);
	assert_true(strlen(text) > 1000 && strlen(text) < 1200);
	assert_string_equal(text + strlen(text) - 2, "x\n");
}

static void a_reader_that_stands_still_is_not_waited_for(void **state)
{
	struct pipe_log p = pipe_log_take();
	char text[4097];
	int n = 0;

	(void)state;
	/* Far more than a pipe holds; a write that blocks would end the test here. */
	alarm(60);
	for (int i = 0; i < 100000; i++)
		log_error("%01000d", i);
	alarm(0);
	while (*pipe_log_text(p, text))
		n++;
	assert_true(n > 0);
	/* There is room again. */
	log_error("heard");
	pipe_log_text(p, text);
	pipe_log_give_back(p);
	assert_string_equal(text, "capsa: error: heard\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_level_and_its_end),
		cmocka_unit_test(what_was_asked_for_is_written_at_every_level),
		cmocka_unit_test(a_long_line_is_cut_and_ends),
		cmocka_unit_test(a_reader_that_stands_still_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

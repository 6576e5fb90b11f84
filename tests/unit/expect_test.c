/* SPDX-License-Identifier: MIT */
/* expect_test.c - text is found however it is cut into pieces, and echo is never taken for an answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/control/expect.h"

static struct error err;

/* The pattern, then what was typed (or NULL), then what the console says; bytes used, 0: no match. */
struct example {
	const char *pattern;
	const char *sent;
	const char *says;
	const char *used; /* the part of `says` up to the end of the match; NULL: no match */
	bool regex;
	bool held; /* not yet, but a silence decides */
};

static void try_example(const struct example *x, size_t piece)
{
	struct expect *e = expect_new();
	enum expect_answer answer = EXPECT_NOT_YET;
	size_t len = strlen(x->says);

	assert_non_null(e);
	assert_int_equal(expect_want(e, x->pattern, x->regex, &err), 0);
	if (x->sent)
		assert_int_equal(expect_sent(e, x->sent, strlen(x->sent)), 0);
	for (size_t at = 0; at < len && answer != EXPECT_MATCH; at += piece) {
		assert_int_equal(expect_feed(e, x->says + at, piece < len - at ? piece : len - at), 0);
		answer = expect_look(e);
	}
	if (x->held) {
		assert_int_equal(answer, EXPECT_HELD);
		answer = expect_quiet(e);
	}
	if (answer != (x->used ? EXPECT_MATCH : EXPECT_NOT_YET))
		fail_msg("\"%s\" in \"%s\" by %zu: answer %d", x->pattern, x->says, piece, answer);
	if (x->used && expect_used(e) != strlen(x->used))
		fail_msg("\"%s\" in \"%s\" by %zu: used %llu", x->pattern, x->says, piece,
		         (unsigned long long)expect_used(e));
	expect_free(e);
}

static void try_all(const struct example *examples, size_t n)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 7, 16, 100000 };

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++)
			try_example(&examples[i], pieces[j]);
}

#define TRY(...)                                                          \
	do {                                                              \
		static const struct example examples[] = { __VA_ARGS__ }; \
		try_all(examples, sizeof examples / sizeof examples[0]);  \
	} while (0)

static void a_literal_is_found_across_pieces(void **state)
{
	(void)state;
	TRY({ .pattern = "login: ", .says = "Welcome\r\nbox login: x", .used = "Welcome\r\nbox login: " },
	    { .pattern = "aab", .says = "aaab", .used = "aaab" }, { .pattern = ".*", .says = "abc.*", .used = "abc.*" },
	    { .pattern = "grüß", .says = "grüß", .used = "grüß" },
	    { .pattern = "one\ntwo", .says = "one\r\ntwo\r\n", .used = "one\r\ntwo" },
	    { .pattern = "one\ntwo", .says = "one\r\r\ntwo\r\n", .used = "one\r\r\ntwo" },
	    { .pattern = "ab", .says = "a\rb" }, { .pattern = "missing", .says = "miss ing missin" });
}

static void escape_sequences_are_no_text(void **state)
{
	(void)state;
	TRY({ .pattern = "hello", .says = "\033[1;32mhe\033[0mllo\033[K", .used = "\033[1;32mhe\033[0mllo" },
	    { .pattern = "hello", .says = "he\033]0;title\allo", .used = "he\033]0;title\allo" },
	    { .pattern = "hello", .says = "he\033]0;title\033\\llo", .used = "he\033]0;title\033\\llo" },
	    { .pattern = "title", .says = "he\033]0;title\033\\llo" },
	    { .pattern = "hello", .says = "he\033P1$qm\033\\llo", .used = "he\033P1$qm\033\\llo" },
	    { .pattern = "hello", .says = "h\033(Bel\0337lo", .used = "h\033(Bel\0337lo" },
	    { .pattern = "hello", .says = "\033[6nhello", .used = "\033[6nhello" },
	    { .pattern = "hello", .says = "he\001\002\177llo", .used = "he\001\002\177llo" },
	    { .pattern = "hello", .says = "\033[\033[?25lhello", .used = "\033[\033[?25lhello" });
}

static void a_broken_escape_sequence_does_not_hide_the_next_line(void **state)
{
	(void)state;
	TRY({ .pattern = "hello", .says = "\033]0;noise\r\nhello", .used = "\033]0;noise\r\nhello" },
	    { .pattern = "hello", .says = "\033[12\nhello", .used = "\033[12\nhello" });
}

static void nul_bytes_are_no_text(void **state)
{
	struct expect *e = expect_new();

	(void)state;
	assert_int_equal(expect_want(e, "hello", true, &err), 0);
	expect_feed(e, "he\0ll\0o!", 8);
	assert_int_equal(expect_look(e), EXPECT_MATCH);
	assert_int_equal(expect_used(e), 7);
	expect_free(e);
}

static void what_was_erased_is_not_there(void **state)
{
	(void)state;
	TRY({ .pattern = "abd", .says = "abc\b \bd", .used = "abc\b \bd" }, { .pattern = "bcd", .says = "abc\b \bd" },
	    { .pattern = "x", .says = "\b\b\b\nx", .used = "\b\b\b\nx" });
}

static void regular_expressions_look_at_lines(void **state)
{
	(void)state;
	TRY({ .pattern = "^[a-z]+ login: ", .says = "x\r\nbox login: ", .used = "x\r\nbox login: ", .regex = true },
	    { .pattern = "^login", .says = "box login\r\n", .regex = true },
	    { .pattern = "[0-9]+ files", .says = "12 files", .used = "12 files", .regex = true },
	    { .pattern = "done$", .says = "done it\r\nall done\r\n", .used = "done it\r\nall done", .regex = true },
	    { .pattern = "done$", .says = "all done", .regex = true },
	    { .pattern = "a.*b", .says = "a\r\nb", .regex = true },
	    { .pattern = "x*", .says = "aax", .used = "aax", .regex = true },
	    { .pattern = "(ab|a)c?", .says = "ab", .used = "a", .regex = true },
	    { .pattern = "[$#] ", .says = "\033[1mbox:~#\033[0m ", .used = "\033[1mbox:~#\033[0m ", .regex = true },
	    { .pattern = "^20%", .says = "10%\r20%", .used = "10%\r20%", .regex = true });
}

static void the_echo_of_a_line_is_no_answer(void **state)
{
	(void)state;
	TRY(/* a terminal's echo, then the answer */
	    { .pattern = "hello",
	      .sent = "echo hello\n",
	      .says = "echo hello\r\nhello\r\n# ",
	      .used = "echo hello\r\nhello" },
	    { .pattern = "hello", .sent = "echo hello\n", .says = "# echo hello\r\n# " },
	    /* a shell with a prompt and colours */
	    { .pattern = "hello",
	      .sent = "echo hello\n",
	      .says = "\033[1mbox\033[0m:~# echo hello\r\nhello\r\n",
	      .used = "\033[1mbox\033[0m:~# echo hello\r\nhello" },
	    /* typed ahead: the terminal's echo, then the shell's */
	    { .pattern = "hello", .sent = "echo hello\n", .says = "echo hello\r\n...\r\n# echo hello\r\n" },
	    /* no echo at all */
	    { .pattern = "hello", .sent = "echo hello\n", .says = "hello\r\n", .used = "hello" },
	    { .pattern = "Password:", .sent = "root\n", .says = "root\r\nPassword:", .used = "root\r\nPassword:" },
	    /* the pattern is in it twice */
	    { .pattern = "a", .sent = "echo a b a\n", .says = "echo a b a\r\na b a", .used = "echo a b a\r\na" },
	    /* several lines */
	    { .pattern = "two",
	      .sent = "echo one\necho two\n",
	      .says = "echo one\r\necho two\r\none\r\n# echo two\r\ntwo\r\n",
	      .used = "echo one\r\necho two\r\none\r\n# echo two\r\ntwo" });
}

static void an_echo_that_is_wrapped_is_no_answer(void **state)
{
	(void)state;
	TRY(/* busybox ash at the margin: the next character, backspace, the character again */
	    { .pattern = "hello",
	      .sent = "echo hello world\n",
	      .says = "# echo hel\r\nl\bl\bllo wo\r\nr\brld\r\nhello world\r\n",
	      .used = "# echo hel\r\nl\bl\bllo wo\r\nr\brld\r\nhello" },
	    { .pattern = "lo wo", .sent = "echo hello world\n", .says = "# echo hello \bo\b world\r\n" },
	    /* readline: a space and a carriage return */
	    { .pattern = "hello",
	      .sent = "echo hello world\n",
	      .says = "$ echo he \rllo world\r\nhello world",
	      .used = "$ echo he \rllo world\r\nhello" },
	    /* where the wrap itself looks like the pattern */
	    { .pattern = "a# ", .sent = "echo a#b\n", .says = "$ echo a# \rb\r\na#b\r\n$ " },
	    { .pattern = "lo$", .sent = "echo hello world\n", .says = "$ echo hello\r\n world\r\nx", .regex = true });
}

static void an_echo_is_told_from_what_only_begins_like_one(void **state)
{
	(void)state;
	TRY({ .pattern = "echo", .sent = "echo hello\n", .says = "echo is a word", .used = "echo" },
	    { .pattern = "ls", .sent = "ls\n", .says = "# ls\r\ntools", .used = "# ls\r\ntools" },
	    { .pattern = "# ", .sent = "#comment\n", .says = "#comment\r\n# x", .used = "#comment\r\n# " },
	    { .pattern = "# ", .sent = "#comment\n", .says = "# ", .used = "# ", .held = true },
	    { .pattern = "$ ", .sent = "$HOME/run\n", .says = "$ $HOME/run\r\nok\r\n$ ", .used = "$ " });
}

static void of_a_pattern_that_is_the_line_itself_the_first_is_the_echo(void **state)
{
	(void)state;
	TRY({ .pattern = "abc", .sent = "abc\n", .says = "abc\r\n" },
	    { .pattern = "abc", .sent = "abc\n", .says = "abc\r\nabc\r\n", .used = "abc\r\nabc" },
	    { .pattern = "^abc$", .sent = "abc\n", .says = "abc\r\nabc\r\n", .used = "abc\r\nabc", .regex = true },
	    { .pattern = "abc", .sent = "abc\n", .says = "abc\r\nabc\r\n", .used = "abc\r\nabc", .regex = true });
}

static void regular_expressions_are_not_fooled_either(void **state)
{
	(void)state;
	TRY({ .pattern = "h.*o", .sent = "echo hello\n", .says = "# echo hello\r\n", .regex = true },
	    { .pattern = ".*hello", .sent = "echo hello\n", .says = "# echo hello\r\n", .regex = true },
	    { .pattern = "^.+lo", .sent = "echo hello\n", .says = "# echo hello\r\n", .regex = true },
	    { .pattern = "hel+o",
	      .sent = "echo hello\n",
	      .says = "# echo hello\r\nhello\r\n",
	      .used = "# echo hello\r\nhello",
	      .regex = true },
	    { .pattern = "[0-9]+",
	      .sent = "echo $((6*7))\n",
	      .says = "# echo $((6*7))\r\n42\r\n",
	      .used = "# echo $((6*7))\r\n4",
	      .regex = true });
}

static void what_is_behind_a_match_is_for_the_next(void **state)
{
	static const char says[] = "one \033[1mtwo\033[0m three\r\none four";
	static const char *const wanted[] = { "one", "two", "one", "four" };

	(void)state;
	for (size_t piece = 1; piece < sizeof says; piece++) {
		for (unsigned regex = 0; regex < 2; regex++) {
			struct expect *e = expect_new();
			unsigned found = 0;

			assert_int_equal(expect_want(e, wanted[0], regex, &err), 0);
			for (size_t at = 0; at < sizeof says - 1; at += piece) {
				size_t n = sizeof says - 1 - at;

				expect_feed(e, says + at, n < piece ? n : piece);
				while (expect_look(e) == EXPECT_MATCH && ++found < 4)
					assert_int_equal(expect_want(e, wanted[found], regex, &err), 0);
			}
			assert_int_equal(found, 4);
			assert_int_equal(expect_used(e), sizeof says - 1);
			expect_free(e);
		}
	}
}

static void what_was_skipped_does_not_count(void **state)
{
	struct expect *e = expect_new();

	(void)state;
	expect_feed(e, "# old\r\n# ", 9);
	expect_skip(e, 9);
	assert_int_equal(expect_used(e), 9);
	assert_int_equal(expect_want(e, "# ", false, &err), 0);
	assert_int_equal(expect_look(e), EXPECT_NOT_YET);
	expect_feed(e, "ls\r\n# ", 6);
	assert_int_equal(expect_look(e), EXPECT_MATCH);
	assert_int_equal(expect_used(e), 15);
	expect_free(e);
}

static void memory_is_bounded_whatever_the_guest_says(void **state)
{
	static char noise[100000];
	struct expect *e = expect_new();

	(void)state;
	memset(noise, 'x', sizeof noise);
	/* Before anybody wants anything, then one endless line, then lines without end. */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(expect_feed(e, noise, sizeof noise), 0);
	for (unsigned regex = 0; regex < 2; regex++) {
		assert_int_equal(expect_want(e, "needle", regex, &err), 0);
		for (unsigned i = 0; i < 10; i++) {
			memset(noise, i % 2 ? '\n' : '.', sizeof noise);
			expect_feed(e, noise, sizeof noise);
			assert_int_equal(expect_look(e), EXPECT_NOT_YET);
		}
		expect_feed(e, "xxneedle", 8);
		assert_int_equal(expect_look(e), EXPECT_MATCH);
		assert_int_equal(expect_used(e), 100 * sizeof noise + (regex + 1) * (10 * sizeof noise + 8));
	}
	expect_free(e);
}

static void patterns_that_make_no_sense_are_refused(void **state)
{
	struct expect *e = expect_new();

	(void)state;
	assert_int_equal(expect_want(e, "", false, &err), -EINVAL);
	assert_int_equal(expect_want(e, "(", true, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"(\""));
	expect_feed(e, "x", 1);
	assert_int_equal(expect_look(e), EXPECT_NOT_YET);
	assert_int_equal(expect_quiet(e), EXPECT_NOT_YET);
	expect_free(e);
}

static void the_tail_is_the_last_lines_as_text(void **state)
{
	struct expect *e = expect_new();
	char *tail;

	(void)state;
	assert_int_equal(expect_want(e, "never", false, &err), 0);
	expect_feed(e, "one\r\ntwo\r\n\033[1mthree\033[0m\r\n", 25);
	expect_look(e);
	tail = expect_tail(e, 2);
	assert_string_equal(tail, "two\nthree\n");
	free(tail);
	tail = expect_tail(e, 9);
	assert_string_equal(tail, "one\ntwo\nthree\n");
	free(tail);
	expect_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_literal_is_found_across_pieces),
		cmocka_unit_test(escape_sequences_are_no_text),
		cmocka_unit_test(a_broken_escape_sequence_does_not_hide_the_next_line),
		cmocka_unit_test(nul_bytes_are_no_text),
		cmocka_unit_test(what_was_erased_is_not_there),
		cmocka_unit_test(regular_expressions_look_at_lines),
		cmocka_unit_test(the_echo_of_a_line_is_no_answer),
		cmocka_unit_test(an_echo_that_is_wrapped_is_no_answer),
		cmocka_unit_test(an_echo_is_told_from_what_only_begins_like_one),
		cmocka_unit_test(of_a_pattern_that_is_the_line_itself_the_first_is_the_echo),
		cmocka_unit_test(regular_expressions_are_not_fooled_either),
		cmocka_unit_test(what_is_behind_a_match_is_for_the_next),
		cmocka_unit_test(what_was_skipped_does_not_count),
		cmocka_unit_test(memory_is_bounded_whatever_the_guest_says),
		cmocka_unit_test(patterns_that_make_no_sense_are_refused),
		cmocka_unit_test(the_tail_is_the_last_lines_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

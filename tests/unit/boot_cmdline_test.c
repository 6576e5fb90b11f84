/* SPDX-License-Identifier: MIT */
/* boot_cmdline_test.c - the rules of the kernel's command line. */
#include "tests/unit/boot_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/boot/boot.h"

#define DEFAULTS "console=hvc0 reboot=t panic=-1"
#define WORDS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

static const struct {
	const char *what;
	const char *const *words;
	bool override;
	const char *line;
} cases[] = {
	{ "no words: the defaults", (const char *const[]){ NULL }, false, DEFAULTS },
	{ "override without words: nothing", (const char *const[]){ NULL }, true, "" },
	{ "an empty word is none", WORDS("", "  "), false, DEFAULTS },
	{ "words stand behind the defaults", WORDS("quiet", "ro"), false, DEFAULTS " quiet ro" },
	{ "one string may hold several words", WORDS("quiet  ro\tfoo=1\n"), false, DEFAULTS " quiet ro foo=1" },
	{ "a user's key takes its default away", WORDS("panic=5"), false, "console=hvc0 reboot=t panic=5" },
	{ "so does a key without a value", WORDS("panic"), false, "console=hvc0 reboot=t panic" },
	{ "and one with an empty value", WORDS("reboot="), false, "console=hvc0 panic=-1 reboot=" },
	{ "the user's repeats and order stay", WORDS("console=ttyS0", "a", "console=hvc0"), false,
	  "reboot=t panic=-1 console=ttyS0 a console=hvc0" },
	{ "a longer key is another key", WORDS("panic_on_oops=1", "consoleblank=0"), false,
	  DEFAULTS " panic_on_oops=1 consoleblank=0" },
	{ "a shorter key is another key", WORDS("pani=1"), false, DEFAULTS " pani=1" },
	{ "a key within a value is no key", WORDS("x=panic=3"), false, DEFAULTS " x=panic=3" },
	{ "all three replaced", WORDS("panic=1 reboot=a console=x"), false, "panic=1 reboot=a console=x" },
	{ "from -- on all is left alone", WORDS("a", "--", "panic=1", "console=x"), false,
	  DEFAULTS " a -- panic=1 console=x" },
	{ "before -- keys count", WORDS("panic=1 -- panic=2"), false, "console=hvc0 reboot=t panic=1 -- panic=2" },
	{ "only the word -- ends options", WORDS("--x", "panic=1"), false, "console=hvc0 reboot=t --x panic=1" },
	{ "override keeps the words", WORDS("root=/dev/vda", "ro"), true, "root=/dev/vda ro" },
	{ "quoted spaces stay in the word", WORDS("dyndbg=\"file x  +p\" panic=1"), false,
	  "console=hvc0 reboot=t dyndbg=\"file x  +p\" panic=1" },
	{ "a key within quotes is no key", WORDS("x=\"a panic=1\""), false, DEFAULTS " x=\"a panic=1\"" },
	{ "-- within quotes ends nothing", WORDS("x=\"a -- b\" panic=1"), false,
	  "console=hvc0 reboot=t x=\"a -- b\" panic=1" },
	{ "a word that is quoted as a whole has a key", WORDS("\"panic=1\""), false,
	  "console=hvc0 reboot=t \"panic=1\"" },
};

static void every_rule_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error err = { "" };
		char *line;

		if (boot_cmdline_build(cases[i].words, cases[i].override, 2047, &line, &err))
			fail_msg("%s: %s", cases[i].what, err.text);
		if (strcmp(line, cases[i].line))
			fail_msg("%s:\n\"%s\" instead of\n\"%s\"", cases[i].what, line, cases[i].line);
		free(line);
	}
}

static void a_line_of_exactly_the_limit_fits_and_one_byte_more_says_so(void **state)
{
	struct error err = { "" };
	char *line;

	(void)state;
	assert_int_equal(boot_cmdline_build(WORDS("abc"), false, strlen(DEFAULTS " abc"), &line, &err), 0);
	assert_string_equal(line, DEFAULTS " abc");
	free(line);
	assert_int_equal(boot_cmdline_build(WORDS("abc"), false, strlen(DEFAULTS " abc") - 1, &line, &err), -E2BIG);
	assert_null(line);
	assert_non_null(strstr(err.text, "1 bytes too long"));
	assert_int_equal(boot_cmdline_build(WORDS("abc"), false, 4, &line, &err), -E2BIG);
	assert_non_null(strstr(err.text, "30 bytes too long"));
}

static void a_quote_without_its_end_is_an_error(void **state)
{
	struct error err = { "" };
	char *line;

	(void)state;
	assert_int_equal(boot_cmdline_build(WORDS("ok", "x=\"a b", "panic=1"), false, 2047, &line, &err), -EINVAL);
	assert_null(line);
	assert_non_null(strstr(err.text, "x=\"a b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_holds),
		cmocka_unit_test(a_line_of_exactly_the_limit_fits_and_one_byte_more_says_so),
		cmocka_unit_test(a_quote_without_its_end_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* value_json_test.c - proves value-json.h: JSON becomes what a file would say, and is held to the same rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config/keys.h"
#include "core/config/value-json.h"

#define TEST(name) cmocka_unit_test(name)

static struct error err;

/* Back as JSON without spaces; the caller frees. NULL: refused. */
static char *through(const char *text)
{
	struct arena *arena = arena_new();
	struct capsa_value value;
	char *out = NULL;
	json_t *json;

	err.text[0] = '\0';
	if (value_read_json(text, strlen(text), "policy", arena, &value, &err) == 0) {
		assert_string_equal(value.name, "policy");
		assert_null(value.file);
		json = value_to_json(&value);
		out = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
		json_decref(json);
	}
	arena_free(arena);
	return out;
}

#define NESTED                                                                                         \
	"{\"default\":\"deny\",\"rules\":[{\"action\":\"allow\",\"port\":443},{\"action\":\"deny\"}]," \
	"\"x\":[1,[2.5,\"y\"]]}"

static void every_kind_of_value_comes_through(void **state)
{
	static const char *const texts[] = {
		"true", "false", "0", "-9223372036854775808", "0.5", "\"text\"", "[]", "{}", NESTED,
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *out = through(texts[i]);

		if (!out)
			fail_msg("%s: %s", texts[i], err.text);
		assert_string_equal(out, texts[i]);
		free(out);
	}
}

static void what_is_no_value_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "the body is no JSON: line 1, column 0: " },
		{ "{\"a\": }", "the body is no JSON: line 1, column 7: " },
		{ "{\"a\": 1, \"a\": 2}", "the body is no JSON: line 1, " },
		{ "9223372036854775808", "the body is no JSON: " },
		{ "\"a\\u0000b\"", "the body is no JSON: " },
		{ "\"\xff\"", "the body is no JSON: " },
		{ "1 2", "the body is no JSON: " },
		{ "null", "key \"policy\": found null, which is no value of a configuration" },
		{ "{\"a\": null}", "key \"a\": found null" },
		{ "[null]", "the list has null" },
	};
	char deep[200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_null(through(cases[i].text));
		if (strncmp(err.text, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_null(strchr(err.text, '\n'));
	}
	memset(deep, '[', 50);
	memset(deep + 50, ']', 50);
	deep[100] = '\0';
	assert_null(through(deep));
	assert_string_equal(err.text, "the value is nested deeper than 32");
}

static int check(const struct capsa_key *key, const char *text, struct capsa_value *out, struct arena *arena)
{
	const struct config config = { .folder = "/etc/box" };
	struct capsa_value found;

	assert_int_equal(value_read_json(text, strlen(text), key->name, arena, &found, &err), 0);
	return keys_check_value(&config, key, &found, arena, out, &err);
}

static void values_are_held_to_the_rules_of_files(void **state)
{
	static const char *const modes[] = { "a", "b", NULL };
	const struct capsa_key size = { .name = "rate", .type = CAPSA_TYPE_SIZE, .min = 1024, .max = 1 << 30 },
			       number = { .name = "n", .type = CAPSA_TYPE_INT, .min = 1, .max = 8 },
			       mode = { .name = "mode", .type = CAPSA_TYPE_CHOICE, .choices = modes },
			       path = { .name = "path", .type = CAPSA_TYPE_PATH },
			       share = { .name = "share", .type = CAPSA_TYPE_FLOAT };
	struct arena *arena = arena_new();
	struct capsa_value value;

	(void)state;
	assert_int_equal(check(&size, "\"10M\"", &value, arena), 0);
	assert_int_equal(value.integer, 10 << 20);
	assert_int_equal(check(&size, "4096", &value, arena), 0);
	assert_int_equal(check(&size, "12", &value, arena), -EINVAL);
	assert_string_equal(err.text, "key \"rate\": 12 bytes are too few; the least is \"1K\"");
	assert_int_equal(check(&number, "9", &value, arena), -EINVAL);
	assert_string_equal(err.text, "key \"n\": 9 is out of range; write an integer from 1 to 8");
	assert_int_equal(check(&number, "true", &value, arena), -EINVAL);
	assert_int_equal(check(&mode, "\"b\"", &value, arena), 0);
	assert_int_equal(value.integer, 1);
	assert_int_equal(check(&mode, "\"c\"", &value, arena), -EINVAL);
	assert_int_equal(check(&path, "\"x/y\"", &value, arena), 0);
	assert_string_equal(value.string, "/etc/box/x/y");
	assert_int_equal(check(&share, "1", &value, arena), 0);
	assert_true(value.real > 0.99 && value.real < 1.01);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_value_comes_through),
		TEST(what_is_no_value_is_refused),
		TEST(values_are_held_to_the_rules_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* machines.c - see machines.h. Called by verb-ls.c and verb-info.c. */
#include "core/cli/machines.h"

#include <stdio.h>

#include "core/cli/verb.h"

const char *machines_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

const char *machines_duration(double seconds, char *buf, size_t len)
{
	unsigned long s = seconds < 0 ? 0 : seconds > 1e9 ? 1000000000 : (unsigned long)seconds;

	if (s < 10)
		snprintf(buf, len, "%.1fs", seconds < 0 ? 0 : seconds);
	else if (s < 60)
		snprintf(buf, len, "%lus", s);
	else if (s < 3600)
		snprintf(buf, len, "%lum %lus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, len, "%luh %lum", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, len, "%lud %luh", s / 86400, s % 86400 / 3600);
	return buf;
}

int machines_print_json(json_t *root)
{
	int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;

	json_decref(root);
	if (rc)
		return fail(EXIT_FAILED, "cannot write JSON: no memory, or libjansson.so.4 is not installed");
	putchar('\n');
	return EXIT_OK;
}

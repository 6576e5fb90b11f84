/* SPDX-License-Identifier: MIT */
/* why.c - see why.h. Called by the verbs run, start, exec and cp. */
#include "core/sandbox/why.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *reason(const char *end, const char *text)
{
	if (text && *text)
		return text;
	if (end && strcmp(end, "powered-off") == 0)
		return "the guest powered off";
	if (end && strcmp(end, "reset") == 0)
		return "the guest was reset";
	return "it was ended";
}

void sandbox_why_ended(const char *end, const char *text, const char *console, struct error *err)
{
	bool unexpected = end && (strcmp(end, "panicked") == 0 || strcmp(end, "failed") == 0);

	error_set(err, EPIPE, "the machine has ended: %s", reason(end, text));
	/* What a guest said that died of itself tells why. */
	if (unexpected && console && *console) {
		size_t used = strlen(err->text);

		snprintf(err->text + used, sizeof err->text - used, "; its console said last:\n%s", console);
	}
}

void sandbox_why_lost(struct error *err)
{
	error_set(err, EPIPE,
	          "the agent in the guest was killed, and with it the command; did the guest run out of memory? "
	          "(`capsa logs` shows its console)");
}

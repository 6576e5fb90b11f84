/* SPDX-License-Identifier: MIT */
/* verbs.c - the table of all verbs: a new verb is a file and a line here. */
#include "core/cli/verb.h"

#include <stddef.h>

const struct verb *const verbs[] = {
	&verb_console,
	&verb_doctor,
	&verb_image,
	&verb_plugin,
	&verb_version,
	NULL,
};

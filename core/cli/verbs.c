/* SPDX-License-Identifier: MIT */
/* verbs.c - the table of all verbs: a new verb is a file and a line here. */
#include "core/cli/verb.h"

#include <stddef.h>

const struct verb *const verbs[] = {
	&verb_console,
	&verb_doctor,
	&verb_info,
	&verb_kill,
	&verb_ls,
	&verb_plugin,
	&verb_stop,
	&verb_version,
	NULL,
};

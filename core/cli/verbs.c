/* SPDX-License-Identifier: MIT */
/* verbs.c - the table of all verbs: a new verb is a file and a line here. */
#include "core/cli/verb.h"

#include <stddef.h>

const struct verb *const verbs[] = {
	&verb_cluster,
	&verb_console,
	&verb_cp,
	&verb_doctor,
	&verb_exec,
	&verb_image,
	&verb_info,
	&verb_kill,
	&verb_logs,
	&verb_ls,
	&verb_plugin,
	&verb_run,
	&verb_start,
	&verb_stop,
	&verb_version,
	NULL,
};

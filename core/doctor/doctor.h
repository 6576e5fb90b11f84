/* SPDX-License-Identifier: MIT */
/*
 * doctor.h - can this host run machines, and would a given machine show anything? Each check is one function that
 * fills one struct doctor_check; doctor_host() and doctor_machine() run them all. Main thread.
 */
#ifndef CAPSA_DOCTOR_DOCTOR_H
#define CAPSA_DOCTOR_DOCTOR_H

#include <stddef.h>

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_NOTE, /* worth knowing; machines run */
	DOCTOR_SLOW,
	DOCTOR_FAIL,
};

struct doctor_check {
	const char *name;
	enum doctor_status status;
	char detail[1100]; /* what was found: one line */
	char remedy[400]; /* what to do; empty: all is well */
};

#define DOCTOR_MAX_CHECKS 32u

struct doctor_report {
	struct doctor_check checks[DOCTOR_MAX_CHECKS];
	size_t n;
};

/* Appends the checks of this host. */
void doctor_host(struct doctor_report *report);
/* Appends those of the machine that `file` describes. */
void doctor_machine(const char *file, struct doctor_report *report);

/* The worst status of all checks. */
enum doctor_status doctor_worst(const struct doctor_report *report);

#endif

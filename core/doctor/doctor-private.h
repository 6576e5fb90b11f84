/* SPDX-License-Identifier: MIT */
/* doctor-private.h - how checks are written down, for the files of this room. */
#ifndef CAPSA_DOCTOR_DOCTOR_PRIVATE_H
#define CAPSA_DOCTOR_DOCTOR_PRIVATE_H

#include <stdbool.h>

#include "core/doctor/doctor.h"

/* A new line of the report; never NULL. */
struct doctor_check *doctor_add(struct doctor_report *report, const char *name);
/* Fills it. `remedy` is NULL where nothing is to be done: with DOCTOR_OK only. */
__attribute__((format(printf, 4, 5))) void doctor_say(struct doctor_check *check, enum doctor_status status,
						       const char *remedy, const char *fmt, ...);

#endif

/* SPDX-License-Identifier: MIT */
/* why.h - words for a command that was lost together with its machine or its agent. */
#ifndef CAPSA_SANDBOX_WHY_H
#define CAPSA_SANDBOX_WHY_H

#include "core/base/error.h"

/*
 * The machine has ended: `end` as of `GET /vm/end` ("panicked"), `text` its reason or "", `console` the last lines or
 * "". Fills err; any may be NULL.
 */
void sandbox_why_ended(const char *end, const char *text, const char *console, struct error *err);
/* The machine is still there. */
void sandbox_why_lost(struct error *err);

#endif

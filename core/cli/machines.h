/* SPDX-License-Identifier: MIT */
/* machines.h - what `ls` and `info` share: a machine's answer to GET /vm, and words for people. */
#ifndef CAPSA_CLI_MACHINES_H
#define CAPSA_CLI_MACHINES_H

#include <jansson.h>
#include <stddef.h>

/* The text, or "-" where the object has no such string. */
const char *machines_text(const json_t *object, const char *key);
/* 3723 -> "1h 2m", 61 -> "1m 1s", 5.25 -> "5.3s". Returns buf. */
const char *machines_duration(double seconds, char *buf, size_t len);
/* Prints with two spaces a level and frees it; where that fails says so. Returns the exit status. */
int machines_print_json(json_t *root);

#endif

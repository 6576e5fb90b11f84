/* SPDX-License-Identifier: MIT */
/*
 * initrd-scan.h - which kernel modules an initrd holds, as far as can be told from outside. Called by machine.c; on any
 * thread.
 */
#ifndef CAPSA_DOCTOR_INITRD_SCAN_H
#define CAPSA_DOCTOR_INITRD_SCAN_H

#include <stdbool.h>
#include <stdint.h>

struct initrd_scan {
	unsigned modules;  /* bit i: modules[i] is there, as a file or in a list of built-in ones */
	bool whole;        /* all of it was understood: what was not found is not there */
	uint64_t unpacked; /* bytes looked at */
	char why[160];     /* not whole: why not */
};

/*
 * Looks through the archives of the file `path`, packed or not, until all of `modules` (names with '_', ends
 * with NULL, at most 32) are found. The file is hostile: memory stays within some 300 MiB (xz), bytes within 2 GiB.
 */
void initrd_scan(const char *path, const char *const *modules, struct initrd_scan *out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * window.h - what the hostile guest (guest-window.c) asks of the test's plugin (window.c): a device with a file in its
 * window, which it cuts short as the guest says. In place of a file system and of somebody else on the host.
 */
#ifndef CAPSA_TESTS_HOSTILE_WINDOW_H
#define CAPSA_TESTS_HOSTILE_WINDOW_H

#include <stdint.h>

#define WINDOW_SIZE (2u << 20)
#define WINDOW_FILE_PAGES 256u /* mapped at the window's start; each begins with its number + 1 */

/* What a request holds, all of it readable; the answer is a 32-bit number. */
struct window_request {
	uint32_t pages; /* the file's new length */
	uint32_t map;   /* whether it is mapped anew, at its full length, before it is cut */
	uint32_t watch; /* whether the plugin watches the file, and unmaps what is cut off */
};

#endif

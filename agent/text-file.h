/* SPDX-License-Identifier: MIT */
/* text-file.h - small files as a whole: /proc, /etc. */
#ifndef CAPSA_AGENT_TEXT_FILE_H
#define CAPSA_AGENT_TEXT_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * The file with a NUL behind it, the caller's to free. Files of /proc too, which do not say how long they are. 0,
 * -EFBIG where it is longer than `max`, or -errno.
 */
int text_file_read(const char *path, size_t max, char **text);
/* What fits of the file's beginning into `to`, with a NUL behind it; no allocation. Its length or -errno. */
ssize_t text_file_peek(const char *path, char *to, size_t room);
/* Writes into a file that is there (/proc, /sys). 0 or -errno. */
int text_file_write(const char *path, const char *text);

#endif

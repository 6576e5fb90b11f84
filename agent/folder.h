/* SPDX-License-Identifier: MIT */
/* folder.h - folders above a path. */
#ifndef CAPSA_AGENT_FOLDER_H
#define CAPSA_AGENT_FOLDER_H

/*
 * Makes those above the last component that are missing, 0755. `path` is changed meanwhile and as it was afterwards. 0
 * or -errno.
 */
int folder_make_parents(char *path);
/* Those, and the last one, as mkdir -p: fine where it is there already. */
int folder_make_all(char *path, unsigned mode);

#endif

/* SPDX-License-Identifier: MIT */
/* sha256.h - SHA-256 (FIPS 180-4) of a buffer: the names of contents in the cache (store.h). Pure. */
#ifndef CAPSA_BASE_SHA256_H
#define CAPSA_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const uint8_t *data, size_t len, uint8_t digest[SHA256_SIZE]);
/* The digest in hexadecimal digits, with a NUL behind. Returns text. */
char *sha256_text(const uint8_t digest[SHA256_SIZE], char text[2 * SHA256_SIZE + 1]);

#endif

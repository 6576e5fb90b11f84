/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what a fuzz target is: one file, two functions.
 *
 * LLVMFuzzerTestOneInput() is libFuzzer's own entry, so the same file is built with clang -fsanitize=fuzzer for hours,
 * and with fuzz-driver.c for some seconds in `make check` (README.md). fuzz_seed() builds honest inputs in code, so
 * that no corpus is kept: mutations of what is almost right go deeper than noise.
 *
 * A target says by fuzz_check() what must hold of each input, beside that nothing is read where it may not be.
 */
#ifndef CAPSA_TESTS_FUZZ_H
#define CAPSA_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_INPUT_MAX 4096u

/* libFuzzer's. Returns 0. `data` is exactly `len` bytes long, so that AddressSanitizer sees what goes beyond. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* Builds the n-th honest input, FUZZ_INPUT_MAX bytes at most. Returns its length; 0: there are no more. */
size_t fuzz_seed(unsigned n, uint8_t *data);
/* How many mutated inputs make some seconds in `make check`, with sanitizers. */
extern const unsigned fuzz_runs;

#define fuzz_check(holds)                                                                         \
	do {                                                                                      \
		if (!(holds)) {                                                                   \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

#endif

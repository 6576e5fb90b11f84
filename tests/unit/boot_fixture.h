/* SPDX-License-Identifier: MIT */
/* boot_fixture.h - kernels made by hand, and folders to put them in, for the tests of core/boot. */
#ifndef TESTS_UNIT_BOOT_FIXTURE_H
#define TESTS_UNIT_BOOT_FIXTURE_H


#include <asm/bootparam.h>
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct blob {
	uint8_t *data;
	size_t size;
};

/*
 * A vmlinux: text of TEXT_SIZE bytes at 16 MiB (entry: its first byte), data of DATA_SIZE bytes, unaligned, then zeroed
 * memory up to KERNEL_END; a note that is not to be loaded; and some bytes behind, as relocations are in a payload.
 */
#define TEXT_AT 0x1000000ull
#define TEXT_SIZE 20000ull
#define DATA_AT 0x1008123ull
#define DATA_SIZE 9000ull
#define KERNEL_END 0x1100000ull
struct blob fixture_elf(void);
Elf64_Ehdr *fixture_elf_header(struct blob *elf);
Elf64_Phdr *fixture_segment(struct blob *elf, unsigned i); /* 0 the note, 1 data, 2 text */
/* Fails the test unless guest memory `at` (of guest-physical TEXT_AT) is what that ELF asks for. */
void fixture_check_loaded(const uint8_t *at);

enum packing { PACK_GZIP, PACK_XZ, PACK_LZ4, PACK_ZSTD, PACK_UNKNOWN, PACKINGS };
#define PACKINGS_KNOWN PACK_UNKNOWN
extern const char *const packing_names[PACKINGS];
/* The payload as the kernel's build makes it: packed, with its size behind. */
struct blob fixture_pack(struct blob in, enum packing packing);
/* A bzImage with this payload; it is freed. FIXTURE_VERSION is its release. */
#define FIXTURE_VERSION "6.1.0-test (me@here) #1"
#define SETUP_SIZE 1024u
#define PAYLOAD_AT 64u /* behind the setup */
struct blob fixture_bzimage(struct blob payload);
struct blob fixture_packed_kernel(enum packing packing); /* of fixture_elf() */
struct setup_header *fixture_header(struct blob *bzimage);
void fixture_free(struct blob *blob);

/* A new folder that is also $CAPSA_CACHE's parent; fixture_leave() removes it. Setup and teardown of cmocka. */
int fixture_enter(void **state);
int fixture_leave(void **state);
/* DIR/name; one of a few static buffers. */
const char *fixture_path(const char *name);
/* Writes a file; returns fixture_path(name). */
const char *fixture_file(const char *name, struct blob blob);

#endif
